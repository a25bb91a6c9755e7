from collections import Counter
from pathlib import Path

import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from PIL import Image

from fcn_edge.cli import cli
from fcn_edge_export.lowering.weights_only import quantize_weights
from fcn_edge_export.options import WeightsOptions
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import InputError, UsageError, VerificationError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.selftest import run_selftest
from fcn_edge_runtime.session.session import SessionOptions, open_session
from tests.export.parents import agreement, blocks, frames, write_parent
from tests.export.transformers import transformer


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    path = tmp_path_factory.mktemp("parent") / "tokens.onnx"
    return write_parent(path, model=transformer(width=96, hidden=384))


@pytest.fixture(scope="module")
def made(parent, tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    return quantize_weights(parent, path, lambda _: frames(6))


def test_a_file_of_small_weights_decides_like_its_parent(parent, made):
    assert agreement(parent, made.path) > 0.995
    assert made.agreement >= 0.995


def test_the_file_has_at_most_three_tenths_of_the_size(parent, made):
    assert made.bytes <= 0.3 * parent.stat().st_size
    assert made.path.stat().st_size == made.bytes


def test_weights_are_unpacked_once_when_a_file_is_opened(made, tmp_path):
    with ModelFile.open(made.path) as file:
        session = open_session(file, "cpu", options=SessionOptions(profile_prefix=str(tmp_path / "profile")))
    session.run(blocks(seed=3)[None], ["labels"])
    profile = Path(session.raw.end_profiling()).read_text()
    assert '"op_name" : "DequantizeLinear"' not in profile
    assert '"op_name" : "LayerNormalization"' in profile


def test_a_plain_onnxruntime_gives_the_same_labels(made):
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    frame = blocks(96, 128, seed=77)
    with Segmenter(made.path) as small:
        # It may round the activations of matrix products, as onnxruntime does since its MatMulNBits.
        assert (session.run(["labels"], {"image": frame[None]})[0][0] == small(frame).labels).mean() > 0.995


def test_the_card_says_that_weights_alone_are_small(parent, made):
    with ModelFile.open(made.path) as file, ModelFile.open(parent) as whole:
        assert file.card.precision == "int8-weights"
        lowering = file.card.lowering
        assert (lowering.target, lowering.integer_share, lowering.calibration) == ("any", None, None)
        assert lowering.parent_sha256 == whole.digest
        assert run_selftest(open_session(file, "cpu"), file.card, file.golden).passed
    shown = CliRunner().invoke(cli, ["inspect", str(made.path)]).output
    assert "precision     int8-weights" in shown
    assert "weights in 8 bits, unpacked when it is opened; computes in float" in shown


def test_weights_of_the_classifier_stay_as_they_are(made):
    model = onnx.load(made.path)
    counts = Counter(node.op_type for node in model.graph.node)
    assert counts["DequantizeLinear"] == 8  # one for each large layer before the classifier
    assert counts["QuantizeLinear"] == 0
    floats = {tuple(c.dims) for c in model.graph.initializer if c.data_type == onnx.TensorProto.FLOAT}
    assert (3, 96, 1, 1) in floats


def test_without_images_the_patterns_are_verified_on(parent, tmp_path):
    made = quantize_weights(parent, tmp_path / "small.onnx")
    assert [name for name, _ in made.warnings] == ["patterns-alone"]
    assert "patterns >= 99 %" in made.card.verification.tolerance


def test_small_weights_that_change_labels_are_refused(parent, tmp_path):
    with pytest.raises(VerificationError, match=r"expected at least 100 %.*lower --agreement") as caught:
        quantize_weights(
            parent, tmp_path / "small.onnx", lambda _: frames(20), options=WeightsOptions(agreement=1.0)
        )
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_true_labels_are_compared_with(parent, tmp_path):
    images = {f"image{i}": (lambda i=i: blocks(seed=100 + i)) for i in range(3)}
    with Segmenter(parent) as whole:
        truth = {name: (lambda read=read: whole(read()).labels.copy()) for name, read in images.items()}
        made = quantize_weights(parent, tmp_path / "small.onnx", lambda _: images, labels=lambda _: truth)
    assert made.mean_iou[0] == 1
    assert made.mean_iou[1] > 0.99


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"images": lambda _: {}}, InputError, "no frames to verify on"),
        ({"labels": lambda _: {}}, UsageError, "labels are given without images"),
    ],
)
def test_what_cannot_be_verified_is_refused(parent, tmp_path, given, error, message):
    with pytest.raises(error, match=message):
        quantize_weights(parent, tmp_path / "small.onnx", **given)
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_large_layers_has_nothing_to_gain(tmp_path):
    parent = write_parent(tmp_path / "tiny.onnx")
    with pytest.raises(UsageError, match="no layer of 1024 weights or more"):
        quantize_weights(parent, tmp_path / "small.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights-only", "--calibration", "frames"], "give --images DIR to verify on"),
        (["--weights-only", "--target", "arm64"], "--target is for integers: leave it out"),
        (["--weights-only", "--method", "entropy"], "--method is for integers: leave it out"),
        (["--weights-only", "--allow-slower"], "--allow-slower is for integers: leave it out"),
        ([], "give --calibration DIR, or --weights-only"),
    ],
)
def test_options_that_do_not_fit_are_one_line(parent, options, message):
    done = CliRunner().invoke(cli, ["quantize", str(parent), "-o", "out.onnx", *options])
    assert isinstance(done.exception, UsageError)
    assert done.exception.exit_code == 2
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_the_command_writes_a_small_file(parent, tmp_path):
    for index in range(3):
        Image.fromarray(blocks(seed=index)).save(tmp_path / f"{index}.png")
    out = tmp_path / "small.onnx"
    command = ["quantize", str(parent), "--weights-only", "--images", str(tmp_path), "-o", str(out)]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.stderr
    assert "% of the parent's size" in done.stdout
    assert out.exists()
    assert CliRunner().invoke(cli, ["selftest", str(out)]).exit_code == 0
