from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime import InputError, Segmenter


@pytest.fixture(scope="module")
def segmenters(model_path):
    made = {}

    def give(kind):
        if kind not in made:
            made[kind] = Segmenter(model_path(kind), "cpu", threads=1)
        return made[kind]

    return give


def refusal(segmenter, image, reference):
    """The text of the refusal; the segmenter must stay usable."""
    with pytest.raises(InputError) as caught:
        segmenter(image)
    assert segmenter(reference).labels.shape == reference.shape[:2]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def layouts(image):
    """The same values in every memory layout of numpy."""
    big = np.zeros((2 * image.shape[0], 3 * image.shape[1], image.shape[2]), image.dtype)
    big[::2, ::3] = image
    flipped = np.ascontiguousarray(image[::-1, ::-1])
    readonly = image.copy()
    readonly.flags.writeable = False
    return {
        "fortran": np.asfortranarray(image),
        "strided": big[::2, ::3],
        "flipped": flipped[::-1, ::-1],
        "moved axis": np.ascontiguousarray(np.moveaxis(image, -1, 0)).transpose(1, 2, 0),
        "other byte order": image.astype(image.dtype.newbyteorder()),
        "read-only": readonly,
        "subclass": image.view(type("Frame", (np.ndarray,), {})),
        "unaligned": np.frombuffer(b"\0" + image.tobytes(), image.dtype, offset=1).reshape(image.shape),
    }


@pytest.mark.security("other byte order, strides, Fortran order", "converted exactly")
@pytest.mark.parametrize("layout", layouts(np.zeros((2, 2, 1), np.uint8)))
@pytest.mark.parametrize(("kind", "scale"), [("rgb", 1), ("deep", 257), ("float", 1 / 255)])
def test_every_memory_layout_gives_the_same_labels(segmenters, photo, kind, scale, layout):
    segmenter = segmenters(kind)
    image = (photo.astype(float) * scale).astype(segmenter.card.input.dtype)
    expected = segmenter(image).labels
    assert len(np.unique(expected)) > 1
    given = layouts(image)[layout]
    before = given.copy()
    assert (segmenter(given).labels == expected).all()
    assert (given == before).all()


def test_a_broadcast_batch_is_a_batch(segmenters, photo):
    segmenter = segmenters("rgb")
    result = segmenter(np.broadcast_to(photo, (3, *photo.shape)))
    assert result.labels.shape == (3, 48, 64)
    assert (result.labels == segmenter(photo).labels).all()


WRONG = {
    "a list": (np.ndarray.tolist, "is a builtins.list, expected a numpy array (H, W, 3)"),
    "nothing": (lambda _: None, "expected a numpy array"),
    "masked": (np.ma.masked_array, "masked array"),
    "gray": (
        lambda p: p[..., 0],
        "shape (48, 64), expected (H, W, 3) or (N, H, W, 3) uint8, RGB: for a gray",
    ),
    "one channel": (lambda p: p[..., :1], "np.repeat(image, 3, axis=-1)"),
    "alpha": (lambda p: np.concatenate([p, p[..., :1]], -1), "drop the alpha channel"),
    "channels first": (lambda p: np.moveaxis(p, -1, 0), "np.moveaxis(image, -3, -1)"),
    "batch of channels first": (lambda p: np.moveaxis(p, -1, 0)[None], "np.moveaxis(image, -3, -1)"),
    "rank 1": (lambda p: p[0, 0], "shape (3,)"),
    "rank 5": (lambda p: p[None, None], "shape (1, 1, 48, 64, 3)"),
    "scalar": (lambda _: np.uint8(3)[()], "expected a numpy array"),
    "float32": (lambda p: (p / 255).astype(np.float32), "np.rint(image * 255).astype(np.uint8)"),
    "float64": (lambda p: p / 255, "dtype is float64, expected uint8"),
    "int8": (lambda p: p.astype(np.int8), "dtype is int8, expected uint8"),
    "int64": (lambda p: p.astype(np.int64), "image.astype(np.uint8)"),
    "uint16": (lambda p: p.astype(np.uint16), "image // 257"),
    "bool": (lambda p: p > 3, "dtype is bool"),
    "object": (lambda p: p.astype(object), "dtype is object"),
    "text": (lambda p: p.astype("U3"), "expected uint8"),
    "complex": (lambda p: p.astype(complex), "dtype is complex128"),
    "structured": (lambda p: np.zeros(p.shape, [("a", "u1")]), "expected uint8"),
    "no height": (lambda p: p[:0], "shape (0, 64, 3), expected at least one pixel"),
    "no width": (lambda p: p[:, :0], "at least one pixel"),
    "no image in the batch": (lambda p: p[None][:0], "shape (0, 48, 64, 3)"),
}


@pytest.mark.security(
    "wrong dtype, rank, channels, order, zero sizes", "refused with the fix; the segmenter works on"
)
@pytest.mark.parametrize("kind", WRONG)
def test_an_invalid_array_is_refused_with_how_to_fix_it(segmenters, photo, kind):
    change, expected = WRONG[kind]
    assert expected in refusal(segmenters("rgb"), change(photo), photo)


def test_gray_models_take_images_without_a_channel_axis(segmenters, photo):
    segmenter = segmenters("gray")
    gray = np.ascontiguousarray(photo[..., 0])
    expected = segmenter(gray[..., None]).labels
    assert (segmenter(gray).labels == expected).all()
    assert "drop" not in refusal(segmenter, photo, gray)
    assert "image[..., None]" in refusal(segmenter, np.stack([gray] * 4), gray)


@pytest.mark.security("NaN and Inf in an array", "refused")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_nan_or_infinity_is_refused(segmenters, photo, value):
    segmenter = segmenters("float")
    good = (photo / 255).astype(np.float32)
    bad = good.copy()
    bad[7, 9, 1] = value
    assert "holds 1 values that are NaN or infinite" in refusal(segmenter, bad, good)


def test_an_overflow_in_the_network_is_an_error(segmenters):
    from fcn_edge_runtime import ModelError

    huge = np.full((8, 8, 3), 3e38, np.float32)
    huge[::2] *= -1
    with pytest.raises(ModelError, match="overflowed"):
        segmenters("float")(huge)


def test_images_below_the_smallest_size_are_refused(segmenters, photo):
    segmenter = segmenters("large")
    assert "39 high and 64 wide, expected at least 40" in refusal(segmenter, photo[:39], photo)
    assert segmenter(photo[:40, :40]).labels.shape == (40, 40)


@pytest.mark.security("arrays over the limit", "refused")
def test_the_limit_on_pixels_counts_the_whole_batch(model_path, photo):
    with Segmenter(model_path("plain"), "cpu", max_pixels=2 * 48 * 64) as segmenter:
        assert segmenter(np.stack([photo] * 2)).labels.shape == (2, 48, 64)
        message = refusal(segmenter, np.stack([photo] * 3), photo)
        assert "has 9216 pixels, expected at most 6144" in message
        # Refusing a huge broadcast view costs nothing.
        assert "pixels" in refusal(segmenter, np.broadcast_to(photo, (10**6, *photo.shape)), photo)


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (48, 1), (7, 5)])
def test_thin_and_tiny_images_are_segmented(segmenters, photo, shape):
    height, width = shape
    assert segmenters("rgb")(photo[:height, :width]).labels.shape == shape
