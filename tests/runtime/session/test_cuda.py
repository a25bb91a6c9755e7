"""What only a machine with an NVIDIA GPU and onnxruntime-gpu can show. Skipped elsewhere."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import VerificationError
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.session.session import SessionOptions

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
        reason="this onnxruntime has no CUDA provider",
    ),
]
ARTIFACTS = sorted((Path(__file__).parents[2] / "artifacts").glob("*.onnx"))
HELD_OUT = Path(__file__).parents[3] / "models" / "corridor" / "heldout" / "images"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    import torch

    import fcn_edge
    from fcn_edge_export import export
    from fcn_edge_export.options import ExportOptions
    from fcn_edge_runtime import Card

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("cuda") / "r18.onnx"
    outputs = ("labels", "confidence", "probabilities", "logits")
    result = export(
        fcn_edge.build("fcn_resnet18"),
        Card("r18"),
        path,
        options=ExportOptions(trained=False, outputs=outputs, devices=("cpu", "cuda")),
    )
    return path, result


@pytest.fixture(scope="module")
def corridor(tmp_path_factory):
    """The trained model, exported with its recipe, verified on the CPU alone."""
    from fcn_edge.cli import main

    path = tmp_path_factory.mktemp("corridor") / "corridor.onnx"
    with pytest.raises(SystemExit) as done:
        main(["export", "corridor", "-o", str(path), "--quiet"])
    assert not done.value.code
    return path


def photographs(card, count=8):
    from fcn_edge_runtime.imaging.reading import read_image

    return {p.name: (lambda p=p: read_image(p, card.input)) for p in sorted(HELD_OUT.glob("*.png"))[:count]}


def random_image(height, width, seed=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_verdict_holds_on_cuda_too(exported):
    _, result = exported
    assert [v.provider for v in result.verdicts] == ["CPUExecutionProvider", "CUDAExecutionProvider"]
    assert all(v.passed for v in result.verdicts)


def test_auto_takes_cuda_and_reports_it(exported):
    with Segmenter(exported[0]) as segmenter:
        assert segmenter.session.device == "cuda"
        assert "auto" in segmenter.session.why
        assert segmenter(random_image(64, 64)).provider == "CUDAExecutionProvider"


@pytest.mark.parametrize("size", [(64, 64), (97, 131), (480, 640), (31, 700)])
def test_cuda_decides_like_the_cpu_at_any_size(exported, size):
    image = random_image(*size)
    with Segmenter(exported[0], "cpu") as cpu, Segmenter(exported[0], "cuda") as cuda:
        one, other = cpu(image), cuda(image)
    assert (one.labels == other.labels).mean() > 0.995
    for name in ("confidence", "probabilities", "logits"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=2e-3)


def test_all_that_touches_pixels_runs_on_the_gpu(exported):
    with Segmenter(exported[0], "cuda") as segmenter:
        groups = segmenter.session.raw.get_provider_graph_assignment_info()
    elsewhere = {n.op_type for g in groups if g.ep_name != "CUDAExecutionProvider" for n in g.get_nodes()}
    assert not elsewhere & {
        "Conv",
        "Relu",
        "Add",
        "MaxPool",
        "Resize",
        "ArgMax",
        "Softmax",
        "Cast",
        "Transpose",
    }


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda p: p.stem)
def test_a_file_of_any_kind_passes_its_self_test_on_cuda(path):
    with Segmenter(path, "cuda") as segmenter:
        assert segmenter.session.device == "cuda"


def test_many_threads_may_share_one_segmenter_on_cuda(exported):
    images = [random_image(32 + 8 * (i % 5), 48 + 16 * (i % 3), i) for i in range(32)]
    with Segmenter(exported[0], "cuda", outputs=("labels",)) as segmenter:
        serial = [segmenter(image).labels for image in images]
        with ThreadPoolExecutor(8) as pool:
            shared = list(pool.map(lambda image: segmenter(image).labels, images))
    for one, other in zip(serial, shared, strict=True):
        # Another algorithm may be taken under load: near ties may fall differently.
        assert (one == other).mean() > 0.995


def test_fp16_agrees_with_its_parent_on_the_gpu_it_is_for(corridor):
    from fcn_edge_export.lowering.fp16 import convert_to_fp16
    from fcn_edge_export.options import Fp16Options

    made = convert_to_fp16(
        corridor, corridor.with_name("fp16.onnx"), photographs, options=Fp16Options(device="cuda")
    )
    assert made.agreement > 0.995
    assert made.card.verification.providers == ("CUDAExecutionProvider",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Segmenter(made.path, "cuda") as segmenter, Segmenter(corridor, "cuda") as parent:
            image = next(iter(photographs(parent.card).values()))()
            assert (segmenter(image).labels == parent(image).labels).mean() > 0.99
            assert segmenter.session.options.nhwc


def test_fp16_and_float_print_nothing_to_stderr(corridor, capfd):
    from fcn_edge_export.lowering.fp16 import convert_to_fp16
    from fcn_edge_export.options import Fp16Options

    made = convert_to_fp16(
        corridor, corridor.with_name("fp16-quiet.onnx"), photographs, options=Fp16Options(device="cuda")
    )
    for path in (made.path, corridor):
        with Segmenter(path, "cuda") as segmenter:
            segmenter(random_image(240, 320))
    assert capfd.readouterr().err == ""


def test_a_provider_option_that_ruins_results_is_refused(corridor):
    """What fuse_conv_bias does in onnxruntime-gpu 1.31: 40 % of the labels are left."""
    image = next(iter(photographs(Segmenter(corridor, "cpu").card).values()))()
    options = SessionOptions(provider_options={"fuse_conv_bias": "1"})
    try:
        segmenter = Segmenter(corridor, "cuda", options=options)
    except VerificationError:
        return
    with segmenter, Segmenter(corridor, "cuda") as usual:  # an onnxruntime that has fixed it
        assert (segmenter(image).labels == usual(image).labels).mean() > 0.999


def test_fp16_verified_on_a_cpu_passes_its_self_test_on_a_gpu(corridor):
    from fcn_edge_export.lowering.fp16 import convert_to_fp16

    made = convert_to_fp16(corridor, corridor.with_name("fp16-cpu.onnx"), photographs)
    with Segmenter(made.path, "cuda") as segmenter:
        assert segmenter.session.device == "cuda"


def test_the_command_line_runs_on_cuda(corridor, capsys):
    from fcn_edge.cli import main

    for arguments in (["selftest", str(corridor), "--device", "cuda"], ["doctor"]):
        with pytest.raises(SystemExit) as done:
            main(arguments)
        assert not done.value.code
    assert "cuda" in capsys.readouterr().out.lower()


def test_frames_of_one_size_are_one_cuda_graph(corridor):
    size = (240, 320)
    with (
        Segmenter(corridor, "cuda", options=SessionOptions(size=size)) as fixed,
        Segmenter(corridor, "cuda") as usual,
    ):
        images = [read() for read in photographs(usual.card, 4).values()]
        assert fixed.session.buffers is not None
        results = [fixed(image).labels for image in images]  # kept: the next frame must not change them
        for image, labels in zip(images, results, strict=True):
            assert (labels == usual(image).labels).mean() > 0.999


def test_threads_share_a_cuda_graph(corridor):
    with Segmenter(corridor, "cuda", options=SessionOptions(size=(240, 320))) as fixed:
        images = [read() for read in photographs(fixed.card).values()] * 4
        serial = [fixed(image).labels for image in images]
        with ThreadPoolExecutor(4) as pool:
            shared = list(pool.map(lambda image: fixed(image).labels, images))
    assert all(np.array_equal(one, other) for one, other in zip(serial, shared, strict=True))


def test_each_choice_of_outputs_has_its_own_cuda_graph(exported):
    image = random_image(96, 128)
    with Segmenter(exported[0], "cuda", options=SessionOptions(size=(96, 128))) as fixed:
        first, alone, again = (
            fixed.session.run(image[None], names) for names in (None, ["labels"], ["labels", "confidence"])
        )
    assert np.array_equal(first["labels"], alone["labels"])
    assert np.array_equal(first["confidence"], again["confidence"])


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda p: p.stem)
def test_a_file_of_any_kind_takes_one_size_on_cuda(path):
    options = SessionOptions(size=(96, 128))
    with Segmenter(path, "cuda", options=options) as fixed, Segmenter(path, "cuda") as usual:
        # Quantization runs in part on the CPU; the sparse head computes as many pixels as are mixed.
        unrecorded = usual.card.precision == "int8" or "NonZero" in usual.card.operators
        assert (fixed.session.buffers is None) == unrecorded
        image = pattern(1, 96, 128, usual.card.input.channels, 5, usual.card.input)
        assert (fixed(image).labels == usual(image).labels).mean() > 0.995
