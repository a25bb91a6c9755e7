from __future__ import annotations

import io
import json
import os
import random
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.reading import read_image, read_picture
from fcn_edge_runtime.imaging.structure.png import Layout
from fcn_edge_runtime.imaging.writing import confidence_png, encoded, labels_png, legend, with_legend
from fcn_edge_runtime.model.card import Card, ClassInfo, InputSpec
from fcn_edge_runtime.segmentation import Segmentation
from tests.hostile.pictures import chunk, npy, png

RGB, GRAY = InputSpec.default(3), InputSpec.default(1)
DEEP, FLOAT = InputSpec.default(3, "uint16"), InputSpec.default(3, "float32")
COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]], np.uint8)


def refusal(path, spec=RGB, **options):
    with pytest.raises(InputError) as caught:
        read_image(path, spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def save(tmp_path):
    def give(image, name="a.png", **options):
        path = tmp_path / name
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
        return path

    return give


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp"])
def test_lossless_images_are_read_bit_for_bit(save, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    assert (read_image(save(COLORS, name, **options), RGB) == COLORS).all()


def test_a_jpeg_is_read_as_pillow_decodes_it(save, photo):
    path = save(photo, "a.jpg", quality=90)
    assert (read_image(path, RGB) == np.asarray(Image.open(path))).all()


def test_the_format_follows_the_content_and_not_the_name(save, tmp_path):
    path = save(COLORS)
    path = path.rename(tmp_path / "picture.jpg")
    assert (read_image(path, RGB) == COLORS).all()


def palette_picture():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    return image


# Per mode: the stored image, and what an RGB and a gray model get for the pixel at row 0, column 1.
RULES = {
    "1": (Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"), [255, 255, 255], 255),
    "L": (Image.fromarray(np.array([[0, 77]], np.uint8)), [77, 77, 77], 77),
    "LA": (Image.fromarray(np.array([[[0, 0], [77, 3]]], np.uint8), "LA"), [77, 77, 77], 77),
    "RGB": (Image.fromarray(COLORS), [0, 255, 0], 150),
    "RGBA": (Image.fromarray(np.dstack([COLORS, COLORS[..., 0]]), "RGBA"), [0, 255, 0], 150),
    "P": (palette_picture(), [0, 255, 0], 150),
    "I;16": (Image.fromarray(np.array([[0, 0x8000]], np.uint16)), [128, 128, 128], 128),
}


@pytest.mark.parametrize("mode", RULES)
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_every_mode_is_converted_by_the_written_rule(save, mode, name):
    image, rgb, gray = RULES[mode]
    path = save(image, name)
    assert read_image(path, RGB)[0, 1].tolist() == rgb
    assert read_image(path, GRAY)[0, 1].tolist() == [gray]


def test_cmyk_is_converted_by_pillows_formula(save):
    image = Image.fromarray(np.array([[[0, 255, 255, 0], [255, 255, 0, 0]]], np.uint8), "CMYK")
    assert read_image(save(image, "a.tif"), RGB)[0].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_16_bit_gray_is_rounded_never_clipped(save):
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], np.uint16)
    path = save(values)
    assert read_image(path, GRAY)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]
    deep = InputSpec.default(1, "uint16")
    assert (read_image(path, deep)[..., 0] == values).all()
    floats = read_image(path, InputSpec.default(1, "float32"))[..., 0]
    assert np.allclose(floats, values / 65535, atol=1e-7)


def test_big_endian_16_bit_tiff_holds_the_same_values(tmp_path):
    values = np.array([[1, 256, 65535]], np.uint16)
    path = tmp_path / "big.tif"
    Image.frombytes("I;16B", (3, 1), values.astype(">u2").tobytes()).save(path)
    assert (read_image(path, InputSpec.default(1, "uint16"))[..., 0] == values).all()


def test_colors_of_16_bits_are_read_as_8_bits_or_refused(tmp_path):
    path = tmp_path / "deep.png"
    path.write_bytes(png(1, 1, 16, 2, zlib.compress(b"\0" + bytes([0x12, 0xFF, 0x34, 0xFF, 0x56, 0xFF]))))
    assert read_image(path, RGB)[0, 0].tolist() == [0x12, 0x34, 0x56]
    assert "16 bits, of which only 8 can be read" in refusal(path, DEEP)
    assert "16 bits" in refusal(path, FLOAT)


def test_8_bit_images_span_the_range_of_deeper_models(save):
    path = save(COLORS)
    assert (read_image(path, DEEP) == COLORS.astype(np.uint16) * 257).all()
    assert np.allclose(read_image(path, FLOAT), COLORS / 255, atol=1e-7)
    scaled = InputSpec(3, "float32", 1 / 255, RGB.mean, RGB.std)
    assert (read_image(path, scaled) == COLORS).all()


def test_float_images_are_read_unchanged_or_refused(save):
    values = np.array([[0.25, -3.5]], np.float32)
    path = save(Image.fromarray(values), "a.tif")
    assert (read_image(path, InputSpec.default(1, "float32"))[..., 0] == values).all()
    for spec in (RGB, GRAY, FLOAT):
        assert "'F', which cannot be converted exactly" in refusal(path, spec)


def test_32_bit_integers_are_refused(save):
    assert "cannot be converted exactly" in refusal(
        save(Image.fromarray(np.array([[70000]], np.int32)), "a.tif")
    )


def test_models_of_other_bands_take_arrays(save, tmp_path, photo):
    four = np.dstack([photo, photo[..., 0]])
    assert (read_image(save(Image.fromarray(four, "RGBA")), InputSpec.default(4)) == four).all()
    five = InputSpec.default(5)
    assert "save the array (H, W, C) as .npy" in refusal(save(photo), five)
    bands = np.dstack([four, photo[..., 1]])
    np.save(tmp_path / "bands.npy", bands)
    assert (read_image(tmp_path / "bands.npy", five) == bands).all()
    np.save(tmp_path / "gray.npy", photo[..., 0])
    assert read_image(tmp_path / "gray.npy", GRAY).shape == (48, 64, 1)


def test_bad_arrays_are_refused(tmp_path, photo):
    path = tmp_path / "a.npy"
    for data in (b"", b"\x93NUMPY", b"rubbish", npy("(999999999, 999999999, 3)"), npy("(2, 2, 3)", "'|O'")):
        path.write_bytes(data)
        assert "is not a readable array" in refusal(path)
    np.save(path, photo[0, 0])
    assert "shape (3,)" in refusal(path)
    np.savez(tmp_path / "b.npz", photo)
    (tmp_path / "b.npz").rename(path)
    assert "does not start as a .npy file" in refusal(path)
    np.save(path, photo.astype(np.int16))
    assert "a.npy's dtype is int16, expected uint8" in refusal(path)
    np.save(path, photo[..., :2])
    assert "a.npy has shape (48, 64, 2), expected (H, W, 3)" in refusal(path)
    np.save(path, photo)
    assert "3072 pixels, expected at most 100" in refusal(path, max_pixels=100)


@pytest.mark.security("EXIF orientation, all eight", "the mask matches what a person sees")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_by_its_exif_orientation(save, photo, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(photo, "a.png", exif=exif)
    turns = {
        1: photo,
        2: photo[:, ::-1],
        3: photo[::-1, ::-1],
        4: photo[::-1],
        5: photo.transpose(1, 0, 2),
        6: photo.transpose(1, 0, 2)[:, ::-1],
        7: photo.transpose(1, 0, 2)[::-1, ::-1],
        8: photo.transpose(1, 0, 2)[::-1],
    }
    assert np.array_equal(read_image(path, RGB), turns[orientation])


@pytest.mark.security("more pixels than the limit", "refused before decoding")
def test_the_limit_on_pixels_is_checked_before_decoding(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(30000, 30000, 8, 2, zlib.compress(b"\0" * 1000)))
    start = time.process_time()
    message = refusal(path)
    assert "pixels" in message
    assert time.process_time() - start < 1
    path.write_bytes(png(9500, 9500, 8, 2, zlib.compress(b"\0" * 1000)))
    assert "90250000 pixels, expected at most 1000" in refusal(path, max_pixels=1000)


def test_too_little_data_for_the_declared_size_is_refused(tmp_path):
    path = tmp_path / "short.png"
    path.write_bytes(png(2000, 2000, 8, 2, zlib.compress(b"\0" * 1000)))
    assert "damaged or truncated" in refusal(path)


@pytest.mark.security("truncated images", "refused")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp"])
def test_an_image_truncated_anywhere_is_refused(save, photo, name):
    path = save(photo, name)
    whole, data = read_image(path, RGB), path.read_bytes()
    for length in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:length])
        try:
            assert np.array_equal(read_image(path, RGB), whole)
        except InputError:
            continue
        assert length > 0.9 * len(data)


@pytest.mark.security("damaged images", "refused or read")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp"])
def test_damaged_images_raise_no_foreign_error(save, photo, name):
    path = save(photo, name)
    data = path.read_bytes()
    numbers = random.Random(11)  # noqa: S311 - seeded for repetition, not a secret
    for _ in range(60):
        bad = bytearray(data)
        for _ in range(4):
            bad[numbers.randrange(min(len(bad), 600))] = numbers.randrange(256)
        path.write_bytes(bad)
        try:
            image = read_image(path, RGB)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most damage is detected, some decodes
        else:
            assert image.dtype == np.uint8
            assert image.shape[2] == 3


@pytest.mark.security("animations, many pages", "refused")
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_animations_and_multi_page_files_are_refused(save, photo, name):
    second = Image.fromarray(photo[::-1])
    path = save(photo, name, save_all=True, append_images=[second])
    assert "several images" in refusal(path)


def test_the_first_image_of_a_cameras_mpo_is_read(save, photo):
    second = Image.fromarray(photo[::-1])
    path = save(photo, "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert np.abs(read_image(path, RGB).astype(int) - photo).mean() < 8


@pytest.mark.security("image formats off the list", "refused")
def test_other_formats_are_refused_with_the_supported_ones(save, photo):
    for name in ("a.gif", "a.ppm", "a.ico", "a.pdf"):
        assert "expected PNG, JPEG, BMP, TIFF, WEBP" in refusal(save(photo, name))


def test_missing_files_folders_and_pipes_are_refused_at_once(tmp_path):
    assert "there is no image" in refusal(tmp_path / "none.png")
    assert "is a folder, pipe or device" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    assert "is a folder, pipe or device" in refusal(tmp_path / "pipe.png")
    assert "cannot be opened" in refusal("a\0b.png")


def test_a_missing_pillow_is_reported_with_its_extra(save, monkeypatch):
    path = save(COLORS)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install 'fcn-edge[images]'" in refusal(path)


CLASSES = (ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "Stra\u00dfe \u0416 \x1b[31m", (128, 64, 128)))
CARD = Card("test", CLASSES, RGB)
LABELS = np.array([[0, 1, 1], [255, 1, 0]], np.uint8)


def opened(data):
    return Image.open(io.BytesIO(data))


def test_saved_labels_keep_their_ids_and_show_their_colors():
    image = opened(labels_png(LABELS, CARD))
    assert image.mode == "P"
    assert (np.asarray(image) == LABELS).all()
    assert np.asarray(image.convert("RGB"))[0, 1].tolist() == [128, 64, 128]


def test_saved_16_bit_labels_keep_their_ids():
    labels = np.array([[0, 299], [65535, 1]], np.uint16)
    assert (np.asarray(opened(labels_png(labels, CARD))).astype(np.int64) == labels).all()


def test_saved_confidence_is_gray_and_255_is_certain():
    image = opened(confidence_png(np.array([[0.5, 1.0]], np.float32)))
    assert np.asarray(image).tolist() == [[128, 255]]


@pytest.mark.parametrize("width", [1, 60, 200, 2000])
def test_a_legend_fits_any_width_and_any_name(width):
    areas = Segmentation(LABELS, CARD, "x", 1.0).areas()
    strip = legend(areas, width)
    assert strip.shape[1:] == (width, 3)
    assert strip.dtype == np.uint8
    if width > 100:
        assert (strip == np.array([128, 64, 128])).all(axis=-1).sum() > 50


def areas_of_classes(count, name="class"):
    kinds = tuple(ClassInfo(i, f"{name} {i}", (i % 256, 9, 9)) for i in range(count))
    labels = np.arange(count, dtype=np.uint16)
    return Segmentation(labels, Card("many", kinds, RGB), "x", 1.0).areas()


@pytest.mark.security("wide or narrow pictures, many classes, in legends and plots", "bounded")
@pytest.mark.parametrize("size", [(1, 1_000_000), (3, 100_000), (100_000, 3), (1, 1), (20, 20_000)])
def test_a_legend_is_bounded_for_any_shape(size):
    picture = np.zeros((*size, 3), np.uint8)
    shown = with_legend(picture, areas_of_classes(21))
    assert shown.shape[1:] == picture.shape[1:]
    assert (shown.size - picture.size) // 3 <= max(4_000_000, picture.size // 3)


@pytest.mark.parametrize("count", [60, 61, 300, 1000])
def test_a_legend_of_many_classes_counts_the_rest(count):
    strip = legend(areas_of_classes(count), 640)
    assert strip.shape[0] < 500
    assert np.array_equal(strip, legend(areas_of_classes(count), 640, max_height=strip.shape[0]))


@pytest.mark.parametrize(
    "name", ["x" * 10**6, "e" + "\u0301" * 50_000, "$\\frac{", "a\nb", "\u202e", "\ud800"]
)
def test_a_legend_shows_any_name(name):
    strip = legend(areas_of_classes(3, name), 640)
    assert strip.shape[0] < 200


def test_an_overlay_is_saved_with_its_legend_below():
    result = Segmentation(np.zeros((40, 300), np.uint8), CARD, "x", 1.0)
    picture = np.full((40, 300, 3), 9, np.uint8)
    image = np.asarray(opened(encoded(with_legend(result.overlay(picture), result.areas()))))
    assert (image[:40] == 9).all()
    assert image.shape[0] > 50


@pytest.mark.security(
    "CMYK, palette, gray, alpha, 1, 16 and 32 bits, float", "converted by the written rule, or refused"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_kind_of_image_equals_the_golden_file(tmp_path):
    from tests.runtime.imaging.make_pictures import GOLDEN, outcomes

    golden = json.loads(GOLDEN.read_text())
    assert outcomes(tmp_path) == golden
    # Only images without any rule are refused for every model.
    refused = {name for name, kinds in golden.items() if set(kinds.values()) == {"refused"}}
    assert refused == {"32-bit integers"}


def test_a_real_profile_above_a_megabyte_is_not_damage(save):
    profile = random.Random(3).randbytes(3 << 20)  # noqa: S311 - repetition, not secrecy
    path = save(COLORS, "profiled.png", icc_profile=profile)
    assert (read_image(path, RGB) == COLORS).all()


def test_orientation_survives_where_a_large_profile_is_skipped(save, photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(photo, "a.png", exif=exif, icc_profile=bytes(3 << 20))
    assert np.array_equal(read_image(path, RGB), photo.transpose(1, 0, 2)[:, ::-1])


def test_pillows_limit_is_raised_to_the_callers_for_one_image(save, photo, monkeypatch):
    path = save(photo)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert np.array_equal(read_image(path, RGB), photo)
    assert Image.MAX_IMAGE_PIXELS == 1000
    assert "3072 pixels, expected at most 3000" in refusal(path, max_pixels=3000)
    assert Image.MAX_IMAGE_PIXELS == 1000


def pages(path, first, *others, kind):
    """A TIFF of several pages; the others carry NewSubfileType."""
    from PIL.TiffImagePlugin import AppendingTiffWriter, ImageFileDirectory_v2

    with AppendingTiffWriter(str(path), new=True) as writer:
        for number, picture in enumerate((first, *others)):
            tags = ImageFileDirectory_v2()
            tags[254] = kind if number else 0
            Image.fromarray(picture).save(writer, format="TIFF", tiffinfo=tags)
            writer.newFrame()
    return path


@pytest.mark.parametrize("kind", [1, 4, 5])
def test_the_first_image_of_a_tiff_with_overviews_is_read(tmp_path, photo, kind):
    path = pages(tmp_path / "cog.tif", photo, photo[::2, ::2], photo[::4, ::4], kind=kind)
    assert np.array_equal(read_image(path, RGB), photo)


def test_a_tiff_of_full_pages_is_refused(tmp_path, photo):
    for kind, others in ((0, [photo]), (2, [photo]), (1, [photo[::2]] * 70)):
        path = pages(tmp_path / "pages.tif", photo, *others, kind=kind)
        assert "several images" in refusal(path)


def test_12_bits_in_16_are_reported_and_shown_bright(save):
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    picture = read_picture(save(Image.fromarray(ramp), "deep.png"), GRAY)
    assert "values 0..4095 of 0..65535" in picture.dark
    assert "multiply it by 16" in picture.dark
    assert picture.pixels.max() == 16  # what the network sees is not changed
    assert (picture.shown[..., 0] == ramp >> 4).all()


@pytest.mark.parametrize("top", [20000, 65535])
def test_16_bit_values_in_most_of_the_range_are_not_reported(save, top):
    ramp = np.linspace(0, top, 4096).astype(np.uint16).reshape(64, 64)
    picture = read_picture(save(Image.fromarray(ramp), "deep.png"), GRAY)
    assert picture.dark == ""
    assert picture.shown is picture.pixels


def test_a_model_with_a_12_bit_scale_is_not_warned_about(save):
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    spec = InputSpec(1, "uint16", 1 / 4095, (0.0,), (1.0,))
    assert read_picture(save(Image.fromarray(ramp), "deep.png"), spec).dark == ""


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"progressive": True}),
        ("a.jpg", {"restart_marker_rows": 1}),
        ("a.jpg", {"subsampling": 0, "quality": 100}),
        *(
            ("a.tif", {"compression": name})
            for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")
        ),
        ("a.tif", {"compression": "jpeg"}),
        ("a.tif", {"tiffinfo": {278: 7}}),
        ("a.webp", {"quality": 80}),
    ],
)
def test_every_way_to_store_an_image_is_read_as_by_pillow(save, photo, name, options):
    try:
        path = save(photo, name, **options)
    except (OSError, NotImplementedError):
        pytest.skip("this Pillow does not write it")
    assert np.array_equal(read_image(path, RGB), np.asarray(Image.open(path)))


@pytest.mark.parametrize("value", [0, 127, 128, 255])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp"])
def test_an_image_of_one_color_is_whole(save, name, value):
    pixels = np.full((40, 52, 3), value, np.uint8)
    assert np.abs(read_image(save(pixels, name), RGB).astype(int) - value).max() <= 1


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize(("depth", "color"), [(1, 0), (2, 0), (16, 0), (4, 3), (8, 4), (8, 6)])
def test_a_black_png_with_all_its_rows_is_read(tmp_path, depth, color, interlaced):
    path = tmp_path / "black.png"
    layout = Layout(13, 9, depth, color, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(48)) if color == 3 else b""
    rows = bytes(layout.bytes)
    path.write_bytes(png(13, 9, depth, color, zlib.compress(rows), palette, interlaced))
    assert not read_image(path, RGB).any()
    path.write_bytes(png(13, 9, depth, color, zlib.compress(rows[:-1]), palette, interlaced))
    assert "damaged or truncated" in refusal(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_is_found_in_exif_of_every_format(save, photo, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(photo, "a.img", format=kind, exif=exif)
    assert read_image(path, RGB).shape == (64, 48, 3)


def test_orientation_is_found_in_xmp_and_in_hexadecimal(tmp_path, photo):
    exif = Image.Exif()
    exif[0x0112] = 8
    text = f"\nexif\n{len(exif.tobytes()):8}\n{exif.tobytes().hex()}\n"
    xmp = '<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    for key, value in (("Raw profile type exif", text), ("XML:com.adobe.xmp", xmp)):
        for compressed in (False, True):
            info = PngInfo()
            add = info.add_itxt if key.startswith("XML") else info.add_text
            add(key, value, zip=compressed)
            Image.fromarray(photo).save(tmp_path / "a.png", pnginfo=info)
            assert read_image(tmp_path / "a.png", RGB).shape == (64, 48, 3), key
    Image.fromarray(photo).save(tmp_path / "a.webp", xmp=xmp.encode())
    assert read_image(tmp_path / "a.webp", RGB).shape == (64, 48, 3)
