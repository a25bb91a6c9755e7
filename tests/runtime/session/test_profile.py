from __future__ import annotations

import json
import os
import pickle
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_runtime import InputError, Segmenter, UsageError, VerificationError
from fcn_edge_runtime.errors import ProfileError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.config import exact_integers
from fcn_edge_runtime.session.cpu import _described, _exact, adds_exactly, processor_name
from fcn_edge_runtime.session.profile import Host, Profile, ProfileOptions
from fcn_edge_runtime.session.session import SessionOptions


def profile_of(path, **options):
    with ModelFile.open(path) as model:
        return Profile(
            model.card.name, model.digest, Host.here(), ProfileOptions("cpu", 1, **options), ("a note",)
        )


@pytest.fixture
def profile(model_path):
    return profile_of(model_path("rgb"))


def test_a_profile_is_read_as_it_was_written(profile, tmp_path):
    path = tmp_path / "p.json"
    profile.save(path)
    assert Profile.load(path) == profile
    assert [p.name for p in tmp_path.iterdir()] == ["p.json"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threads": 2},
        {"threads": 3, "spinning": True},
        {"optimization": "extended"},
        {"optimization": "none", "cpu_arena": False},
        {"mem_pattern": True},
        {"head": "graph"},
    ],
)
def test_a_profile_does_not_change_labels_at_any_size(model_path, photo, options):
    profile = profile_of(model_path("rgb"))
    profile = replace(profile, options=replace(profile.options, **options))
    with (
        Segmenter(model_path("rgb"), "cpu") as plain,
        Segmenter(model_path("rgb"), profile=profile) as tuned,
    ):
        assert tuned.profile == profile
        assert tuned.session.why == "from the profile"
        assert tuned.session.threads == profile.options.threads
        for height, width in ((48, 64), (1, 1), (48, 64), (31, 17), (48, 64)):
            image = photo[:height, :width]
            assert (tuned(image).labels == plain(image).labels).all()


def test_the_self_test_decides_before_a_profile_is_used(model_path):
    path = model_path("plain_wrong")
    Segmenter(path, "cpu").close()
    with pytest.raises(VerificationError, match="self-test failed"):
        Segmenter(path, profile=profile_of(path))


@pytest.mark.security("a profile for another model", "refused")
def test_a_profile_of_another_model_is_an_error(profile, model_path):
    with pytest.raises(ProfileError, match=r"for the model 'test net' with SHA-256 .* run `fcn-edge tune`"):
        Segmenter(model_path("plain"), profile=profile)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"processor": "abacus"}, "processor abacus, here"),
        ({"onnxruntime": "1.2.3"}, "onnxruntime 1.2.3, here"),
        ({"cores": 4096}, "cores 4096, here"),
    ],
)
def test_a_profile_of_another_machine_is_ignored_with_a_warning(profile, model_path, photo, change, expected):
    foreign = replace(profile, host=replace(profile.host, **change))
    with pytest.warns(UserWarning, match=expected):
        opened = Segmenter(model_path("rgb"), profile=foreign)
    with opened, Segmenter(model_path("rgb")) as plain:
        assert opened.profile is None
        assert opened.session.why == plain.session.why
        assert opened.session.threads == plain.session.threads
        assert (opened(photo).labels == plain(photo).labels).all()


@pytest.mark.parametrize("given", [{"threads": 1}, {"device": "cuda"}, {"options": SessionOptions()}])
def test_options_besides_a_profile_are_a_usage_error(profile, model_path, given):
    with pytest.raises(UsageError, match="give one or the other"):
        Segmenter(model_path("rgb"), profile=profile, **given)


def test_the_device_of_the_profile_may_be_named_again(profile, model_path):
    Segmenter(model_path("rgb"), "CPUExecutionProvider", profile=profile).close()


def test_a_pickled_segmenter_brings_its_profile_along(profile, model_path, photo, tmp_path):
    profile.save(tmp_path / "p.json")
    with Segmenter(model_path("rgb"), profile=tmp_path / "p.json") as opened:
        data, expected = pickle.dumps(opened), opened(photo).labels
    (tmp_path / "p.json").unlink()
    with pickle.loads(data) as again:  # noqa: S301 - our own bytes
        assert again.profile == profile
        assert (again(photo).labels == expected).all()


def broken(profile, place, value):
    data = json.loads(profile.to_json())
    *way, last = place
    at = data
    for key in way:
        at = at[key]
    if value is KeyError:
        del at[last]
    else:
        at[last] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (["schema"], "fcn-edge-profile/2", "'schema' is 'fcn-edge-profile/2', expected 'fcn-edge-profile/1'"),
        (["schema"], KeyError, "'schema' is None"),
        (["model"], 3, "'model' is 3, expected printable text"),
        (["model"], "\x1b[2J", "'model'"),
        (["model_sha256"], "A" * 64, "'model_sha256'"),
        (["host"], [], "'host' is \\[\\], expected an object"),
        (["host", "cores"], True, "'host.cores' is True, expected a whole number"),
        (["host", "onnxruntime"], "9" * 400, "'host.onnxruntime'"),
        (["options"], None, "'options' is None"),
        (["options", "device"], "auto", "'options.device' is 'auto'"),
        (["options", "threads"], 0, "'options.threads' is 0, expected a whole number from 1 to"),
        (["options", "threads"], 1e3, "'options.threads'"),
        (["options", "threads"], 10**30, "'options.threads'"),
        (["options", "threads"], 1024, "'options.threads' is 1024, expected a whole number from 1 to"),
        (["options", "spinning"], "false", "'options.spinning' is 'false', expected true or false"),
        (["options", "bf16"], 1, "'options.bf16' is 1, expected true or false"),
        (["options", "size"], 240, "'options.size' is 240, expected a list of 2 numbers: height, width"),
        (["options", "size"], [240], "'options.size' is \\[240\\], expected a list of 2"),
        (["options", "size"], [240, 0], "'options.size\\[1\\]' is 0, expected a whole number from 1 to 4096"),
        (["options", "size"], [240, 10**9], "'options.size\\[1\\]'"),
        (["options", "size"], [True, 240], "'options.size\\[0\\]' is True"),
        (["options", "size"], [4096, 4096], "'options.size' is '4096x4096', expected at most 2160x3840"),
        (["options", "mem_pattern"], KeyError, "'options.mem_pattern' is None"),
        (["options", "optimization"], ["all"], "'options.optimization'"),
        (["options", "config"], {"a": "b"}, "'options.config' is unknown, expected only bf16, cpu_arena"),
        (["extra"], 1, "'extra' is unknown, expected only host, model"),
        (["notes"], "text", "'notes'"),
        (["notes"], [7], "'notes\\[0\\]' is 7"),
        (["notes"], ["n"] * 201, "'notes'"),
    ],
)
def test_a_field_that_is_wrong_is_named(profile, place, value, expected):
    with pytest.raises(ProfileError, match=expected) as caught:
        Profile.from_json(broken(profile, place, value))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.security("an invalid profile, or one that names a file or a library", "refused in one line")
@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"[" * 60000, b"9" * 60000, b"null", b"[]", b"{}"])
def test_what_is_not_a_profile_is_refused_in_one_line(tmp_path, data):
    path = tmp_path / "p.json"
    path.write_bytes(data)
    with pytest.raises(ProfileError) as caught:
        Profile.load(path)
    assert "\n" not in str(caught.value)


def test_a_profile_that_is_not_a_small_regular_file_is_refused(tmp_path):
    large = tmp_path / "large.json"
    with large.open("wb") as stream:
        stream.truncate(1 << 40)  # a hole: reading it whole would take the memory
    os.mkfifo(tmp_path / "pipe")
    cases = {
        large: "more than 65536 bytes",
        tmp_path / "pipe": "not a regular file",
        tmp_path: "not a regular file",
        tmp_path / "none": "No such file",
        "nul\0byte": "cannot be read",
    }
    for path, expected in cases.items():
        with pytest.raises(ProfileError, match=expected):
            Profile.load(path)


@pytest.mark.security("an invalid profile, or one that names a file or a library", "refused in one line")
def test_no_option_of_a_profile_names_a_file_or_a_library(profile):
    """Profiles come from anywhere; what they may hold is a closed list."""
    assert set(json.loads(profile.to_json())["options"]) == {
        "device",
        "threads",
        "spinning",
        "optimization",
        "cpu_arena",
        "mem_pattern",
        "head",
        "bf16",
        "size",
    }


def test_a_written_profile_can_be_read_by_its_owner(profile, tmp_path):
    profile.save(str(tmp_path / "p.json"))  # users give text, too
    assert (tmp_path / "p.json").stat().st_mode & stat.S_IRUSR
    np.testing.assert_equal(json.loads((tmp_path / "p.json").read_text())["schema"], "fcn-edge-profile/1")


def test_a_processor_has_a_name_and_vector_instructions():
    x86 = "processor: 0\nmodel name : EPYC\nflags : fpu avx avx2\n\nprocessor: 1\nmodel name : EPYC\n"
    assert _described(x86, "") == "EPYC (avx avx2)"  # the seam: a test has one processor
    arm = "processor: 0\nFeatures : fp asimddp\nCPU part : 0xd0b\nprocessor: 1\nCPU part : 0xd05\n"
    assert _described(arm, "Raspberry Pi 5") == "Raspberry Pi 5, part 0xd05, part 0xd0b (asimddp)"
    assert 0 < len(processor_name()) <= 200
    assert processor_name().isprintable()


@pytest.mark.parametrize(
    ("machine", "flags", "exact"),
    [
        ("x86_64", "avx2 fma", False),
        ("x86_64", "avx2 avx512f avx512bw", False),
        ("x86_64", "avx2 avx_vnni", True),
        ("x86_64", "avx2 avx512f avx512_vnni", True),
        ("AMD64", "avx2 avx512_vnni amx_int8", True),
        ("aarch64", "asimd", True),
    ],
)
def test_processors_that_add_8_bit_products_exactly_are_known(machine, flags, exact):
    assert _exact(machine, f"processor: 0\nflags : {flags}\n") is exact  # the seam: a test has one processor


def test_x86_without_known_instructions_counts_as_old():
    assert _exact("AMD64", "") is False


def test_slow_exact_integers_are_used_only_where_8_bits_saturate():
    assert exact_integers() == ({} if adds_exactly() else {"session.x64quantprecision": "1"})
    with Segmenter(Path(__file__).parents[2] / "artifacts" / "0.1.0-int8.onnx", "cpu") as segmenter:
        options = segmenter.session.raw.get_session_options()
        if adds_exactly():
            with pytest.raises(Exception, match="x64quantprecision"):
                options.get_session_config_entry("session.x64quantprecision")


def test_a_profile_without_head_bf16_and_size_is_read(profile):
    data = json.loads(profile.to_json())
    for newer in ("head", "bf16", "size"):
        del data["options"][newer]
    assert Profile.from_json(json.dumps(data)) == profile
    data["options"]["head"] = "cloud"
    with pytest.raises(ProfileError, match=r"'options.head' is 'cloud', expected one of graph, numpy"):
        Profile.from_json(json.dumps(data))


def test_a_profile_for_one_size_refuses_other_frames(model_path, photo, tmp_path):
    path = tmp_path / "p.json"
    profile_of(model_path("rgb"), size=(31, 17)).save(path)
    assert Profile.load(path).options.size == (31, 17)
    frame = photo[:31, :17]
    with Segmenter(model_path("rgb"), "cpu") as plain, Segmenter(model_path("rgb"), profile=path) as fixed:
        expected = plain(frame).labels
        assert (fixed(frame).labels == expected).all()
        for other, got in ((photo, "is 48 high and 64 wide"), (np.stack([frame] * 2), "is a batch of 2")):
            with pytest.raises(InputError, match=f"{got}, expected one of 31x17, .*resize it, or open"):
                fixed(other)
        assert (fixed(frame[None]).labels == expected).all()
