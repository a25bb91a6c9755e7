from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.evaluation.labels import labels_of
from fcn_edge_runtime.evaluation.masks import LabelFolder, find_pairs, read_labels
from fcn_edge_runtime.imaging.writing import labels_png
from fcn_edge_runtime.model.card import Card, ClassInfo, InputSpec

COLORS = ((0, 0, 0), (255, 0, 0), (0, 0, 255), (90, 90, 90))
CARD = Card("net", tuple(ClassInfo(i, f"c{i}", c) for i, c in enumerate(COLORS)), InputSpec.default(3))
TWO = Card("two", CARD.classes[:2], CARD.input)
IDS = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], np.uint8)
UNLABELED = (224, 224, 192)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mask.png"


def read(path, card=CARD, **options):
    return read_labels(path, card, LabelFolder(path.parent, **options)).tolist()


def gray_png(path, values, depth):
    """A gray PNG of 1, 2 or 4 bits a pixel, as optimizers write them; Pillow cannot."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b""
    for row in values:
        bits = "".join(f"{value:0{depth}b}" for value in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], depth, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def palette_png(path, values, colors):
    image = Image.fromarray(np.asarray(values, np.uint8))
    image.putpalette(bytes(value for color in colors for value in color))
    image.save(path)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_gray_of_any_depth_is_read_as_stored(path, depth):
    values = np.minimum(IDS, 2**depth - 1)
    gray_png(path, values, depth)
    assert read(path) == values.tolist()


def test_a_renumbered_palette_is_read_by_its_colors(path):
    order = [2, 0, 3, 1]  # an optimizer sorts by frequency, say
    numbers = np.argsort(order)[IDS]
    palette_png(path, numbers, [COLORS[i] for i in order])
    assert read(path) == IDS.tolist()
    assert read(path, by="id") == numbers.tolist()


def test_a_shortened_palette_keeps_the_unlabeled_value(path):
    palette_png(path, [[0, 1], [2, 0]], [COLORS[0], COLORS[2], UNLABELED])
    assert read(path) == [[0, 2], [255, 0]]


def test_our_own_labels_and_palettes_of_other_colors_are_ids(path):
    path.write_bytes(labels_png(np.array([[0, 1], [255, 3]], np.uint8), CARD))
    assert read(path) == [[0, 1], [255, 3]]
    palette_png(path, IDS, [(1, 2, 3), (4, 5, 6), (7, 8, 9), (0, 0, 0)])
    assert read(path) == IDS.tolist()
    path.write_bytes(labels_png(np.array([[77]], np.uint8), CARD))
    with pytest.raises(InputError, match="holds the id 77"):
        read(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colors_of_the_card_are_its_classes(path, mode):
    colors = np.array([*COLORS, UNLABELED], np.uint8)[[[0, 1, 2], [3, 4, 1]]]
    image = Image.fromarray(colors)
    (image.quantize(8) if mode == "P" else image.convert(mode)).save(path)
    assert read(path, by="color") == [[0, 1, 2], [3, 255, 1]]


def test_a_color_that_is_not_the_cards_is_named_with_the_nearest(path):
    Image.fromarray(np.array([[[0, 0, 0], [250, 3, 0]]], np.uint8)).save(path)
    with pytest.raises(InputError, match=r"#fa0300, .*nearest is #ff0000 \(c1\)"):
        read(path, by="color")
    with pytest.raises(InputError, match="--labels-by color"):
        read(path)


def test_a_color_of_two_classes_cannot_be_read(path):
    card = Card("net", (*CARD.classes, ClassInfo(4, "twin", (255, 0, 0))), CARD.input)
    Image.fromarray(np.array([[[255, 0, 0]]], np.uint8)).save(path)
    with pytest.raises(InputError, match="c1 and twin share"):
        read(path, card, by="color")


BINARY = np.array([[0, 1, 1, 0]], np.uint8)


@pytest.mark.parametrize("value", [1, 7, 128, 255])
def test_a_foreground_value_is_class_1(path, value):
    Image.fromarray(BINARY * np.uint8(value)).save(path)
    assert read(path, TWO, foreground=value) == BINARY.tolist()


def test_foreground_is_found_in_1_bit_palette_and_color_masks(path):
    gray_png(path, BINARY, 1)
    assert read(path, TWO, foreground=255) == read(path, TWO, foreground=1) == BINARY.tolist()
    palette_png(path, 1 - BINARY, [(255, 255, 255), (0, 0, 0)])
    assert read(path, TWO, foreground=255) == BINARY.tolist()
    Image.fromarray(np.repeat(BINARY[..., None] * np.uint8(255), 3, axis=-1)).save(path)
    assert read(path, TWO, foreground=255) == BINARY.tolist()
    Image.fromarray(BINARY.astype(np.uint16) * np.uint16(65535)).save(path)
    assert read(path, TWO, foreground=65535) == BINARY.tolist()


def test_other_values_beside_the_foreground_are_refused(path):
    Image.fromarray(np.array([[0, 254, 255]], np.uint8)).save(path)
    with pytest.raises(InputError, match="holds the value 254, expected 0 and the foreground, 255"):
        read(path, TWO, foreground=255)
    Image.fromarray(np.array([[0, 128]], np.uint8)).save(path)
    with pytest.raises(InputError, match="give --foreground 128"):
        read(path, TWO)


def test_options_that_do_not_fit_are_usage_errors(path):
    Image.fromarray(IDS).save(path)
    with pytest.raises(UsageError, match="two classes, and this one has 4"):
        read(path, foreground=255)
    for options in ({"by": "name"}, {"foreground": 0}, {"by": "color", "foreground": 255}):
        with pytest.raises(UsageError):
            LabelFolder(path, **options)


def test_16_bit_ids_are_read_as_stored(path):
    Image.fromarray(np.array([[0, 3, 65535]], np.uint16)).save(path)
    assert read(path) == [[0, 3, 65535]]


def test_masks_may_lie_beside_their_images(tmp_path):
    for name in ("a.png", "a_mask.png", "b.jpg", "b_mask.png"):
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / name)
    pairs = find_pairs([str(tmp_path)], LabelFolder(tmp_path, suffix="_mask"))
    assert [(p.image.name, p.labels.name) for p in pairs] == [
        ("a.png", "a_mask.png"),
        ("b.jpg", "b_mask.png"),
    ]


def test_an_image_is_not_its_own_mask(tmp_path):
    for name in ("a.jpg", "a.png", "b.png"):
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / name)
    with pytest.raises(InputError, match=r"b\.png has no labels: expected .*b_mask\.png"):
        find_pairs([str(tmp_path)], LabelFolder(tmp_path, suffix="_mask"))
    (tmp_path / "b.png").unlink()
    pairs = find_pairs([str(tmp_path)], tmp_path)
    assert [(p.image.name, p.labels.name) for p in pairs] == [("a.jpg", "a.png")]


def test_binary_masks_read_as_ids_stop_what_measures_with_labels(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    Image.fromarray(np.zeros((1, 4, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray(BINARY * np.uint8(255)).save(tmp_path / "labels" / "a.png")
    images, labels = tmp_path / "images", tmp_path / "labels"
    with pytest.raises(InputError, match=r"no pixel of the class 'c1'.*give --foreground 255"):
        labels_of(labels, images, ["a"], TWO)
    found = labels_of(LabelFolder(labels, foreground=255), images, ["a"], TWO)
    assert [read().tolist() for read in found.values()] == [BINARY.tolist()]
