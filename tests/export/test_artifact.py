"""The contents of the file, and that it is written completely or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch

from fcn_edge_export import export, numbered_classes
from fcn_edge_export.artifact import OutputFile
from fcn_edge_export.options import ExportOptions
from fcn_edge_export.simplify import simplify
from fcn_edge_export.trace import trace
from fcn_edge_runtime import Segmenter, UsageError
from fcn_edge_runtime.errors import ArtifactError, FcnEdgeError
from fcn_edge_runtime.model.card import Card, ClassInfo, InputSpec, NetInfo
from fcn_edge_runtime.model.file import ModelFile
from tests.export import networks
from tests.export.conftest import ALL_OUTPUTS, PROPERTIES
from tests.export.networks import Plain, seeded
from tests.interruption import interrupt_at_every_moment

ROOT = Path(__file__).parents[2]
# Runs in its own process, like a user's script, and prints which stages are done.
SCRIPT = """
import resource, sys
sys.path.insert(0, {root!r})
import torch
torch.set_num_threads(1)
from fcn_edge_export import export
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.errors import FcnEdgeError
from tests.export.networks import Plain, seeded

class Printed:
    def start(self, stage, total=None, unit=""):
        self.stage = stage
        print("started", stage, flush=True)
        if stage == "write" and {limit}:
            resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
    def advance(self, done, total=None):
        print("step", done, flush=True)
    def finish(self, summary=""):
        print("finished", self.stage, flush=True)

try:
    export(seeded(Plain), Card("plain", (), InputSpec.default()), sys.argv[1], progress=Printed())
except FcnEdgeError as error:
    print(type(error).__name__, error, flush=True)
    sys.exit(error.exit_code)
"""


def start(path, *, cwd, limit=0, **environment):
    """Start an export to `path` in another process."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(root=str(ROOT), limit=limit), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """The same network exported by two processes, from two folders, with two hash seeds."""
    made = []
    for seed, folder in (("1", "here"), ("77", "some where/else")):
        base = tmp_path_factory.mktemp("twice") / folder
        base.mkdir(parents=True)
        process = start(Path("net.onnx"), cwd=base, PYTHONHASHSEED=seed)
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stdout + stderr
        made.append((base, stdout, stderr))
    return made


@pytest.mark.slow
def test_exports_from_any_folder_and_hash_seed_are_identical(twice):
    first, second = ((folder / "net.onnx").read_bytes() for folder, _, _ in twice)
    assert first == second


@pytest.mark.slow
def test_an_export_prints_nothing_of_its_own(twice):
    for _, stdout, stderr in twice:
        assert stderr == ""
        assert re.fullmatch(r"((started|finished) \w+\n|step \d+\n)*", stdout)


def test_stages_come_in_the_order_of_the_design(twice):
    stages = re.findall(r"finished (\w+)", twice[0][1])
    assert stages == ["probe", "trace", "simplify", "graft", "sizes", "verify", "write"]


def test_nothing_of_the_machine_is_in_the_file(twice):
    for folder, _, _ in twice:
        data = (folder / "net.onnx").read_bytes()
        for trace_of_home in (str(folder), str(ROOT), sys.prefix, "site-packages", ".py", "torch.nn"):
            assert trace_of_home.encode() not in data, trace_of_home
        model = onnx.load(folder / "net.onnx")
        assert [p.key for p in model.metadata_props] == PROPERTIES
        parts = [model, model.graph, *model.graph.node, *model.graph.initializer]
        parts += [*model.graph.input, *model.graph.output]
        assert not any(part.doc_string for part in parts)
        assert not any(part.metadata_props for part in parts[1:])
        assert not model.graph.value_info


def test_the_seal_is_85_bytes_of_the_design(plain):
    data = plain.path.read_bytes()
    digest = hashlib.sha256(data[:-85]).hexdigest()
    assert data[-85:] == b"\x72\x53\x0a\x0f" + b"fcn_edge.sha256" + b"\x12\x40" + digest.encode()
    assert plain.result.digest == hashlib.sha256(data).hexdigest()
    assert plain.result.bytes == len(data)


def test_the_file_is_by_the_contract(plain):
    model = onnx.load(plain.path)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 10
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
    assert not model.functions
    assert not any(i.data_location for i in model.graph.initializer)

    def signature(value):
        kind = value.type.tensor_type
        return value.name, kind.elem_type, [d.dim_param or d.dim_value for d in kind.shape.dim]

    uint8, float32 = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    assert [signature(v) for v in model.graph.input] == [("image", uint8, ["batch", "height", "width", 3])]
    assert [signature(v) for v in model.graph.output] == [
        ("labels", uint8, ["batch", "height", "width"]),
        ("confidence", float32, ["batch", "height", "width"]),
        ("probabilities", float32, ["batch", 5, "height", "width"]),
        ("logits", float32, ["batch", 5, "height", "width"]),
    ]


def test_batch_norms_are_merged_and_our_names_do_not_clash(plain):
    model = onnx.load(plain.path)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    ours = [node for node in model.graph.node if node.name.startswith("fcn_edge/")]
    assert {"Transpose", "Cast", "Mul", "Add", "ArgMax", "Softmax"} <= {node.op_type for node in ours}
    assert not any(node.op_type == "Conv" for node in ours)


def test_the_report_names_the_digest_and_every_size(plain):
    report = json.loads(plain.result.report.read_text())
    assert plain.result.report.name == "plain.verification.json"
    assert report["model_sha256"] == hashlib.sha256(plain.path.read_bytes()).hexdigest()
    assert report["verdict"] == "passed"
    (provider,) = report["providers"]
    assert provider["provider"] == "CPUExecutionProvider"
    assert [tuple(entry["size"]) for entry in provider["inputs"]] == list(
        plain.result.card.verification.sizes
    )
    for entry in provider["inputs"]:
        assert 0 < entry["error"] < entry["bound"]
        assert entry["agreement"] == 1
        assert entry["margin"] >= 0
    assert report["produced_by"]["torch"] == torch.__version__
    assert [stage["name"] for stage in report["stages"]][:3] == ["probe", "trace", "simplify"]


def test_the_card_names_the_sources_of_its_numbers(plain):
    state = hashlib.sha256()
    for name, tensor in sorted(plain.net.state_dict().items()):
        kind = str(tensor.dtype).removeprefix("torch.")
        state.update(f"{name}|{kind}|{list(tensor.shape)}|".encode())
        state.update(tensor.numpy().tobytes())
    assert plain.result.card.net.weights_sha256 == state.hexdigest()
    assert plain.result.card.precision == "fp32"
    assert plain.result.card.verification.providers == ("CPUExecutionProvider",)
    assert {"fcn-edge", "torch", "onnx", "onnxsim", "onnxruntime"} <= set(plain.result.card.produced_by)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net.pth", r"got the name 'net.pth', expected one that ends in .onnx"),
        ("nowhere/net.onnx", "the folder .*nowhere does not exist: create it first"),
        ("taken.onnx", "taken.onnx is a folder, expected a file name"),
        ("n" * 250 + ".onnx", "cannot write to .*: File name too long"),
    ],
)
def test_a_bad_path_is_found_before_the_work_starts(name, message, tmp_path):
    (tmp_path / "taken.onnx").mkdir()
    with pytest.raises(ArtifactError, match=message):
        export(None, Card("unused", (), InputSpec.default()), tmp_path / name)


def test_a_read_only_folder_is_found_before_the_work_starts():
    with pytest.raises(ArtifactError, match=r"write: cannot write to /proc"):
        export(None, Card("unused", (), InputSpec.default()), "/proc/net.onnx")


def test_an_unknown_output_is_found_before_the_work_starts(tmp_path):
    with pytest.raises(UsageError, match="got the output 'heatmap', expected one of labels, confidence"):
        export(
            None,
            Card("unused", (), InputSpec.default()),
            tmp_path / "a.onnx",
            options=ExportOptions(outputs=["heatmap"]),
        )


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (
            Card("a", (), InputSpec(3, "uint8", 1 / 255, (0.5,), (0.5,))),
            r"'input.mean'.*3 numbers",
        ),
        (Card("a", (), InputSpec(1, "uint8", 1 / 255, (0.5,), (0.0,))), r"'input.std\[0\]'.*above 0$"),
        (Card("a", (), InputSpec(1, "int32", 1.0, (0.5,), (1.0,))), "'input.dtype'.*one of uint8, uint16"),
        (Card("a", (), InputSpec(1, "uint8", 1.0, (float("nan"),), (1.0,))), "cannot be written"),
        (Card("a", (ClassInfo(1, "a", (0, 0, 0)),) * 2, InputSpec.default()), r"'classes\[0\].id'"),
        (Card("a", (), InputSpec.default(), net=NetInfo("n", {"path": Path()})), "not JSON serializable"),
    ],
)
def test_an_invalid_card_is_found_before_the_work_starts(card, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        export(None, card, tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("classes", "given", "message"),
    [(5, 3, "gives 5 logits a pixel, the card names 3 classes"), (1, 3, "one logit makes a binary network")],
)
def test_a_class_list_of_another_length_is_found_before_tracing(classes, given, message, tmp_path):
    card = Card("a", numbered_classes(given), InputSpec.default())
    with pytest.raises(ArtifactError, match=message):
        export(seeded(lambda: Plain(classes=classes)), card, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (networks.Wrapped(torch.nn.Identity(), lambda _: None), "returned NoneType, expected logits"),
        (torch.nn.Flatten(), r"returned a tensor of shape \[1, 27648\]"),
        (torch.nn.Conv2d(3, 4, 33), "logits of 64x64 for an image of 96x96"),
        (
            torch.nn.Conv2d(1, 4, 1),
            "accepted no 3-channel image of 96, .* a side, .*; the error at 96 was: Runtime",
        ),
        (networks.BoundToOneSize(), "accepts images of 96x96 alone: add --working-size 96x96"),
    ],
)
def test_a_network_that_is_not_an_fcn_is_a_one_line_error(net, message, tmp_path):
    with pytest.raises(ArtifactError, match=message) as caught:
        export(net.eval(), Card("a", (), InputSpec.default()), tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_size_below_the_smallest_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="got the size 1x40, expected sides of 2 to 4096"):
        export(
            seeded(networks.Mirrored),
            Card("a", (), InputSpec.default()),
            tmp_path / "net.onnx",
            options=ExportOptions(sizes=[(1, 40)]),
        )


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"the old model")
    process = start(path, cwd=tmp_path, limit=2000)
    stdout, stderr = process.communicate()
    assert process.returncode == 1, stderr
    assert "ArtifactError write: cannot write to" in stdout
    assert "File too large" in stdout
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    assert path.read_bytes() == b"the old model"


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("finished simplify", marks=pytest.mark.slow),
        pytest.param("step 3", marks=pytest.mark.slow),
        pytest.param("started write", marks=pytest.mark.slow),
    ],
)
def test_a_killed_export_leaves_the_old_file_whole(moment, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"the old model")
    process = start(path, cwd=tmp_path)
    for line in process.stdout:
        if line.strip() == moment:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    # At any moment there is the old file, or the complete new one with its report.
    if path.read_bytes() != b"the old model":
        Segmenter(path, "cpu")
        assert path.with_suffix(".verification.json").is_file()
    left = [p for p in tmp_path.iterdir() if p.suffix == ".onnx"]
    assert left == [path]


@pytest.fixture(scope="module")
def traced():
    from fcn_edge_export.examples import example_size
    from fcn_edge_export.probe import probe
    from fcn_edge_export.reference import LogitsNetwork

    net = seeded(Plain)
    network, sizes = LogitsNetwork(net).eval(), probe(net, 3)
    return trace(network, 3, sizes, example_size(network, 3, sizes)).model


def test_ctrl_c_at_every_moment_of_publishing_leaves_no_part(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fcn_edge_runtime._files._PATIENCE", 0
    )  # an interrupted one may keep the folder's lock

    def publish():
        output = OutputFile.at(tmp_path / "o.onnx")
        with output.draft(b"model") as draft:
            output.publish(draft, {"verdict": "passed"})

    def check():
        found = {path.name for path in tmp_path.iterdir()}
        assert found in ({"o.onnx", "o.verification.json"}, {"o.verification.json"}, set())

    assert interrupt_at_every_moment(publish, check) > 200
    assert (tmp_path / "o.onnx").read_bytes() == b"model"


SHIM = """
import numpy as np
import onnx
from onnx import numpy_helper

def simplify(source, output_path, **options):
    model = onnx.load(source)
    {change}
    onnx.save(model, output_path)
"""


def shim(folder, monkeypatch, source):
    """Another onnxsim, found before the real one by the child process."""
    (folder / "onnxsim.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_simplifier_that_crashes_is_a_stage_error(traced, tmp_path, monkeypatch):
    shim(tmp_path, monkeypatch, "import os\nos.abort()\n")
    with pytest.raises(
        ArtifactError, match=r"simplify: onnxsim ended with signal SIGABRT: .*--allow-unsimplified"
    ):
        simplify(traced)


def test_a_simplifier_that_cannot_start_is_a_stage_error(traced, monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(ArtifactError, match=r"onnxsim cannot be started: .*--allow-unsimplified"):
        simplify(traced)


def test_a_simplifier_that_hangs_is_a_stage_error(traced, tmp_path, monkeypatch):
    shim(tmp_path, monkeypatch, "import time\ntime.sleep(60)\n")
    with pytest.raises(ArtifactError, match=r"onnxsim took longer than 2 s: .*--allow-unsimplified"):
        simplify(traced, seconds=2)


def test_a_simplifier_that_raises_is_quoted_in_one_line(traced, tmp_path, monkeypatch):
    shim(tmp_path, monkeypatch, "raise ValueError('no such operator')\n")
    with pytest.raises(ArtifactError, match=r"exit code 1 \(ValueError: no such operator\)"):
        simplify(traced)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 64", "changed the interface"),
        ("model.graph.input[0].name = 'x'", "changed the interface"),
        ("model.opset_import[0].version = 21", "changed the interface"),
        ("model.graph.node[0].domain = 'com.microsoft'", "changed the interface"),
    ],
)
def test_a_simplifier_that_changes_the_contract_is_refused(change, message, traced, tmp_path, monkeypatch):
    shim(tmp_path, monkeypatch, SHIM.format(change=change))
    with pytest.raises(ArtifactError, match=f"simplify: onnxsim {message} from .* to "):
        simplify(traced)


def test_a_full_temporary_folder_is_named_in_the_error(traced, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(ArtifactError, match=r"simplify: cannot work in .*gone: .*TMPDIR"):
        simplify(traced)


def test_the_simplifier_ignores_modules_in_the_working_directory(traced, tmp_path, monkeypatch):
    for name in ("onnx", "numpy", "onnxsim"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a file of the user')\n")
    monkeypatch.chdir(tmp_path)
    assert simplify(traced).nodes_after < len(traced.graph.node)


def test_a_simplifier_that_changes_numbers_fails_the_verdict(tmp_path, monkeypatch):
    spoilt = tmp_path / "shim"
    spoilt.mkdir()
    change = """
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.ndim == 4:
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16).astype(np.float32), tensor.name))
"""
    shim(spoilt, monkeypatch, SHIM.format(change=change))
    with pytest.raises(FcnEdgeError, match=r"rule 'numbers'.*\(stage: simplify\)") as caught:
        export(seeded(Plain), Card("a", (), InputSpec.default()), tmp_path / "net.onnx")
    assert caught.value.exit_code == 3
    assert [p.name for p in tmp_path.iterdir()] == ["shim"]


def test_an_export_without_simplifier_is_possible_and_reported(tmp_path, monkeypatch):
    shim(tmp_path, monkeypatch, "import os\nos.abort()\n")
    card = Card("a", (), InputSpec.default())
    with pytest.raises(ArtifactError, match=r"^simplify: "):
        export(seeded(Plain), card, tmp_path / "net.onnx", options=ExportOptions(outputs=ALL_OUTPUTS))
    result = export(
        seeded(Plain), card, tmp_path / "net.onnx", options=ExportOptions(allow_unsimplified=True)
    )
    summaries = {stage.name: stage.summary for stage in result.stages}
    assert "NOT simplified, as allowed: simplify: onnxsim ended with signal SIGABRT" in summaries["simplify"]
    Segmenter(result.path, "cpu")


def test_importing_the_exporter_loads_no_torch():
    code = "import sys, fcn_edge_export; print([m for m in ('torch', 'onnxsim') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_onnxruntime_shows_who_made_a_file(tmp_path):
    card = Card("named", description="Walls and floors.", license="MIT", author="A. Maker")
    made = export(networks.seeded(networks.Plain), card, tmp_path / "named.onnx")
    seen = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"]).get_modelmeta()
    assert (seen.producer_name, seen.description) == ("fcn-edge", "Walls and floors.")
    assert onnx.load(made.path).producer_version == made.card.produced_by["fcn-edge"]
    entries = {k: v for k, v in seen.custom_metadata_map.items() if not k.startswith("fcn_edge.")}
    assert entries == {
        "model_author": "A. Maker",
        "model_license": "MIT",
        "Image.BitmapPixelFormat": "Rgb8",
        "Image.ColorSpaceGamma": "SRGB",
        "Image.NominalPixelRange": "NominalRange_0_255",
    }
    [image] = onnx.load(made.path).graph.input
    assert image.type.denotation == "IMAGE"
    assert [dim.denotation for dim in image.type.tensor_type.shape.dim][-1] == "DATA_CHANNEL"
    with ModelFile.open(made.path) as file:
        assert file.card.author == "A. Maker"
