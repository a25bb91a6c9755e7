"""Weights files of common training tools load; others are refused in one line, and none runs code."""

import argparse
import io
import json
import os
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fcn_edge import build
from fcn_edge.nets.weights.checkpoints import load_weights, read_state_dict
from fcn_edge_runtime.errors import CheckpointError
from tests.measured import assert_refused

REFERENCE = Path(__file__).parent / "reference"


def tiny(seed=0, **options):
    torch.manual_seed(seed)
    return build("fcn_tiny", width=4, **options)


def saved(content, folder, name="weights.pth", **options):
    torch.save(content, folder / name, **options)
    return folder / name


def same(net, other):
    ours, theirs = net.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def refusal(path, net=None):
    with pytest.raises(CheckpointError) as caught:
        load_weights(net or tiny(1), path)
    message = str(caught.value)
    assert "\n" not in message
    assert Path(path).name in message
    return message


def from_reference(name, seed=0):
    """A state_dict as the reference implementation saves it: names and shapes, auxiliary head and all."""
    torch.manual_seed(seed)
    state = {}
    for key, shape in map(str.split, (REFERENCE / f"{name}.txt").read_text().splitlines()):
        sizes = [int(n) for n in shape.split("x") if n != "-"]
        state[key] = torch.rand(sizes) if sizes else torch.tensor(7)
    return state


# --- what loads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
        lambda state: {"model_state_dict": state, "best_mean_iu": 0.6},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
        lambda state: {"model": {f"_orig_mod.module.{key}": value for key, value in state.items()}},
        lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}},
        lambda state: {f"module.net.backbone.{key}": value for key, value in state.items()},
        lambda state: {f"model._orig_mod.{key}": value for key, value in state.items()},
    ],
    ids=[
        *("plain", "lightning", "torchvision", "pytorch-fcn", "nested", "parallel", "compiled", "all of it"),
        *("lightning's model.", "deep", "lightning compiled"),
    ],
)
def test_a_checkpoint_loads_with_any_wrapper_of_training(tmp_path, wrap):
    net = tiny(1)

    load_weights(net, saved(wrap(tiny(0).state_dict()), tmp_path))

    assert same(net, tiny(0))


def test_what_lies_beside_a_prefix_is_left_over_and_named(tmp_path):
    state = {f"model.{key}": value for key, value in tiny(0).state_dict().items()}
    with pytest.raises(CheckpointError, match=r"1 not of this network \(criterion\.weight\)"):
        load_weights(tiny(1), saved({**state, "criterion.weight": torch.ones(3)}, tmp_path))


def test_a_network_that_is_there_twice_is_not_chosen_from(tmp_path):
    state = {f"{at}{key}": v for at in ("model.", "ema.") for key, v in tiny(0).state_dict().items()}
    with pytest.raises(CheckpointError, match=r"hold the network 2 times, under model\., ema\."):
        load_weights(tiny(1), saved(state, tmp_path))


def test_safetensors_load(tmp_path):
    save_file(tiny(0).state_dict(), tmp_path / "w.safetensors")
    net = tiny(1)

    load_weights(net, tmp_path / "w.safetensors")

    assert same(net, tiny(0))


def test_streams_of_torch_before_1_6_load(tmp_path):
    path = saved({"model": tiny(0).state_dict()}, tmp_path, _use_new_zipfile_serialization=False)
    net = tiny(1)

    load_weights(net, path)

    assert same(net, tiny(0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_another_float_type_load_into_float32(tmp_path, dtype, suffix):
    state = {key: value.to(dtype) for key, value in tiny(0).state_dict().items()}
    path = tmp_path / f"w{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    net = tiny(1)

    load_weights(net, path)

    assert {value.dtype for value in net.state_dict().values()} == {torch.float32}
    assert all(torch.equal(value, state[key].float()) for key, value in net.state_dict().items())


def test_a_checkpoint_of_jetson_inference_loads_unchanged(tmp_path):
    # What its train.py writes, arguments of the command line included.
    state = from_reference("fcn_resnet18")
    content = {
        "model": state,
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 29,
        "args": argparse.Namespace(arch="fcn_resnet18", lr=0.01, aux_loss=True, resume=""),
        "arch": "fcn_resnet18",
        "dataset": "deepscene",
        "num_classes": 21,
        "resolution": (320, 576),
        "accuracy": 0.9,
        "mean_IoU": 0.5,
    }
    net = build("fcn_resnet18")

    load_weights(net, saved(content, tmp_path))

    assert torch.equal(net.classifier[4].weight, state["classifier.4.weight"])
    assert torch.equal(net.backbone.layer4[1].bn2.running_var, state["backbone.layer4.1.bn2.running_var"])


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "stream"])
def test_a_checkpoint_to_resume_training_from_loads(tmp_path, zipped):
    net = tiny(0)
    optimizer = torch.optim.Adam(net.parameters(), amsgrad=True)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    net(torch.rand(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    content = {
        "state_dict": net.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [schedule.state_dict()],
        "hyper_parameters": {
            "lr": 1e-3,
            "size": (320, 576),
            "ids": torch.Size([3, 4]),
            "seen": b"abc",
            7: None,
        },
        "callbacks": {"best": torch.nn.Parameter(torch.ones(2)), "rng": torch.get_rng_state()},
        "ema": [torch.ones(2, 3, dtype=torch.float16).t()],
        "device": torch.device("cpu"),
        "dtype": torch.float32,
    }
    other = tiny(1)

    load_weights(other, saved(content, tmp_path, _use_new_zipfile_serialization=zipped))

    assert same(other, net)


@pytest.mark.parametrize("name", ["fcn_resnet50", "lraspp_mobilenet_v3_large"])
def test_names_of_torchvision_load_unchanged(tmp_path, name):
    state = from_reference(name)
    net = build(name)

    load_weights(net, saved(state, tmp_path))

    for key, value in net.state_dict().items():
        assert torch.equal(value, state[key])


def test_a_file_without_batch_norm_counters_loads(tmp_path):
    # torch before 0.4.1 had none.
    state = {k: v for k, v in from_reference("fcn_resnet18").items() if not k.endswith("num_batches_tracked")}
    net = build("fcn_resnet18")

    load_weights(net, saved(state, tmp_path))

    assert net.backbone.bn1.num_batches_tracked == 0


def test_a_network_with_a_part_called_module_keeps_its_names(tmp_path):
    class Wrapping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = tiny(5)

    net = Wrapping()

    load_weights(net, saved({f"module.{k}": v for k, v in tiny(0).state_dict().items()}, tmp_path))

    assert same(net.module, tiny(0))


def test_an_auxiliary_head_that_the_network_has_is_loaded(tmp_path):
    net = torch.nn.ModuleDict(
        {"classifier": torch.nn.Conv2d(1, 1, 1), "aux_classifier": torch.nn.Conv2d(1, 1, 1)}
    )
    state = {key: torch.full_like(value, 3.0) for key, value in net.state_dict().items()}

    load_weights(net, saved(state, tmp_path))

    assert net["aux_classifier"].weight.item() == 3.0


def test_reading_gives_the_tensors_by_name(tmp_path):
    state = read_state_dict(saved({"model": tiny(0).state_dict()}, tmp_path))

    assert list(state) == list(tiny(0).state_dict())
    assert torch.equal(state["conv1.weight"], tiny(0).conv1.weight)


# --- what does not fit ------------------------------------------------------------------------------------


def test_a_wrong_number_of_classes_is_reported_as_such(tmp_path):
    message = refusal(saved(tiny(0).state_dict(), tmp_path), tiny(num_classes=5))

    assert "got 21 classes, expected 5" in message


@pytest.mark.parametrize("name", ["fcn_resnet18", "fcn8s_vgg16", "lraspp_mobilenet_v3_large"])
def test_a_wrong_number_of_classes_is_found_in_every_head(tmp_path, name):
    small = {"fc_channels": 8} if name == "fcn8s_vgg16" else {}
    path = saved(build(name, num_classes=21, **small).state_dict(), tmp_path)

    assert "got 21 classes, expected 5" in refusal(path, build(name, num_classes=5, **small))


@pytest.mark.security("other keys and shapes", "counted and named")
def test_missing_extra_and_wrong_shapes_are_counted_and_named(tmp_path):
    state = tiny(0, in_channels=1).state_dict()
    del state["conv2.bias"]
    state |= {f"neck.{n}.weight": torch.zeros(1) for n in range(5)}

    message = refusal(saved(state, tmp_path))

    assert "1 missing (conv2.bias)" in message
    assert "5 not of this network (neck.0.weight, neck.1.weight, neck.2.weight, ...)" in message
    assert "1 of another shape (conv1.weight: got [4, 1, 3, 3], expected [4, 3, 3, 3])" in message


def test_a_wider_network_is_not_mistaken_for_other_classes(tmp_path):
    message = refusal(saved(build("fcn_tiny", width=8).state_dict(), tmp_path))

    assert "classes" not in message
    assert "3 of another shape" in message


@pytest.mark.security("NaN and infinite weights", "named")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinite_weights_are_named(tmp_path, value):
    state = tiny(0).state_dict()
    state["conv2.weight"][3, 1] = value

    assert "1 of 4 tensors hold NaN or Inf (conv2.weight)" in refusal(saved(state, tmp_path))


def test_numbers_too_large_for_float32_are_named(tmp_path):
    state = {key: value.double() for key, value in tiny(0).state_dict().items()}
    state["conv1.bias"][0] = 1e300

    assert "NaN or Inf (conv1.bias)" in refusal(saved(state, tmp_path))


def test_integers_in_place_of_floats_are_refused(tmp_path):
    state = {key: value.to(torch.int8) for key, value in tiny(0).state_dict().items()}

    assert "conv1.weight: int8" in refusal(saved(state, tmp_path))


def test_after_a_failed_load_the_network_is_unchanged(tmp_path):
    state = tiny(0).state_dict()
    state["conv2.bias"] = torch.full_like(state["conv2.bias"], float("nan"))
    net = tiny(1)

    refusal(saved(state, tmp_path), net)

    assert same(net, tiny(1))


# --- what is not safe -------------------------------------------------------------------------------------


class Canary:
    """Leaves a trace if it is unpickled as code."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.security("a pickle that runs code", "refused by name, did not run")
@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "stream"])
def test_a_pickle_that_would_run_code_is_refused_and_named(tmp_path, zipped):
    content = {"model": tiny(0).state_dict(), "extra": Canary(tmp_path / "sang")}

    message = refusal(saved(content, tmp_path, _use_new_zipfile_serialization=zipped))

    assert "mkdir" in message
    assert "was not loaded" in message
    assert not (tmp_path / "sang").exists()


@pytest.mark.security("code behind an allowed name", "refused, did not run")
def test_a_namespace_does_not_let_other_code_in(tmp_path):
    content = {"model": tiny(0).state_dict(), "args": argparse.Namespace(x=Canary(tmp_path / "sang"))}

    assert "mkdir" in refusal(saved(content, tmp_path))
    assert not (tmp_path / "sang").exists()


@pytest.mark.security("a whole pickled network", "refused, its class named")
def test_a_pickled_network_is_refused_and_its_class_named(tmp_path):
    message = refusal(saved(tiny(0), tmp_path))

    assert "fcn_edge.nets.zoo.fcn_tiny.FCNTiny" in message
    assert "torch.save(net.state_dict()" in message


@pytest.mark.security("TorchScript", "refused as a program")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused_as_a_program(tmp_path):
    torch.jit.trace(tiny(0), torch.rand(1, 3, 4, 4)).save(str(tmp_path / "w.pt"))

    assert "TorchScript is a program" in refusal(tmp_path / "w.pt")


@pytest.mark.security("`.pt2`, also renamed", "refused as a program")
def test_exported_programs_are_refused_under_any_name(tmp_path):
    program = torch.export.export(tiny(0), (torch.rand(1, 3, 4, 4),))
    torch.export.save(program, tmp_path / "w.pt2")
    (tmp_path / "renamed.pth").write_bytes((tmp_path / "w.pt2").read_bytes())

    assert ".pt2 is a program" in refusal(tmp_path / "w.pt2")
    assert "program" in refusal(tmp_path / "renamed.pth")


@pytest.mark.security("a zip bomb", "refused before it is unpacked")
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}.")
        archive.writestr("w/data/0", bytes(32 << 20))

    message = refusal(tmp_path / "bomb.pth")

    assert "w/data/0 declares 33,554,432 bytes" in message
    assert "does not compress" in message


@pytest.mark.security("an archive or a tensor longer than the file", "refused")
def test_an_archive_longer_than_its_file_is_refused(tmp_path):
    path = saved(tiny(0).state_dict(), tmp_path)
    raw = bytearray(path.read_bytes())
    entry = raw.find(b"PK\x01\x02")
    raw[entry + 20 : entry + 28] = struct.pack("<II", 0x7FFFFFFF, 0x7FFFFFFF)
    path.write_bytes(raw)

    assert "declares 2,147,4" in refusal(path)


def test_a_tensor_longer_than_its_file_is_refused(tmp_path):
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(1000)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(tmp_path / "lie.pth", "w") as target:
        for member in source.infolist():
            # In a pickle, "M" and two bytes is 1000, "J" and four bytes is 2 billion.
            content = source.read(member)
            target.writestr(member.filename, content.replace(b"M\xe8\x03", b"J\x00\x00\x00\x7f"))

    assert "truncated or damaged" in refusal(tmp_path / "lie.pth")


@pytest.mark.security("a truncated checkpoint", "refused")
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("kind", ["archive", "stream", "safetensors"])
def test_a_truncated_file_is_refused(tmp_path, kind, share):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    state = build("fcn_tiny", width=64).state_dict()
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "archive")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])

    message = refusal(path)

    assert "again" in message


def test_a_safetensors_header_longer_than_the_file_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}" + bytes(100))

    assert "declares a header of 1,099,511,627,776 bytes in a file of 110" in refusal(
        tmp_path / "w.safetensors"
    )


def test_a_safetensors_entry_beyond_the_file_is_refused(tmp_path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))

    assert "not readable as safetensors" in refusal(tmp_path / "w.safetensors")


@pytest.mark.security("a file of another kind as weights", "refused, its kind named")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pth", b"", "empty"),
        ("w.pth", b"<!DOCTYPE html><html>", "a web page"),
        ("w.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        ("w.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("w.pth", b"\x80\x04\x95\x10\x00\x00\x00", "a pickle that torch.save did not write"),
        ("w.pth", b"just some text", "of an unknown format"),
        ("w.safetensors", b"PK\x03\x04 and so on", "named .safetensors but holds a torch.save archive"),
        ("w.safetensors", b"\x01", "named .safetensors but holds something else"),
    ],
)
def test_a_file_of_another_kind_is_refused_and_its_kind_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)

    assert message in refusal(tmp_path / name)


def test_a_zip_file_without_a_checkpoint_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")

    assert "a zip file that torch.save did not write" in refusal(tmp_path / "w.pth")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert "no such file" in refusal(tmp_path / "nowhere.pth")
    assert "it is a folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "best": 0.5}, "no state_dict found; it holds epoch, best"),
        ([torch.zeros(2)], "holds a list"),
        (torch.zeros(2), "holds a Tensor"),
        ({}, "it holds nothing"),
        ({"conv1.weight": torch.zeros(2), "note": "mine"}, "'note' is a str"),
        ({"conv1.weight": torch.zeros(2).to_sparse()}, "not a dense tensor"),
        ({"conv1.weight": torch.zeros(2, dtype=torch.complex64)}, "not a dense tensor"),
    ],
)
def test_a_file_without_a_state_dict_lists_what_it_holds(tmp_path, content, message):
    assert message in refusal(saved(content, tmp_path))


# --- what would exhaust the machine -------------------------------------------------------------------------


def with_safetensors_header(path, header, body=bytes(8)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def with_pickle(path, pickled, good, *more):
    """A copy of a good archive with another pickle, and further members (name, content)."""
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            is_pickle = member.filename.endswith("data.pkl")
            target.writestr(member.filename, pickled if pickled and is_pickle else source.read(member))
        for name, content in more:
            target.writestr(name, content)
    return path


@pytest.mark.security("headers and pickles that declare oversized tensors", "refused, memory measured")
def test_oversized_declarations_cost_no_memory(tmp_path):
    good = saved(tiny(0).state_dict(), tmp_path, "good.pth")
    many = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(100_000)}
    stream = saved({"w": torch.zeros(1000)}, tmp_path, "stream", _use_new_zipfile_serialization=False)
    zeros = b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."
    hostile = [
        with_safetensors_header(tmp_path / f"{name}.safetensors", header)
        for name, header in {
            "data that is not there": {
                "w": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]}
            },
            "more than the data": {"w": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 8]}},
            "overflow": {"w": {"dtype": "F32", "shape": [1 << 62, 4], "data_offsets": [0, 8]}},
            "two tensors in one place": {
                name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"
            },
            "a header of 90 MB": b'{"a":"' + b"x" * (90 << 20) + b'"}',
            "100,000 tensors": many,
            "deep": b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
        }.items()
    ]
    hostile += [
        with_pickle(tmp_path / f"{name}.pth", pickled, good)
        for name, pickled in {
            "2 GB of zeros by name": zeros,
            "text of 2 GB": b"\x80\x02X\xff\xff\xff\x7fabc.",
            "bytes of 4 EB": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc.",
            "a number of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7fabc.",
            "lists three million deep": b"\x80\x02" + b"(" * 3_000_000 + b"l" * 3_000_000 + b".",
        }.items()
    ]
    (tmp_path / "stream that declares.pth").write_bytes(
        stream.read_bytes().replace(b"M\xe8\x03", b"J\x00\x00\x00\x7f")
    )
    (tmp_path / "stream of zeros.pth").write_bytes(
        stream.read_bytes().replace(b"\x80\x02}q\x00X\x01", zeros + b"\x80\x02}q\x00X\x01", 1)
    )

    hostile += [tmp_path / "stream that declares.pth", tmp_path / "stream of zeros.pth"]
    messages = assert_refused("weights", hostile, good, "CheckpointError")

    assert "builtins.bytearray" in messages["2 GB of zeros by name.pth"]
    assert "expected at most 4,194,304" in messages["a header of 90 MB.safetensors"]


@pytest.mark.security("archive members outside their folder", "refused, nothing written")
def test_archive_members_outside_their_folder_are_not_written(tmp_path):
    good = saved(tiny(0).state_dict(), tmp_path, "good.pth")
    (tmp_path / "in").mkdir()
    outside = [("../../escaped", b"x"), (f"{tmp_path}/escaped", b"x"), ("good/../../escaped", b"x")]
    path = with_pickle(tmp_path / "in" / "w.pth", None, good, *outside)

    refusal(path)

    assert sorted(p.name for p in tmp_path.rglob("*")) == ["good.pth", "in", "w.pth"]


@pytest.mark.security("two archive members with one name", "refused")
def test_an_archive_with_two_files_of_one_name_is_refused(tmp_path):
    good = saved(tiny(0).state_dict(), tmp_path, "good.pth")
    with pytest.warns(UserWarning, match="Duplicate"):
        path = with_pickle(tmp_path / "w.pth", None, good, ("good/data.pkl", b"\x80\x02}."))

    assert "two files with one name" in refusal(path)


@pytest.mark.security("a flipped bit in an archive", "refused")
def test_a_flipped_bit_in_an_archive_is_detected(tmp_path):
    path = saved(tiny(0).state_dict(), tmp_path)
    raw = bytearray(path.read_bytes())
    weights = tiny(0).state_dict()["conv2.weight"].numpy().tobytes()
    raw[raw.find(weights) + 3] ^= 1
    path.write_bytes(raw)

    assert "is damaged at" in refusal(path)


@pytest.mark.security("weights that cannot be read", "refused")
def test_an_unreadable_file_is_an_error_of_one_line(tmp_path):
    path = saved(tiny(0).state_dict(), tmp_path)
    path.chmod(0)
    if os.access(path, os.R_OK):  # this user may read everything, but nobody can read a name that is too long
        path = tmp_path / ("x" * 300)

    with pytest.raises(CheckpointError, match="cannot be read"):
        load_weights(tiny(1), path)
