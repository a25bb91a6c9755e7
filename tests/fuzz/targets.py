"""Every parser of untrusted bytes, each with real files to start from."""

from __future__ import annotations

import functools
import io
import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.fuzz import mutators
from tests.fuzz.bounds import attempt


@dataclass(frozen=True)
class Target:
    """A parser to fuzz.

    Attributes:
        run: takes bytes; any error that is not ours is a finding.
        seeds: returns good inputs.
        mutate: changes an input and keeps its form; None leaves it to the fuzzer.
        instrument: packages whose branches guide the fuzzer.
        largest: bytes of an input.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    mutate: Callable | None = None
    instrument: tuple[str, ...] = ("fcn_edge_runtime",)
    largest: int = 1 << 16


@functools.cache
def _folder():
    return tempfile.TemporaryDirectory(prefix="fcn-edge-fuzz-")


def _file(name, data):
    path = Path(_folder().name) / name
    path.write_bytes(data)
    return path


# Model files


@functools.cache
def _models():
    from fcn_edge_runtime.model.seal import unsealed
    from tests.export.parents import write_parent
    from tests.runtime import make_models

    folder = Path(_folder().name)
    paths = [
        make_models.build(kind, folder / f"{kind}.onnx") for kind in ("rgb", "gray", "float", "elsewhere")
    ]
    paths += [write_parent(folder / "parent.onnx"), write_parent(folder / "sparse.onnx", sparse=True)]
    return [unsealed(path.read_bytes()) for path in paths]


def _declared(data):
    from fcn_edge_runtime.model.card import CARD_KEY, Card
    from fcn_edge_runtime.model.limits import check_limits
    from fcn_edge_runtime.model.protobuf.summary import read_model

    summary, graph = read_model(data)
    check_limits(graph, Card.from_json(summary.metadata.get(CARD_KEY, b"")), len(data))


def _opened(data):
    """Sealed, so that the seal does not refuse it first; then every use of the card."""
    from fcn_edge_runtime.model.describe import describe
    from fcn_edge_runtime.model.file import ModelFile
    from fcn_edge_runtime.model.seal import sealed
    from fcn_edge_runtime.robot.cdr import encode_label_info
    from fcn_edge_runtime.robot.messages import Header, LabelInfo, VisionClass

    with ModelFile.open(_file("m.onnx", sealed(data))) as model:
        json.dumps(describe(model)).encode()
        classes = tuple(VisionClass(c.id, c.name) for c in model.card.classes)
        encode_label_info(LabelInfo(Header(), classes))


def _sealed_models():
    from fcn_edge_runtime.model.seal import sealed

    return [sealed(data) for data in _models()]


def _unsealed(data):
    from fcn_edge_runtime.model.file import ModelFile

    ModelFile.open(_file("u.onnx", data)).close()


def _loaded(data):
    """Sealed and loaded by onnxruntime; the smallest image it takes is segmented."""
    from fcn_edge_runtime.model.seal import sealed
    from fcn_edge_runtime.segmenter import Segmenter

    with Segmenter(_file("l.onnx", sealed(data)), "cpu", 1) as segmenter:
        side = min(max(segmenter.card.geometry.smallest_size, 8), 64)
        image = np.zeros((side, side, segmenter.card.input.channels), segmenter.card.input.dtype)
        result = segmenter(image)
        result.areas()


def _texts(key):
    from fcn_edge_runtime.model.protobuf.summary import summarize

    return [summarize(data).metadata[key] for data in _models()]


def _card(data):
    from fcn_edge_runtime.model.card import Card

    Card.from_json(data).to_json().encode()


def _golden(data):
    from fcn_edge_runtime.model.golden_vectors import Golden

    Golden.from_json(data)


def _profile(data):
    from fcn_edge_runtime.session.profile import Profile

    Profile.load(_file("p.json", data)).to_json().encode()


def _profiles():
    from fcn_edge_runtime.session.profile import Host, Profile, ProfileOptions

    return [Profile("m", "0" * 64, Host.here(), ProfileOptions("cpu", 1), ("a note",)).to_json().encode()]


def _described(data):
    """A card file or class list of the user, in both formats."""
    from fcn_edge.card_file import card_from, read_classes, read_description
    from fcn_edge_runtime.model.card import NetInfo

    for name in ("card.json", "card.toml"):
        path = _file(name, data)
        for read in (read_classes, lambda p: card_from(read_description(Path(p)), name="n", net=NetInfo())):
            attempt(read, str(path))


def _descriptions():
    card = {
        "name": "n",
        "classes": [{"name": "a", "color": "#000000"}, {"name": "b", "id": 1, "color": [1, 2, 3]}],
    }
    card["input"] = {"dtype": "uint16", "channels": 2, "mean": [0.5, 0.1], "std": 0.25, "scale": 0.1}
    toml = b'name = "n"\nclasses = ["a", "b"]\n[input]\ndtype = "uint8"\nmean = 0.5\n'
    return [json.dumps(card).encode(), b'["a", "b"]', toml]


# Pictures and messages


def _specs():
    from fcn_edge_runtime.model.card import InputSpec

    return [InputSpec.default(3, "uint8"), InputSpec.default(1, "uint16"), InputSpec.default(1, "float32")]


@functools.cache
def _pictures():
    from PIL import Image

    y, x = np.mgrid[:24, :20]
    rgb = np.stack([x * 9, y * 9, (x * y) % 256], axis=-1).astype(np.uint8)
    gray16 = (x * y * 131).astype(np.uint16)
    found = []
    for image, kinds in (
        (Image.fromarray(rgb), ("PNG", "JPEG", "BMP", "TIFF", "WEBP")),
        (Image.fromarray(rgb).convert("P"), ("PNG", "BMP", "TIFF")),
        (Image.fromarray(rgb).convert("CMYK"), ("JPEG", "TIFF")),
        (Image.fromarray(rgb).convert("RGBA"), ("PNG", "WEBP")),
        (Image.fromarray(rgb).convert("1"), ("PNG", "BMP", "TIFF")),
        (Image.fromarray(gray16), ("PNG", "TIFF")),
        (Image.fromarray(gray16.astype(np.float32)), ("TIFF",)),
    ):
        for kind in kinds:
            stream = io.BytesIO()
            image.save(stream, kind)
            found.append(stream.getvalue())
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(stream, "JPEG", exif=exif)
    found.append(stream.getvalue())
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "TIFF", compression="tiff_lzw")
    found.append(stream.getvalue())
    for options in ({"progressive": True}, {"restart_marker_rows": 1}):
        stream = io.BytesIO()
        Image.fromarray(rgb).save(stream, "JPEG", **options)
        found.append(stream.getvalue())
    stream = io.BytesIO()
    np.save(stream, rgb)
    return [*found, stream.getvalue()]


def _picture(data):
    """The format is found by its bytes, except for `.npy`, which is found by its name."""
    from fcn_edge_runtime.imaging.reading import read_image

    path = _file("picture.npy" if data.startswith(b"\x93NUMPY") else "picture.png", data)
    for spec in _specs():
        attempt(read_image, path, spec, 1 << 22)


def _mutate_picture(data, random):
    if not data:
        return data
    if random.random() < 0.5:
        return mutators.mutate_picture(data, random)
    out = bytearray(data)
    for _ in range(random.randint(1, 4)):
        # The first hundred bytes describe the rest.
        end = len(out) if random.random() < 0.5 else min(len(out), 100)
        out[random.randrange(end)] = random.choice((0, 1, 255, 127, random.randrange(256)))
    return mutators.fix_png(bytes(out))


def _message(data):
    """The first byte selects the message that the rest is read as."""
    from fcn_edge_runtime.robot import cdr
    from fcn_edge_runtime.robot.frames import read_frame

    kind, body = data[:1], data[1:]
    if kind == b"l":
        cdr.encode_label_info(cdr.decode_label_info(body))
        return
    decode, encode = (
        (cdr.decode_compressed_image, cdr.encode_compressed_image)
        if kind == b"c"
        else (cdr.decode_image, cdr.encode_image)
    )
    message = decode(body)
    encode(message)
    for spec in _specs():
        attempt(read_frame, message, spec, 1 << 22)


def _messages():
    from fcn_edge_runtime.robot import cdr
    from fcn_edge_runtime.robot.frames import ENCODINGS
    from fcn_edge_runtime.robot.messages import CompressedImage, Header, Image, LabelInfo, Stamp, VisionClass

    header = Header(Stamp(1, 2), "camera")
    found = []
    for name, kind in ENCODINGS.items():
        row = 4 * kind.channels * kind.depth
        found += [b"i" + cdr.encode_image(Image(header, 3, 4, name, 0, row, bytes(3 * row)))]
    for picture in _pictures()[:2]:
        found.append(b"c" + cdr.encode_compressed_image(CompressedImage(header, "jpeg", picture)))
    info = LabelInfo(header, (VisionClass(0, "a"), VisionClass(1, "b")), 0.5)
    return [*found, b"l" + cdr.encode_label_info(info)]


@functools.cache
def _bags():
    from rosbags.rosbag2 import StoragePlugin

    from tests.runtime.robot.make_corridor_bag import write_bag, write_ros1_bag

    folder = Path(_folder().name)
    frames = [np.full((6, 8, 3), i, np.uint8) for i in range(2)]
    paths = [
        write_bag(folder / "a.mcap", frames),
        write_bag(folder / "a.db3", frames, StoragePlugin.SQLITE3),
        write_ros1_bag(folder / "a.bag", frames),
    ]
    return [path.read_bytes() for path in paths]


def _bag(data):
    from fcn_edge_runtime.robot.bag.reader import decode_frame, open_bag
    from fcn_edge_runtime.robot.frames import read_frame

    suffix = "bag" if data.startswith(b"#ROSBAG") else "db3" if data.startswith(b"SQLite") else "mcap"
    with open_bag(_file(f"fuzz.{suffix}", data)) as bag:
        channels = [channel for topic in bag.image_topics for channel in topic.channels]
        for record in itertools.islice(bag.records(channels), 50):
            attempt(lambda record=record: read_frame(decode_frame(record), _specs()[0], 1 << 22))


# Rasters


@functools.cache
def _rasters():
    """Of every format, and mosaics of one that lies beside them."""
    import rasterio
    from rasterio.shutil import copy
    from rasterio.vrt import WarpedVRT

    from tests.hostile.rasters import PIXELS, PLAIN, SCALE, STRIP, source, tiff, vrt

    good = tiff(STRIP | SCALE, PIXELS)
    plain = _file(PLAIN, good)
    found = [good, vrt(source(PLAIN)).encode(), vrt(source(PLAIN, more="")).encode()]
    kinds = [("GTiff", {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "lzw"}), ("PNG", {})]
    kinds += [("JPEG", {}), ("JP2OpenJPEG", {}), ("GTiff", {"BIGTIFF": "YES", "compress": "deflate"})]
    for driver, options in kinds:
        with rasterio.MemoryFile() as memory:
            size = {"width": 24, "height": 20, "count": 3, "dtype": "uint8"}
            with memory.open(driver=driver, **size, **options) as file:
                file.write(np.arange(1440, dtype=np.uint8).reshape(3, 20, 24))
            found.append(memory.read())
    with (
        rasterio.open(plain) as file,
        WarpedVRT(file, crs="EPSG:4326", src_crs="EPSG:32632") as warped,
    ):
        copy(warped, plain.with_suffix(".vrt"), driver="VRT")
    return [*found, plain.with_suffix(".vrt").read_bytes()]


def _raster(data):
    from fcn_edge_runtime.maps.raster import Raster

    with Raster.open(_file("raster.tif", data), _specs()[0]) as raster:
        raster.read(slice(0, min(raster.height, 64)), slice(0, min(raster.width, 64)))


# Checkpoints


@functools.cache
def _checkpoints():
    import torch
    from safetensors.torch import save

    state = torch.nn.Linear(3, 2).state_dict()
    found = [save(dict(state))]
    for content, new in ((state, True), (state, False), ({"model": state, "epoch": 3, "lr": 0.1}, False)):
        stream = io.BytesIO()
        torch.save(content, stream, _use_new_zipfile_serialization=new)
        found.append(stream.getvalue())
    return found


def _checkpoint(data):
    from torch import nn

    from fcn_edge.nets.weights.checkpoints import load_weights, read_state_dict

    path = _file("w.pth", data)
    read_state_dict(path)
    load_weights(nn.Linear(3, 2), path)


TARGETS = {
    "protobuf": Target(_declared, _models, mutators.mutate_model),
    "seal": Target(_unsealed, _sealed_models),
    "file": Target(_opened, _models, mutators.mutate_model),
    "onnxruntime": Target(_loaded, _models, mutators.mutate_model),
    "card": Target(_card, lambda: _texts("fcn_edge.card"), mutators.mutate_json),
    "golden": Target(_golden, lambda: _texts("fcn_edge.golden"), mutators.mutate_json),
    "profile": Target(_profile, _profiles, mutators.mutate_json),
    "description": Target(
        _described, _descriptions, mutators.mutate_json, ("fcn_edge.card_file", "fcn_edge_export.classes")
    ),
    "picture": Target(_picture, _pictures, _mutate_picture),
    "message": Target(_message, _messages),
    "bag": Target(_bag, _bags, mutators.mutate_bag, ("fcn_edge_runtime", "rosbags"), 1 << 18),
    "raster": Target(_raster, _rasters),
    "checkpoint": Target(_checkpoint, _checkpoints, mutators.mutate_checkpoint, ("fcn_edge.nets",)),
}
