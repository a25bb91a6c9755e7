from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image as Pillow

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.model.card import InputSpec
from fcn_edge_runtime.robot.frames import as_array, image_message, read_frame
from fcn_edge_runtime.robot.messages import CompressedImage
from tests.runtime.robot.messages import HEADER, image_of

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = np.concatenate([RGB, RGB[:, :, :1] ^ 255], axis=2)
GRAY = RGB[:, :, :1]
DEEP = RNG.integers(0, 65536, (5, 7, 1), np.uint16)


@pytest.mark.parametrize("padding", [0, 1, 13])
@pytest.mark.parametrize(
    ("encoding", "stored", "meant"),
    [
        ("rgb8", RGB, RGB),
        ("bgr8", RGB[:, :, ::-1], RGB),
        ("8UC3", RGB[:, :, ::-1], RGB),
        ("rgba8", ALPHA, ALPHA),
        ("bgra8", ALPHA[:, :, [2, 1, 0, 3]], ALPHA),
        ("mono8", GRAY, GRAY),
        ("8UC1", GRAY, GRAY),
        ("mono16", DEEP, DEEP),
    ],
)
def test_every_encoding_is_read_with_any_padding(encoding, stored, meant, padding):
    np.testing.assert_array_equal(as_array(image_of(stored, encoding, padding)), meant)


def test_byte_order_counts_for_16_bits():
    np.testing.assert_array_equal(as_array(image_of(DEEP, "mono16", 3, big=True)), DEEP)


@pytest.mark.parametrize("encoding", ["rgb8", "rgba8", "mono8", "mono16"])
def test_arrays_become_messages_without_padding_and_back(encoding):
    array = {"rgb8": RGB, "rgba8": ALPHA, "mono8": GRAY, "mono16": DEEP}[encoding]
    message = image_message(HEADER, array, encoding)
    assert message.step == array[0].nbytes
    assert message.header is HEADER
    np.testing.assert_array_equal(as_array(message), array)


def test_gray_alpha_and_16_bits_fit_models_of_rgb_uint8():
    spec = InputSpec.default(3)
    np.testing.assert_array_equal(read_frame(image_of(GRAY, "mono8"), spec), np.repeat(GRAY, 3, 2))
    np.testing.assert_array_equal(read_frame(image_of(ALPHA, "rgba8"), spec), RGB)
    eight = (DEEP.astype(np.int64) + 128) // 257
    np.testing.assert_array_equal(read_frame(image_of(DEEP, "mono16"), spec), np.repeat(eight, 3, 2))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_message_and_a_file_of_the_same_pixels_become_equal(tmp_path, channels, dtype):
    from fcn_edge_runtime.imaging.reading import read_image

    spec = InputSpec.default(channels, dtype)
    for encoding, array in (("mono8", GRAY), ("rgb8", RGB), ("rgba8", ALPHA), ("mono16", DEEP)):
        Pillow.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(tmp_path / "a.png")
        message = image_of(array, encoding)
        if channels == 4 and encoding != "rgba8":
            for read in (lambda m=message: read_frame(m, spec), lambda: read_image(tmp_path / "a.png", spec)):
                with pytest.raises(InputError, match=f"has {array.shape[2]} channel"):
                    read()
            continue
        expected = read_image(tmp_path / "a.png", spec)
        got = read_frame(message, spec)
        assert (got.dtype, got.shape) == (expected.dtype, (5, 7, channels))
        np.testing.assert_array_equal(got, expected)


def test_compressed_messages_are_decoded_by_their_content():
    for kind in ("PNG", "JPEG"):
        file = io.BytesIO()
        Pillow.fromarray(RGB).save(file, kind)
        decoded = as_array(CompressedImage(HEADER, "rgb8; nonsense", file.getvalue()))
        np.testing.assert_array_equal(decoded, np.asarray(Pillow.open(file).convert("RGB")))


def test_png_of_16_bits_keeps_them():
    file = io.BytesIO()
    Pillow.fromarray(DEEP[:, :, 0]).save(file, "PNG")
    np.testing.assert_array_equal(as_array(CompressedImage(HEADER, "mono16; png", file.getvalue())), DEEP)


def bad(**changes):
    return dataclasses.replace(image_of(RGB), **changes)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (bad(encoding="bayer_rggb8"), "encoding is 'bayer_rggb8', expected one of rgb8"),
        (bad(encoding="32FC1"), "'32FC1'"),
        (bad(step=20), "step is 20, expected at least 21"),
        (bad(data=bytes(100)), "holds 100 bytes, expected 105"),
        (bad(data=bytes(106)), "holds 106 bytes, expected 105"),
        (bad(height=0), "0 high"),
        (bad(width=0), "0 wide"),
        (bad(height=60_000, width=60_000), "pixels, expected at most"),
        (CompressedImage(HEADER, "h264", b"\x00\x00\x00\x01garbage"), "expected a JPEG or PNG"),
        (CompressedImage(HEADER, "jpeg", b""), "expected a JPEG or PNG"),
        (CompressedImage(HEADER, "jpeg", b"\xff\xd8\xff\xe0" + bytes(30)), "damaged"),
    ],
)
def test_bad_messages_are_refused_in_one_line(message, expected):
    with pytest.raises(InputError, match=expected) as caught:
        read_frame(message, InputSpec.default(3))
    assert "\n" not in str(caught.value)


def test_a_truncated_jpeg_is_refused_and_not_padded_with_gray():
    file = io.BytesIO()
    Pillow.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)).save(file, "JPEG")
    data = file.getvalue()
    with pytest.raises(InputError, match="truncated"):
        as_array(CompressedImage(HEADER, "jpeg", data[: len(data) // 2]))
