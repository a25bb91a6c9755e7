"""Hostile rasters: files that connect, name other files, declare much, or make much work for GDAL."""

from __future__ import annotations

import os
import socket
import struct
import threading
import zlib
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from tests.hostile.registry import OPENED, Case, Subject

REFUSED = ("InputError",)
REFUSED_OR_TOO_LARGE = ("InputError", "UsageError", "ArtifactError")
MODEL = Path(__file__).parents[1] / "artifacts" / "0.1.0-float.onnx"
SIDE = 64

# TIFF, tag by tag

BYTE, ASCII, SHORT, LONG, DOUBLE = 1, 2, 3, 4, 12
_FORMATS = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", DOUBLE: "d"}


def _packed(kind, value):
    if isinstance(value, bytes):
        return value
    numbers = value if isinstance(value, tuple) else (8 if value == "data" else value,)
    return struct.pack(f"<{len(numbers)}{_FORMATS[kind]}", *numbers)


def tiff(tags, data=b"", *, count=1, following=0):
    """A little-endian TIFF of `count` directories; tag 273 or 324 may be "data", the offset of the data."""
    values = {256: (LONG, SIDE), 257: (LONG, SIDE), 258: (SHORT, (8, 8, 8)), 259: (SHORT, 1), 262: (SHORT, 2)}
    values |= {277: (SHORT, 3), 284: (SHORT, 1)} | tags
    content = bytearray(b"II*\0\0\0\0\0" + data)
    last = 4
    for _ in range(count):
        entries = []
        for tag, (kind, value) in sorted(values.items()):
            packed = _packed(kind, value)
            number = len(packed) // struct.calcsize(_FORMATS[kind])
            if len(packed) > 4:
                content += bytes(len(content) % 2)
                place = struct.pack("<I", len(content))
                content += packed
            else:
                place = packed.ljust(4, b"\0")
            entries.append(struct.pack("<HHI", tag, kind, number) + place)
        content += bytes(len(content) % 2)
        struct.pack_into("<I", content, last, len(content))
        content += struct.pack("<H", len(entries)) + b"".join(entries)
        last = len(content)
        content += struct.pack("<I", following)
    return bytes(content)


STRIP = {273: (LONG, "data"), 278: (LONG, SIDE), 279: (LONG, SIDE * SIDE * 3)}
# A pixel of one meter, somewhere in a UTM zone.
SCALE = {33550: (DOUBLE, (1.0, 1.0, 0.0)), 33922: (DOUBLE, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0))}
PIXELS = bytes(SIDE * SIDE * 3)


def tiled(side, length, **more):
    return {322: (LONG, side), 323: (LONG, side), 324: (LONG, "data"), 325: (LONG, length)} | more


def deflated(length):
    packer = zlib.compressobj(9)
    return packer.compress(bytes(length)) + packer.flush()


# VRT

PLAIN = "pixels.tif"
FULL = f'xOff="0" yOff="0" xSize="{SIDE}" ySize="{SIDE}"'
KNOWN = (
    f'<SourceProperties RasterXSize="{SIDE}" RasterYSize="{SIDE}" DataType="Byte" BlockXSize="{SIDE}" '
    f'BlockYSize="{SIDE}"/><SrcRect {FULL}/><DstRect {FULL}/>'
)


def source(name, kind="SimpleSource", more=KNOWN, band=1):
    return (
        f'<{kind}><SourceFilename relativeToVRT="{int(name == PLAIN)}">{escape(name)}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>{more}</{kind}>"
    )


def vrt(*sources, attributes="", before="", after="", width=SIDE, height=SIDE):
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}" {attributes}>{"".join(sources)}</VRTRasterBand>'
        for band in (1, 2, 3)
    )
    return f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{before}{bands}{after}</VRTDataset>'


def wms(url):
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}</ServerUrl></Service><DataWindow>'
        "<UpperLeftX>0</UpperLeftX><UpperLeftY>0</UpperLeftY><LowerRightX>1</LowerRightX><LowerRightY>1"
        "</LowerRightY><TileLevel>1</TileLevel></DataWindow><BandsCount>3</BandsCount></GDAL_WMS>"
    )


# Where a case's server listens while it is opened.
URL = "http://127.0.0.1:41999/x.tif"


def written(name, content, *beside):
    """Writes a raster, a good one that others may name, and what lies beside it."""

    def make(folder):
        (folder / PLAIN).write_bytes(tiff(STRIP, PIXELS))
        for other, given in [*beside, (name, content)]:
            data = given(folder) if callable(given) else given
            (folder / other).write_bytes(data.encode() if isinstance(data, str) else data)
        return folder / name

    return make


def linked(name, target):
    """Writes a VRT of something that is no regular file."""

    def make(folder):
        path = folder / "source.tif"
        if target == "pipe":
            os.mkfifo(path)
        elif target == "folder":
            path.mkdir()
        else:
            path.symlink_to(target)
        (folder / name).write_text(vrt(source(str(path))))
        return folder / name

    return make


def chained(length):
    """Writes VRTs, each of the one before."""

    def make(folder):
        (folder / PLAIN).write_bytes(tiff(STRIP, PIXELS))
        for number in range(length):
            before = folder / (f"{number - 1}.vrt" if number else PLAIN)
            (folder / f"{number}.vrt").write_text(vrt(source(str(before))))
        return folder / f"{length - 1}.vrt"

    return make


def fanned(depth, each):
    """Writes VRTs, each of which reads the one before many times."""

    def make(folder):
        (folder / PLAIN).write_bytes(tiff(STRIP, PIXELS))
        for number in range(depth):
            before = folder / (f"{number - 1}.vrt" if number else PLAIN)
            (folder / f"{number}.vrt").write_text(vrt(*[source(str(before))] * each))
        return folder / f"{depth - 1}.vrt"

    return make


def encoded(driver, suffix, **creation):
    """Writes a raster by GDAL, for formats that are not written by hand here."""

    def make(folder):
        import rasterio

        path = folder / f"raster{suffix}"
        values = np.zeros((3, creation.pop("height", SIDE), creation.pop("width", SIDE)), np.uint8)
        with rasterio.open(
            path, "w", driver=driver, width=values.shape[2], height=values.shape[1], count=3, dtype="uint8",
            **creation,
        ) as file:  # fmt: skip
            file.write(values)
        return path

    return make


def changed(make, change):
    """Writes what `make` does, with its bytes changed."""

    def changing(folder):
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return changing


def larger_jp2(data):
    """A JPEG 2000 that declares other sizes than it holds."""
    at = data.index(b"ihdr") + 4
    data = data[:at] + struct.pack(">II", 2_000_000, 2_000_000) + data[at + 8 :]
    at = data.index(b"\xff\x51") + 6
    side = struct.pack(">I", 2_000_000)
    return data[:at] + side * 2 + data[at + 8 : at + 16] + side * 2 + data[at + 24 :]


def metadata(text):
    return {42112: (ASCII, text.encode() + b"\0")}


def ways_to_connect():
    for name, target in (
        ("a URL", URL), ("a URL by /vsicurl/", f"/vsicurl/{URL}"), ("a URL with options", f"/vsicurl?url={URL}"),
        ("a stream", f"/vsicurl_streaming/{URL}"), ("an archive of a URL", f"/vsizip//vsicurl/{URL}/x.tif"),
        ("a compressed URL", f"/vsigzip//vsicurl/{URL}"), ("a part of a URL", f"/vsisubfile/0_9,/vsicurl/{URL}"),
        ("a tile service", wms(URL)), ("a bucket", "/vsis3/bucket/key.tif"), ("WMTS", f"WMTS:{URL}"),
        ("WCS", f"WCS:{URL}"), ("a catalog", f'STACIT:"/vsicurl/{URL}"'), ("Zarr", f'ZARR:"/vsicurl/{URL}"'),
        ("a VRT within", vrt(source(URL))), ("a connection", f"vrt://{URL}"),
    ):  # fmt: skip
        for known in (True, False):
            text = vrt(source(target, more=KNOWN if known else ""))
            yield Case(f"a mosaic of {name}{' seen before' * known}", written("m.vrt", text), REFUSED)
    yield Case("a warped raster of a URL", written("m.vrt", (
        f'<VRTDataset rasterXSize="64" rasterYSize="64" subClass="VRTWarpedDataset"><VRTRasterBand dataType="Byte" '
        f'band="1" subClass="VRTWarpedRasterBand"/><GDALWarpOptions><SourceDataset relativeToVRT="0">/vsicurl/{URL}'
        "</SourceDataset></GDALWarpOptions></VRTDataset>"
    )), REFUSED)  # fmt: skip
    yield Case("a tile service", written("service.tif", wms(URL)), REFUSED)
    yield Case("a tile service named VRT", written("service.vrt", wms(URL)), REFUSED)
    pam = '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{}</MDI></Metadata></PAMDataset>'
    for name, target in (("a URL", URL), ("/vsicurl/", f"/vsicurl/{URL}"), ("a service", escape(wms(URL)))):
        yield Case(f"overviews at {name}, said beside", written(
            "p.tif", tiff(STRIP, PIXELS), ("p.tif.aux.xml", pam.format(target))), REFUSED)  # fmt: skip
        items = f'<GDALMetadata><Item name="OVERVIEW_FILE" domain="OVERVIEWS">{target}</Item></GDALMetadata>'
        yield Case(f"overviews at {name}, said within", written(
            "p.tif", tiff(STRIP | metadata(items), PIXELS)), (*REFUSED, OPENED))  # fmt: skip
        yield Case(f"overviews at {name}, in a VRT", written("p.vrt", vrt(source(PLAIN), before=(
            f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{target}</MDI></Metadata>'))), REFUSED)  # fmt: skip
        yield Case(f"an overview of a band at {name}", written("p.vrt", vrt(source(PLAIN), (
            f"<Overview><SourceFilename>{target}</SourceFilename><SourceBand>1</SourceBand></Overview>"
        ))), REFUSED)  # fmt: skip
    for suffix in (".ovr", ".msk"):
        yield Case(f"a tile service as {suffix}", written(
            "p.tif", tiff(STRIP, PIXELS), (f"p.tif{suffix}", wms(URL))), (*REFUSED, OPENED))  # fmt: skip
        yield Case(f"a mosaic of a URL as {suffix}", written(
            "p.tif", tiff(STRIP, PIXELS), (f"p.tif{suffix}", vrt(source(URL)))), (*REFUSED, OPENED))  # fmt: skip
    yield Case("a mosaic of a file with a URL beside it", written(
        "m.vrt", vrt(source(PLAIN)), (f"{PLAIN}.aux.xml", pam.format(URL)),
    ), (*REFUSED, OPENED))  # fmt: skip
    yield Case("a mosaic of a service in a file", written(
        "m.vrt", vrt(source(PLAIN)), (PLAIN, wms(URL))), REFUSED)  # fmt: skip


def mosaics():
    yield Case("a mosaic of itself", written("m.vrt", vrt(source("m.vrt", more=""))), REFUSED)
    yield Case("a mosaic of itself, seen before", written(
        "m.vrt", lambda folder: vrt(source(str(folder / "m.vrt")))), REFUSED)  # fmt: skip
    yield Case("two mosaics of each other", written(
        "m.vrt", lambda folder: vrt(source(str(folder / "n.vrt"))),
        ("n.vrt", lambda folder: vrt(source(str(folder / "m.vrt")))),
    ), REFUSED)  # fmt: skip
    yield Case("mosaics of mosaics, 300 deep", chained(300), REFUSED)
    yield Case("mosaics that read the one before 30 times, 8 deep", fanned(8, 30), REFUSED)
    yield Case("a mosaic of 200,000 sources", written("m.vrt", vrt(source(PLAIN) * 66_667)), REFUSED)
    yield Case("a mosaic of 3,000 sources, one over the other", written(
        "m.vrt", vrt(source(PLAIN) * 1000)), (*REFUSED, OPENED))  # fmt: skip
    yield Case(
        "a mosaic of 50 MB", written("m.vrt", vrt(before="<!-- " + "x" * 50_000_000 + " -->")), REFUSED
    )
    yield Case("elements within elements", written("m.vrt", vrt(before="<Metadata>" * 100_000)), REFUSED)
    yield Case("entities of entities", written("m.vrt", (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
        + "]>" + vrt(source(PLAIN), before="<SRS>&i;</SRS>")
    )), REFUSED)  # fmt: skip
    yield Case("an entity from a file", written("m.vrt", (
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + vrt(source(PLAIN), before="<SRS>&a;</SRS>")
    )), REFUSED)  # fmt: skip
    for name, target in (("a pipe", "pipe"), ("a folder", "folder"), ("zeros without end", "/dev/zero"),
                         ("nothing", "/nowhere"), ("the terminal", "/dev/tty")):  # fmt: skip
        yield Case(f"a mosaic of {name}", linked("m.vrt", target), REFUSED)
    yield Case("a mosaic of stdin", written("m.vrt", vrt(source("/vsistdin/"))), REFUSED)
    yield Case("a mosaic of a password file", written("m.vrt", (
        vrt("<SourceFilename>/etc/passwd</SourceFilename><ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset>"
            "<LineOffset>1</LineOffset>", attributes='subClass="VRTRawRasterBand"', width=16, height=16)
    )), REFUSED)  # fmt: skip
    yield Case("pixels by a program", written("m.vrt", vrt(
        source(PLAIN), "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python</PixelFunctionLanguage>"
        "<PixelFunctionCode>import os; os.system('touch /tmp/fcn-edge-was-here')</PixelFunctionCode>",
        attributes='subClass="VRTDerivedRasterBand"')), REFUSED)  # fmt: skip
    yield Case(
        "a mosaic of 2 billion columns",
        written("m.vrt", vrt(source(PLAIN), width=2**31 - 1)),
        REFUSED_OR_TOO_LARGE,
    )
    yield Case("a mosaic of 1 million a side", written(
        "m.vrt", vrt(source(PLAIN), width=10**6, height=10**6)), REFUSED_OR_TOO_LARGE)  # fmt: skip
    yield Case("a mosaic of negative sides", written("m.vrt", vrt(source(PLAIN), width=-5)), REFUSED)
    yield Case("a mosaic of a source that is 20,000 times as large", written("m.vrt", vrt(source(
        PLAIN, more='<SrcRect xOff="-1e300" yOff="nan" xSize="1e300" ySize="inf"/>'
        f"<DstRect {FULL}/>"))), (*REFUSED, OPENED))  # fmt: skip
    yield Case("a filter of a large kernel", written("m.vrt", vrt(source(
        PLAIN, "KernelFilteredSource", f'{KNOWN}<Kernel normalized="1"><Size>4001</Size><Coefs>{"1 " * 4001 * 10}</Coefs></Kernel>'
    ))), REFUSED)  # fmt: skip
    yield Case("a block of a mosaic, gigabytes", written("m.vrt", vrt(
        source(PLAIN), attributes='blockXSize="60000" blockYSize="60000"')), (*REFUSED, OPENED))  # fmt: skip
    yield Case(
        "a name with control characters", written("m.vrt", vrt(source("\\e[31m" + "x" * 9000))), REFUSED
    )


def tiffs():
    yield Case("one tile of 60,000 a side", written("p.tif", tiff(
        tiled(60_000, 100) | {256: (LONG, 60_000), 257: (LONG, 60_000), 259: (SHORT, 8)}, deflated(10**6))
    ), REFUSED)  # fmt: skip
    yield Case("one tile of 60,000 a side around a small image", written("p.tif", tiff(
        tiled(60_000, 1000) | {259: (SHORT, 8)}, deflated(10**6))), REFUSED)  # fmt: skip
    data = deflated(1 << 30)
    yield Case("a strip that becomes a gigabyte", written("p.tif", tiff(
        {256: (LONG, 20_000), 257: (LONG, 17_895), 259: (SHORT, 8), 273: (LONG, "data"), 278: (LONG, 17_895),
         279: (LONG, len(data))}, data)), REFUSED)  # fmt: skip
    yield Case("a tile whose data is larger than it", written("p.tif", tiff(
        tiled(64, len(data)) | {259: (SHORT, 8)}, data)), (*REFUSED, OPENED))  # fmt: skip
    yield Case("60,000 bands", written("p.tif", tiff(STRIP | {277: (SHORT, 60_000), 258: (SHORT, 8)}, PIXELS)),
               REFUSED_OR_TOO_LARGE)  # fmt: skip
    yield Case("60,000 bands in planes", written("p.tif", tiff(
        {277: (SHORT, 60_000), 258: (SHORT, 8), 284: (SHORT, 2), 256: (LONG, 1), 257: (LONG, 1), 278: (LONG, 1),
         273: (LONG, (8,) * 60_000), 279: (LONG, (1,) * 60_000)}, PIXELS)), (*REFUSED, OPENED))  # fmt: skip
    yield Case("2 billion columns", written("p.tif", tiff(STRIP | {256: (LONG, 2**31 - 1), 257: (LONG, 1)}, PIXELS)),
               REFUSED_OR_TOO_LARGE)  # fmt: skip
    yield Case("2 billion rows", written("p.tif", tiff(STRIP | {257: (LONG, 2**31 - 1)}, PIXELS)),
               REFUSED_OR_TOO_LARGE)  # fmt: skip
    yield Case("a million a side, nothing stored", written("p.tif", tiff(
        tiled(512, 0) | {256: (LONG, 10**6), 257: (LONG, 10**6)})), REFUSED_OR_TOO_LARGE)  # fmt: skip
    yield Case("no sides", written("p.tif", tiff(STRIP | {256: (LONG, 0)}, PIXELS)), REFUSED)
    yield Case("a directory that follows itself", written("p.tif", tiff(STRIP, PIXELS, following=len(PIXELS) + 8 + 6)),
               (*REFUSED, OPENED))  # fmt: skip
    mask = {254: (LONG, 1), 256: (LONG, 32), 257: (LONG, 32)}
    yield Case(
        "30,000 overviews", written("p.tif", tiff(STRIP | mask, PIXELS, count=30_000)), (*REFUSED, OPENED)
    )
    yield Case("30,000 masks", written("p.tif", tiff(STRIP | {254: (LONG, 4)}, PIXELS, count=30_000)),
               (*REFUSED, OPENED))  # fmt: skip
    for name, text in (
        ("long", "<GDALMetadata>" + "<Item name='a'>b</Item>" * 500_000 + "</GDALMetadata>"),
        ("deep", "<GDALMetadata>" * 100_000),
        ("escapes", "<GDALMetadata><Item name='DESCRIPTION' sample='0' role='description'>\x1b[31mred\n</Item></GDALMetadata>"),
        ("numbers", "<GDALMetadata><Item name='SCALE' sample='0' role='scale'>nan</Item></GDALMetadata>"),
    ):  # fmt: skip
        yield Case(
            f"metadata, {name}", written("p.tif", tiff(STRIP | metadata(text), PIXELS)), (*REFUSED, OPENED)
        )
    nodata = {"nan": b"nan\0", "text": b"x" * 100_000 + b"\0", "huge": b"1e999\0", "escape": b"\x1b[31m\0"}
    for name, value in nodata.items():
        yield Case(
            f"no data, {name}",
            written("p.tif", tiff(STRIP | {42113: (ASCII, value)}, PIXELS)),
            (*REFUSED, OPENED),
        )
    utm = {34735: (SHORT, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632))}
    for name, scale in (
        ("zero", 0.0),
        ("nan", float("nan")),
        ("inf", float("inf")),
        ("huge", 1e300),
        ("tiny", 1e-300),
    ):
        tags = {33550: (DOUBLE, (scale, scale, 0.0))}
        yield Case(f"pixels of {name} meters", written("p.tif", tiff(STRIP | SCALE | utm | tags, PIXELS)),
                   (*REFUSED, "UsageError", OPENED))  # fmt: skip
    yield Case("a CRS that names a grid file", written("p.tif", tiff(STRIP | SCALE | {
        34735: (SHORT, (1, 1, 0, 1, 1026, 34737, 40, 0)), 34737: (ASCII, b"+proj=utm +nadgrids=/vsicurl/http://127.0.0.1:41999/x|\0"),
    }, PIXELS)), (*REFUSED, "UsageError", OPENED))  # fmt: skip
    points = {33922: (DOUBLE, tuple(float(i) for i in range(6 * 100_000)))}
    yield Case(
        "100,000 ground control points",
        written("p.tif", tiff(STRIP | utm | points, PIXELS)),
        (*REFUSED, OPENED),
    )
    yield Case("a palette and 3 bands", written("p.tif", tiff(STRIP | {262: (SHORT, 3), 320: (SHORT, (0,) * 768)}, PIXELS)),
               (*REFUSED, OPENED))  # fmt: skip
    for compression in (2, 3, 4, 5, 6, 7, 8, 32773, 32809, 34676, 34887, 34925, 50000, 50001, 50002, 65000):
        yield Case(f"noise by compression {compression}", written("p.tif", tiff(
            STRIP | {259: (SHORT, compression)}, np.random.default_rng(0).bytes(SIDE * SIDE * 3))),
            (*REFUSED, OPENED))  # fmt: skip


def others():
    yield Case(
        "a JPEG 2000 that declares 2 million a side",
        changed(encoded("JP2OpenJPEG", ".jp2"), larger_jp2),
        REFUSED_OR_TOO_LARGE,
    )
    yield Case(
        "a JPEG 2000 cut short",
        changed(encoded("JP2OpenJPEG", ".jp2"), lambda data: data[:-40]),
        (*REFUSED, OPENED),
    )
    yield Case(
        "an image of GDAL's own cut short", changed(encoded("HFA", ".img"), lambda data: data[:900]), REFUSED
    )
    yield Case("half a TIFF", changed(encoded("GTiff", ".tif"), lambda data: data[: len(data) // 2]), REFUSED)
    for name, content in (
        ("PDF", b"%PDF-1.7\n" + b"1 0 obj <</Type/Catalog>> endobj\n" * 9), ("GRIB", b"GRIB\0\0\0\2" + bytes(99)),
        ("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(999)), ("SQLite", b"SQLite format 3\0" + bytes(999)),
        ("NITF", b"NITF02.10" + b"0" * 999), ("text", b"ncols 5\nnrows 5\n" + b"1 " * 25), ("nothing", b""),
        ("netCDF", b"CDF\1" + bytes(99)), ("JSON", b'{"type": "FeatureCollection"}'), ("MRF", b"<MRF_META/>"),
    ):  # fmt: skip
        yield Case(f"a file of another kind, {name}", written("p.tif", content), REFUSED)
    yield Case("a pipe", _pipe, REFUSED)
    yield Case("a folder", _folder, REFUSED)


def _pipe(folder):
    os.mkfifo(folder / "p.tif")
    return folder / "p.tif"


def _folder(folder):
    (folder / "p.tif").mkdir()
    return folder / "p.tif"


def _open(path: Path) -> str | None:
    """Label it, with polygons and a preview, while a server listens."""
    from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster

    port = int(URL.split(":")[2].split("/", maxsplit=1)[0])
    with socket.create_server(("127.0.0.1", port), reuse_port=True) as server:
        server.setblocking(False)
        ended = threading.Event()
        calls: list[bytes] = []

        def listen() -> None:
            while not ended.wait(0.005):
                try:
                    connection, _ = server.accept()
                except BlockingIOError:
                    continue
                calls.append(b"")
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        out = path.parent / "result"
        out.mkdir()
        # Of which this process has much already when other subjects were opened before.
        options = MapOptions(device="cpu", threads=1, polygons=out / "map.gpkg", memory=3 * 10**9)
        try:
            label_raster(path, MODEL, out / "map.tif", options)
        except Exception:
            left = [found.name for found in out.iterdir() if not found.name.startswith(".")]
            if left:
                return f"left {', '.join(left)}"
            raise
        finally:
            ended.set()
            thread.join()
            if calls:
                raise AssertionError("it connected")
    return None


def _good(folder: Path) -> Path:
    return written("m.vrt", vrt(source(PLAIN)))(folder)


def _warm() -> None:
    import pyogrio  # noqa: F401 - for the children
    import rasterio  # noqa: F401 - the same

    import fcn_edge_runtime.maps.label_raster
    import fcn_edge_runtime.maps.preview  # noqa: F401 - the same


CASES = (*ways_to_connect(), *mosaics(), *tiffs(), *others())
SUBJECT = Subject("rasters", _good, _open, CASES, _warm)
