from __future__ import annotations

import pytest
from PIL import Image

from fcn_edge_runtime.benchmark.frames import MOST_FRAMES, computed_frame, frames_for, resampled
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.model.card import Card, InputSpec

RGB = InputSpec.default(3, "uint8")
CARD = Card("net", (), RGB)


@pytest.mark.parametrize("size", [(1, 1), (7, 1300), (1025, 5)])
@pytest.mark.parametrize(("channels", "dtype"), [(3, "uint8"), (1, "uint16"), (4, "float32")])
def test_computed_frames_have_any_size_and_the_models_dtype(size, channels, dtype):
    frame = computed_frame(InputSpec.default(channels, dtype), size)
    assert frame.shape == (*size, channels)
    assert frame.dtype == dtype
    assert frame.flags.c_contiguous


def test_computed_frames_differ_from_each_other():
    frames = frames_for(CARD, (20, 30))
    assert len(frames) > 1
    assert len({frame.tobytes() for frame in frames}) == len(frames)


def test_images_keep_their_size_unless_another_is_given(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "a.png")
    assert (frames_for(CARD, None, [str(tmp_path)])[0] == photo).all()
    assert frames_for(CARD, (96, 32), [str(tmp_path)])[0].shape == (96, 32, 3)


def test_of_many_images_only_some_are_kept_in_memory(tmp_path, photo):
    for index in range(MOST_FRAMES + 3):
        Image.fromarray(photo).save(tmp_path / f"{index}.png")
    assert len(frames_for(CARD, None, [str(tmp_path)])) == MOST_FRAMES


def test_a_frame_at_twice_the_size_repeats_each_pixel(photo):
    doubled = resampled(photo, (96, 128))
    assert (doubled == photo.repeat(2, axis=0).repeat(2, axis=1)).all()


def test_a_huge_size_is_refused_before_memory_is_allocated():
    with pytest.raises(InputError, match=r"10000000000 pixels, expected at most"):
        frames_for(CARD, (100_000, 100_000))


def test_no_images_and_no_size_are_errors(tmp_path):
    with pytest.raises(InputError, match="no images in"):
        frames_for(CARD, None, [str(tmp_path)])
    with pytest.raises(UsageError, match="neither a size nor images"):
        frames_for(CARD, None)
