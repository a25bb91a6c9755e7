"""Hostile pictures: small files that declare much, make much work, or lack pixels that a decoder fills."""

from __future__ import annotations

import functools
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.hostile.registry import OPENED, Case, Subject

SIDE = 1500  # of the good picture, and of most hostile ones
REFUSED = ("InputError",)


# PNG


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, rows, extra=b"", interlaced=0):
    """A PNG with any declared header."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@functools.cache
def bomb(size):
    """Compressed zeros."""
    deflate = zlib.compressobj(1)
    block = bytes(1 << 20)
    return b"".join(deflate.compress(block) for _ in range(size >> 20)) + deflate.flush()


def cut_rows(depth, color, sides=(100, 100), *, share=0.1):
    """A whole zlib stream that holds a tenth of the rows, all of them white."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = b"\0" + b"\xff" * ((sides[0] * bits + 7) // 8)
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if color == 3 else b""
    return png(*sides, depth, color, zlib.compress(row * int(share * sides[1])), palette)


def byte_chunks(side):
    data = zlib.compress(picture(side).tobytes())
    return png(side, side, 8, 2, b"", b"".join(chunk(b"IDAT", bytes((value,))) for value in data))


def cut_interlaced(share):
    """White rows of the seven passes, of which a part is there."""
    passes = ((8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2))
    rows = b"".join((b"\0" + b"\xff" * 3 * (96 // across)) * (96 // down) for across, down in passes)
    rows = rows[: 3 * 96 * 96 + 2 * 96]
    return png(96, 96, 8, 2, zlib.compress(rows[: int(share * len(rows))]), interlaced=1)


def white_rows(extra=b""):
    return png(SIDE, SIDE, 8, 2, zlib.compress((b"\0" + b"\xff" * 3 * SIDE) * SIDE), extra)


def overlapping_exif(size):
    """A directory whose entries all point at the whole of it: `size` squared bytes to read."""
    count = (size - 14) // 12
    entries = b"".join(struct.pack("<HHII", 1000 + i % 60_000, 7, size, 0) for i in range(count))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", min(count, 65535)) + entries[: 12 * 65535] + bytes(4)


# JPEG


def segment(code, data):
    return b"\xff" + bytes((code,)) + struct.pack(">H", len(data) + 2) + data


def jpeg(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def with_exif(size, times):
    data = overlapping_exif(size)
    return b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + data) * times + jpeg(picture())[2:]


def painted(width, height, scans, *, progressive=True):
    """A gray JPEG of scans that paint nothing: each is a few runs of empty blocks."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"
    end_of_bands = bytes((1, *[0] * 15, 0xE0))  # one code, "0": a run of 2**14 blocks and more
    nothing = bytes((1, *[0] * 15, 0x00))  # one code, "0": no difference, or the end of the block
    blocks = -(-width // 8) * -(-height // 8)
    head = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    head += segment(0xC2 if progressive else 0xC0, frame) + segment(0xC4, b"\0" + nothing)
    if not progressive:
        head += segment(0xC4, b"\x10" + nothing)
        scan = segment(0xDA, b"\1\1\0\0\x3f\0") + bytes(-(-2 * blocks // 8))
        return head + scan * scans + b"\xff\xd9"
    head += segment(0xC4, b"\x10" + end_of_bands)
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    runs = "010101010101010" * -(-blocks // (2**14 + 0b10101010101010))
    runs = runs.ljust(-(-len(runs) // 8) * 8, "0")
    more = segment(0xDA, b"\1\1\0\1\x3f\0") + int(runs, 2).to_bytes(len(runs) // 8, "big")
    return head + first + more * scans + b"\xff\xd9"


def repeated_scan():
    data = jpeg(picture(SIDE), progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * 200 + b"\xff\xd9"


def closed(data, share):
    """Cut, and closed with an end marker, as programs do that repair."""
    return data[: int(share * len(data))].rstrip(b"\xff") + b"\xff\xd9"


def taller(data):
    """A JPEG that declares twice the height."""
    at = data.index(b"\xff\xc0\0\x11") + 5
    return data[:at] + struct.pack(">H", 800) + data[at + 2 :]


def three_scans():
    """Of three gray images, the colors of one: a scan each, as some cameras write them."""
    grays = [jpeg(plane) for plane in picture().convert("YCbCr").split()]
    at = grays[0].index(b"\xff\xc0")
    sides = grays[0][at + 5 : at + 9]
    frame = segment(0xC0, b"\x08" + sides + b"\3" + b"".join(bytes((i, 0x11, 0)) for i in (1, 2, 3)))
    scans = []
    for number, gray in enumerate(grays, 1):
        start = gray.index(b"\xff\xda")
        scans.append(segment(0xDA, bytes((1, number, 0, 0, 63, 0))) + gray[start + 10 : -2])
    head = grays[0][: grays[0].index(b"\xff\xda")]
    return head.replace(grays[0][at : at + 13], frame) + b"".join(scans) + b"\xff\xd9"


@functools.cache
def picture(side=400):
    y, x = np.mgrid[:side, :side]
    random = np.random.default_rng(5)
    planes = np.stack([x * 200 // side, y * 200 // side, (x + y) * 100 // side], axis=-1)
    return Image.fromarray((planes + random.integers(0, 50, planes.shape)).astype(np.uint8))


# TIFF


def tiff(entries, data=b"", following=0):
    """A little-endian TIFF: entries of (tag, type, count, value or offset), then data from `tiff_data`."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + struct.pack("<I", following) + data


def data_at(count):
    """Where the data starts, behind a directory of so many entries."""
    return 8 + 2 + 12 * count + 4


def rgb_tiff(width, height, more, data=b"", compression=1, count=14):
    """A TIFF of 8-bit gray; `more` are the entries about strips or tiles."""
    base = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression)]
    base += [(262, 3, 1, 1), (277, 3, 1, 1)]
    entries = base + more
    entries += [(60_000 + i, 3, 1, 0) for i in range(count - len(entries))]
    return tiff(entries, data)


START = data_at(14)


def many_strips(count):
    offsets, lengths = struct.pack("<I", START) * count, struct.pack("<I", 1) * count
    more = [(273, 4, count, START), (278, 4, 1, 1), (279, 4, count, START + len(offsets))]
    return rgb_tiff(1, count, more, offsets + lengths)


def many_tiles(count):
    offsets, lengths = struct.pack("<I", START) * count, struct.pack("<I", 1) * count
    more = [(322, 3, 1, 16), (323, 3, 1, 16), (324, 4, count, START), (325, 4, count, START + len(offsets))]
    return rgb_tiff(SIDE, SIDE, more, offsets + lengths)


def large_tile(side, compression):
    rows = bomb(200 << 20) if compression == 8 else bytes(100)
    more = [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, START), (325, 4, 1, len(rows))]
    return rgb_tiff(64, 64, more, rows, compression)


def shared_strips(count):
    """Every row is the same strip of 4 MB, of which one row is used."""
    rows = zlib.compress(np.random.default_rng(1).bytes(4 << 20))
    offsets, lengths = struct.pack("<I", START) * count, struct.pack("<I", len(rows)) * count
    at = START + len(rows)
    more = [(273, 4, count, at), (278, 4, 1, 1), (279, 4, count, at + len(offsets))]
    return rgb_tiff(SIDE, count, more, rows + offsets + lengths, 8)


def overlapping_tags(count, size):
    """A directory whose entries all point at the same megabytes."""
    start = data_at(count)
    more = [(60_000 + i, 7, size, start) for i in range(count - 9)]
    strips = [(273, 4, 1, start), (278, 4, 1, 10), (279, 4, 1, 100)]
    return rgb_tiff(10, 10, strips + more, bytes(size), count=count)


def long_chain(length, count):
    """Many directories of many entries each."""
    body = struct.pack("<H", count) + struct.pack("<HHII", 254, 4, 1, 1) * count
    first = rgb_tiff(10, 10, [(273, 4, 1, 8), (278, 4, 1, 10), (279, 4, 1, 100)])
    places = [START + number * (len(body) + 4) for number in range(length + 1)]
    chain = b"".join(body + struct.pack("<I", place) for place in places[1:])
    return first[: START - 4] + struct.pack("<I", START) + chain


def saved_tiff(**options):
    stream = io.BytesIO()
    image = picture(200)
    mode = options.pop("mode", "RGB")
    image.convert(mode).save(stream, "TIFF", **options)
    return bytearray(stream.getvalue())


def short_tiff(**options):
    """A whole file whose strips are declared shorter than they are."""
    data = saved_tiff(**options)
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    for place in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number, value = struct.unpack_from("<HHII", data, place)
        if tag == 279:
            form = {3: "H", 4: "I"}[kind]
            size = struct.calcsize(form)
            start = place + 8 if number * size <= 4 else value
            for index in range(number):
                spot = start + index * size
                (length,) = struct.unpack_from(f"<{form}", data, spot)
                if number == 1 or index == number - 1:
                    struct.pack_into(f"<{form}", data, spot, length // 2)
    return bytes(data)


def taller_tiff():
    data = jpeg(picture(64).convert("L"))
    more = [(273, 4, 1, START), (278, 4, 1, 128), (279, 4, 1, len(data))]
    return rgb_tiff(64, 128, more, data, 7)


def tiff_circle():
    data = bytes(saved_tiff())
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    end = at + 2 + 12 * count
    return data[:end] + struct.pack("<I", at) + data[end + 4 :]


# BMP, WebP, .npy


def bitmap(width, height, bits, compression, data):
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 256, 0)
    palette = bytes(1024) if bits <= 8 else b""
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + palette + data


def riff(*chunks):
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def canvas(width, height, flags=0):
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", struct.pack("<I", flags) + sides


@functools.cache
def webp_chunk(**options):
    stream = io.BytesIO()
    picture(200).save(stream, "WEBP", **options)
    data = stream.getvalue()
    return data[12:16], data[20:]


def long_webp(kind):
    """The start of a picture whose last chunk has 300 MB, and its length."""
    size = 300 << 20
    data = riff(canvas(200, 200), webp_chunk()) + kind + struct.pack("<I", size)
    return data[:4] + struct.pack("<I", len(data) + size - 8) + data[8:], len(data) + size


def npy(shape, dtype="'|u1'", pad=117):
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".ljust(pad) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + bytes(64)


def other(kind):
    stream = io.BytesIO()
    picture(200).save(stream, kind)
    return stream.getvalue()


HOSTILE = {
    # Declares much
    "PNG of 30000x30000": lambda: png(30000, 30000, 8, 2, zlib.compress(bytes(1000))),
    "PNG of the largest size": lambda: png(2**31 - 1, 2**31 - 1, 8, 2, zlib.compress(bytes(1000))),
    "PNG just above the limit": lambda: png(10000, 10001, 8, 2, zlib.compress(bytes(1000))),
    "PNG with a palette of 300 MB": lambda: (
        png(9, 9, 8, 3, b"")[:33] + struct.pack(">I", 300 << 20) + b"PLTE",
        301 << 20,
    ),
    "JPEG of 99 megapixels without data": lambda: (
        painted(9900, 9900, 1, progressive=False)[:120] + b"\xff\xd9"
    ),
    "JPEG of 300 MB of data": lambda: (painted(SIDE, SIDE, 0)[:-2], 301 << 20),
    "PNG of 200 MB of empty blocks": lambda: png(9, 9, 8, 0, b"\x78\x01" + b"\0\0\0\xff\xff" * (40 << 20)),
    "PNG of a terabyte": lambda: (cut_rows(8, 2)[:-12], 1 << 40),
    "JPEG of a terabyte": lambda: (jpeg(picture())[:-2], 1 << 40),
    "TIFF of a terabyte": lambda: (overlapping_tags(4000, 1 << 20), 1 << 40),
    "BMP of a terabyte": lambda: (bitmap(9, 9, 8, 1, b""), 1 << 40),
    "WebP of a terabyte": lambda: (long_webp(b"ALPH")[0], 1 << 40),
    ".npy of a terabyte": lambda: (npy("(1, 1, 1099511627776)"), 1 << 40),
    "PNG of no size": lambda: png(0, 0, 8, 2, zlib.compress(b"")),
    "JPEG of 65535x65535": lambda: painted(65500, 65500, 1)[:2000],
    "BMP of 99999x99999": lambda: bitmap(99999, 99999, 24, 0, b""),
    "BMP of the lowest height": lambda: bitmap(1, -(2**31), 24, 0, b""),
    "BMP whose rows are missing": lambda: bitmap(9000, 9000, 24, 0, bytes(100)),
    "WebP of 16384x16384": lambda: b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xff\xff\xff\x0f" + bytes(8),
    "WebP on the largest canvas": lambda: riff(canvas(1 << 24, 1 << 24), webp_chunk()),
    "WebP on a canvas larger than its picture": lambda: riff(canvas(9000, 9000), webp_chunk()),
    ".npy of 999999999 squared": lambda: npy("(999999999, 999999999, 3)"),
    ".npy of 300 million channels": lambda: (npy("(1, 1, 300000000)"), 301_000_000),
    ".npy of wide numbers": lambda: (npy("(5000, 5000, 3)", "'<c16'"), 5000 * 5000 * 48 + 1000),
    ".npy with a header of 300 MB": lambda: (b"\x93NUMPY\2\0" + struct.pack("<I", 300 << 20), 301 << 20),
    ".npy with a nested header": lambda: npy("(" * 4000 + ")" * 4000, pad=9000),
    ".npy of objects": lambda: npy("(2, 2, 3)", "'|O'"),
    ".npy of negative sides": lambda: npy("(-1, -1, 3)"),
    # Makes much work
    "JPEG of 3000 scans": lambda: painted(SIDE, SIDE, 3000),
    "JPEG of 100 scans": lambda: painted(SIDE, SIDE, 100),
    "JPEG of 30 scans of 90 megapixels": lambda: painted(9500, 9500, 30),
    "small JPEG of 40000 scans": lambda: painted(64, 64, 40_000),
    "sequential JPEG of 500 scans": lambda: painted(SIDE, SIDE, 500, progressive=False),
    "JPEG of 300000 comments": lambda: b"\xff\xd8" + segment(0xFE, b"") * 300_000 + jpeg(picture())[2:],
    "JPEG of 30 MB of fill bytes": lambda: jpeg(picture())[:-2] + b"\xff" * (30 << 20) + b"\xff\xd9",
    "JPEG of fill bytes before its first segment": lambda: (
        b"\xff\xd8" + b"\xff" * (30 << 20) + jpeg(picture())[2:]
    ),
    "JPEG of 200000 tables": lambda: (
        b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64) * 200_000 + jpeg(picture())[2:]
    ),
    "progressive JPEG whose last scan comes 200 times": repeated_scan,
    "PNG of 300000 empty chunks": lambda: white_rows(chunk(b"IDAT", b"") * 300_000),
    "PNG of 300000 unknown chunks": lambda: white_rows(chunk(b"prVt", b"") * 300_000),
    "PNG of a byte a chunk": lambda: byte_chunks(300),
    "TIFF of a million strips": lambda: many_strips(1 << 20),
    "TIFF of a million tiles": lambda: many_tiles(1 << 20),
    "TIFF with a tile of 60000x60000": lambda: large_tile(60_000, 1),
    "TIFF with a compressed tile of 14000x14000": lambda: large_tile(14_000, 8),
    "TIFF whose strips are one of 4 MB": lambda: shared_strips(1000),
    "TIFF of overlapping tags": lambda: overlapping_tags(4000, 1 << 20),
    "TIFF of 60 long directories": lambda: long_chain(60, 60_000),
    "TIFF with old JPEG": lambda: rgb_tiff(10, 10, [(273, 4, 1, 8), (279, 4, 1, 9)], compression=6),
    "TIFF with CCITT group 4": lambda: bytes(saved_tiff(mode="1", compression="group4")),
    "TIFF directories in a circle": tiff_circle,
    "TIFF with LZMA": lambda: rgb_tiff(10, 10, [(273, 4, 1, 8), (279, 4, 1, 9)], compression=34925),
    "TIFF of JPEG strips with 500 scans": lambda: rgb_tiff(
        SIDE,
        SIDE,
        [(273, 4, 1, START), (278, 4, 1, SIDE), (279, 4, 1, len(painted(SIDE, SIDE, 500)))],
        painted(SIDE, SIDE, 500),
        7,
    ),
    "BMP of run lengths that end every line": lambda: bitmap(9000, 9000, 8, 1, b"\1\1\0\0" * 9000 + b"\0\1"),
    "BMP of 50 MB of empty lines": lambda: (bitmap(9, 9, 8, 1, b""), 50 << 20),
    "BMP of 4-bit run lengths": lambda: bitmap(6000, 6000, 4, 2, b"\xff\x12" * (6000 * 24)),
    "WebP of 300000 chunks": lambda: riff(canvas(200, 200), *[(b"JUNK", b"")] * 300_000, webp_chunk()),
    "WebP of 300 MB": lambda: long_webp(b"ALPH"),
    # Lacks pixels
    "PNG with 10 of 100 rows": lambda: cut_rows(8, 2),
    "gray PNG with 10 of 100 rows": lambda: cut_rows(8, 0),
    "deep PNG with 10 of 100 rows": lambda: cut_rows(16, 0),
    "palette PNG with 10 of 100 rows": lambda: cut_rows(4, 3),
    "PNG with alpha and 10 of 100 rows": lambda: cut_rows(8, 6),
    "1-bit PNG with 99 of 100 rows": lambda: cut_rows(1, 0, share=0.99),
    "interlaced PNG with 90 of 100 parts": lambda: cut_interlaced(0.9),
    "JPEG cut and closed": lambda: closed(jpeg(picture()), 0.6),
    "gray JPEG cut and closed": lambda: closed(jpeg(picture().convert("L")), 0.9),
    "CMYK JPEG cut and closed": lambda: closed(jpeg(picture().convert("CMYK")), 0.7),
    "JPEG with restarts cut and closed": lambda: closed(jpeg(picture(), restart_marker_rows=1), 0.6),
    "progressive JPEG without its last scans": lambda: closed(jpeg(picture(), progressive=True), 0.3),
    "progressive JPEG cut in its last scan": lambda: closed(jpeg(picture(), progressive=True), 0.97),
    "JPEG with a height that was raised": lambda: taller(jpeg(picture())),
    "JPEG of a scan for each color, cut in the last": lambda: closed(three_scans(), 0.95),
    "TIFF of one JPEG strip with a height that was raised": taller_tiff,
    "arithmetic JPEG": lambda: jpeg(picture()).replace(b"\xff\xc0\0\x11", b"\xff\xc9\0\x11"),
    "lossless JPEG": lambda: jpeg(picture()).replace(b"\xff\xc0\0\x11", b"\xff\xc3\0\x11"),
    "TIFF with a short strip": short_tiff,
    "TIFF with a strip missing": lambda: rgb_tiff(
        100, 100, [(273, 4, 1, START), (278, 4, 1, 50), (279, 4, 1, 5000)], bytes(5000)
    ),
    **{
        f"TIFF with a short {name} strip": functools.partial(short_tiff, compression=name)
        for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    },
    "BMP without its last rows": lambda: other("BMP")[:-3000],
    "BMP of run lengths without its last rows": lambda: bitmap(100, 100, 8, 1, b"\x64\1\0\0" * 50 + b"\0\1"),
    "WebP without its last bytes": lambda: riff((webp_chunk()[0], webp_chunk()[1][:-500])),
    "lossless WebP without its last bytes": lambda: riff(
        (webp_chunk(lossless=True)[0], webp_chunk(lossless=True)[1][:-500])
    ),
    # Others
    "animated PNG": lambda: white_rows(chunk(b"acTL", struct.pack(">II", 1 << 30, 0))),
    "animated WebP": lambda: riff(canvas(200, 200, 2), (b"ANIM", bytes(6)), webp_chunk()),
    **{f"{kind} file": functools.partial(other, kind) for kind in ("GIF", "PPM", "JPEG2000", "ICO")},
    "AVIF file": lambda: b"\0\0\0\x20ftypavif" + bytes(100),
}

# Read as the good picture, whatever stands beside its pixels.
HARMLESS = {
    "JPEG of a scan for each color": three_scans,
    "PNG with a profile of 500 MB": lambda: white_rows(chunk(b"iCCP", b"a\0\0" + bomb(500 << 20))),
    "PNG with a text of 500 MB": lambda: white_rows(chunk(b"zTXt", b"a\0\0" + bomb(500 << 20))),
    "PNG with an international text of 500 MB": lambda: white_rows(
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb(500 << 20))
    ),
    "PNG with hexadecimal EXIF of 500 MB": lambda: white_rows(
        chunk(b"zTXt", b"Raw profile type exif\0\0" + bomb(500 << 20))
    ),
    "PNG with 2000 texts": lambda: white_rows(chunk(b"zTXt", b"a\0\0" + bomb(1 << 20)) * 2000),
    "PNG with EXIF of overlapping entries": lambda: white_rows(chunk(b"eXIf", overlapping_exif(700_000))),
    "PNG of one pixel that inflates to 1 GB": lambda: png(1, 1, 8, 2, bomb(1 << 30)),
    "JPEG with EXIF of overlapping entries": lambda: with_exif(60_000, 1),
    "JPEG with EXIF in 900 segments": lambda: with_exif(60_000, 900),
    "JPEG with a picture list of overlapping entries": lambda: (
        b"\xff\xd8" + segment(0xE2, b"MPF\0" + overlapping_exif(60_000)) + jpeg(picture())[2:]
    ),
    "WebP with EXIF of overlapping entries": lambda: riff(
        canvas(200, 200, 8), webp_chunk(), (b"EXIF", overlapping_exif(700_000))
    ),
    "WebP with 300 MB of XMP": lambda: long_webp(b"XMP "),
}


def _open(path: Path) -> str | None:
    from fcn_edge_runtime.imaging.reading import read_image
    from fcn_edge_runtime.model.card import InputSpec

    image = read_image(path, InputSpec.default())
    return None if image.dtype == np.uint8 and image.shape[2] == 3 else f"read as {image.dtype} {image.shape}"


def _good(folder: Path) -> Path:
    picture(SIDE).save(folder / "good.png")
    return folder / "good.png"


def _warm() -> None:
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    import fcn_edge_runtime.imaging.reading  # noqa: F401 - for the children


def _case(kind: str, content, expected: tuple[str, ...]) -> Case:
    def make(folder: Path) -> Path:
        path = folder / ("hostile.npy" if kind.startswith(".npy") else "hostile.png")
        made = content()
        data, size = made if isinstance(made, tuple) else (made, 0)
        path.write_bytes(data)
        os.truncate(path, max(size, len(data)))  # zeros that take no disk
        return path

    return Case(kind, make, expected)


SUBJECT = Subject(
    "pictures",
    _good,
    _open,
    (
        *(_case(kind, content, REFUSED) for kind, content in HOSTILE.items()),
        *(_case(kind, content, (OPENED,)) for kind, content in HARMLESS.items()),
    ),
    _warm,
)
