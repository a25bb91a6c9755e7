from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.doctor import probe_model
from fcn_edge_runtime.errors import ModelError, ProviderError, UsageError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session import devices, session, slow_loading
from fcn_edge_runtime.session.session import SessionOptions, open_session

IMAGE = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
ARTIFACTS = Path(__file__).parents[2] / "artifacts"
LOW_RESOLUTION = ARTIFACTS / "0.1.0-int8.onnx"  # its scores are smaller than the image
CUDA_IS_HERE = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


@pytest.fixture(scope="module")
def model():
    return probe_model()


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider", " cpuexecutionprovider "])
def test_a_device_may_be_named_in_any_way_that_is_clear(model, name):
    opened = open_session(model, name)
    assert (opened.device, opened.provider, opened.why) == ("cpu", "CPUExecutionProvider", "requested")
    assert (opened.run(IMAGE)["labels"] == 2 * IMAGE).all()


@pytest.mark.security("`auto`", "reports what it took")
def test_auto_reports_its_device_and_the_reason(model):
    opened = open_session(model, "auto")
    assert opened.why.startswith("auto: ")
    assert opened.device == ("cuda" if CUDA_IS_HERE else "cpu")


@pytest.mark.skipif(CUDA_IS_HERE, reason="CUDA is in this build")
def test_auto_passes_over_what_does_not_start_and_says_why(model, monkeypatch):
    monkeypatch.setattr(session, "FASTER", ("AzureExecutionProvider",))
    if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("not in this build")
    opened = open_session(model, "auto")
    assert opened.device == "cpu"
    assert "the device 'azure' takes no operator of this model" in opened.why


def test_the_default_makes_labels_in_numpy_as_the_graph_does():
    image = np.random.default_rng(3).integers(0, 256, (61, 83, 3), np.uint8)
    with (
        Segmenter(LOW_RESOLUTION, "cpu", outputs=["labels"]) as default,
        Segmenter(LOW_RESOLUTION, "cpu", outputs=["labels"], options=SessionOptions()) as graph,
    ):
        assert default.session.head is not None
        assert graph.session.head is None
        np.testing.assert_array_equal(default(image).labels, graph(image).labels)


def test_the_default_computes_every_output_that_is_asked_for():
    with Segmenter(ARTIFACTS / "0.1.0-binary.onnx", "cpu") as segmenter:
        assert segmenter.session.head is None
        assert "confidence" in segmenter.outputs


def test_a_head_that_numpy_cannot_replace_stays_in_the_graph(model_path):
    with Segmenter(model_path("plain"), "cpu") as segmenter:
        assert segmenter.session.head is None


@pytest.mark.security("an unknown device", "wrong usage")
@pytest.mark.parametrize("name", ["gpu", "", "cpu,cuda", "cuda:0", None, 3])
def test_an_unknown_device_is_wrong_usage_and_lists_the_known(model, name):
    with pytest.raises(UsageError, match=r"expected one of auto, .*cpu, cuda") as caught:
        open_session(model, name)
    assert caught.value.exit_code == 2


@pytest.mark.security("a device that is not in the build", "refused")
@pytest.mark.skipif(CUDA_IS_HERE, reason="CUDA is in this build")
def test_a_device_outside_the_build_is_refused_with_its_extra(model):
    with pytest.raises(ProviderError, match=r"'cuda' is not in the installed .*fcn-edge\[cuda\]") as caught:
        open_session(model, "cuda")
    assert caught.value.exit_code == 4


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="not in this build"
)
def test_a_device_that_leaves_all_work_to_the_cpu_is_refused(model):
    with pytest.raises(ProviderError, match="'azure' takes no operator of this model"):
        open_session(model, "azure")


class Broken:
    """An onnxruntime whose CUDA build lacks a library, as each era of it behaves."""

    __version__ = "test"
    SessionOptions, RunOptions = onnxruntime.SessionOptions, onnxruntime.RunOptions
    GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel

    def __init__(self, era):
        self.era = era

    def get_all_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    get_available_providers = get_all_providers

    def InferenceSession(self, source, *, sess_options, providers, **_):  # noqa: N802 - its name
        missing = "libcudnn.so.9: cannot open shared object file: No such file or directory"
        if providers[0][0] == "CUDAExecutionProvider":
            if self.era == "raises":
                raise RuntimeError(f"Failed to load provider with error: {missing}")
            script = f"import os; os.write(1, b'*** EP Error ***\\n'); os.write(2, b'{missing}')"
            subprocess.run([sys.executable, "-c", script], check=True)
        return onnxruntime.InferenceSession(
            source, sess_options=sess_options, providers=["CPUExecutionProvider"]
        )


@pytest.mark.security("CUDA with a library missing", "refused, the library named")
@pytest.mark.parametrize("era", ["raises", "falls back and prints"])
def test_a_device_that_does_not_start_names_the_missing_library(model, era, monkeypatch, capfd):
    monkeypatch.setattr(session, "import_onnxruntime", lambda: Broken(era))
    with pytest.raises(ProviderError, match=r"'cuda' is in this .*libcudnn\.so\.9 is missing: install CUDA"):
        open_session(model, "cuda")
    assert capfd.readouterr() == ("", "")
    opened = open_session(model, "auto")
    assert opened.device == "cpu"
    assert "libcudnn.so.9 is missing" in opened.why


def test_a_missing_onnxruntime_is_named_with_its_extras(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ProviderError, match=r"pip install 'fcn-edge\[cpu\]'"):
        open_session(model, "cpu")


def test_a_half_uninstalled_onnxruntime_is_named_as_such(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace())
    with pytest.raises(ProviderError, match="incomplete"):
        open_session(model, "cpu")


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2", 5000])
def test_a_wrong_number_of_threads_is_wrong_usage(model, threads):
    with pytest.raises(UsageError, match="threads"):
        open_session(model, "cpu", threads=threads)


def test_threads_are_the_given_ones_or_all_cores(model):
    assert open_session(model, "cpu", threads=1).threads == 1
    assert open_session(model, "cpu").threads == devices.cores() >= 1


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("1,4", 1), ("0", 0), ("many", 0), ("9" * 99, 0)])
def test_cores_obey_a_number_of_openmp_threads(monkeypatch, text, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    free = devices.cores()
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert devices.cores() == (expected or free)


@pytest.mark.parametrize("optimization", ["all", "extended", "basic", "none"])
def test_every_level_of_optimization_computes_the_same(model, optimization):
    options = SessionOptions(optimization=optimization, cpu_arena=False, spinning=True)
    assert (open_session(model, "cpu", options=options).run(IMAGE)["labels"] == 2 * IMAGE).all()


def test_an_unknown_level_of_optimization_is_wrong_usage(model):
    with pytest.raises(UsageError, match="optimization is 'fast', expected one of all"):
        open_session(model, "cpu", options=SessionOptions(optimization="fast"))


def test_bytes_that_are_not_a_model_are_a_one_line_error():
    for data in (b"", b"rubbish", b"\x08\x0a"):
        with pytest.raises(ModelError, match="onnxruntime cannot load the model") as caught:
            open_session(data, "cpu")
        assert "\n" not in str(caught.value)


@pytest.mark.security("external data past our check", "never read")
def test_external_data_is_never_read_from_the_current_folder(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    from onnx import TensorProto

    from tests.runtime import make_models as mm

    proto = mm.make_proto(mm.make_card())
    weight = next(t for t in proto.graph.initializer if t.name == "weight")
    (tmp_path / "weights.bin").write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError):
        open_session(proto.SerializeToString(), "cpu")


@pytest.mark.security("an operator off the list", "refused; named by the user, left to onnxruntime")
def test_an_operator_unknown_to_onnxruntime_is_a_model_error(tmp_path):
    pytest.importorskip("onnx")
    from tests.runtime import make_models as mm

    card = mm.make_card()
    proto = mm.make_proto(card)
    golden = mm.make_golden(card, proto)
    proto.graph.node[5].op_type = "Convolute"
    path = tmp_path / "m.onnx"
    path.write_bytes(mm.finish(proto, card, golden))
    with pytest.raises(ModelError, match=r"Convolute, which is not on the list.*--allow-operators Convolute"):
        ModelFile.open(path)
    with (
        ModelFile.open(path, ["Convolute"]) as model,
        pytest.raises(ModelError, match=r"cannot load.*Convolute"),
    ):
        open_session(model, "cpu")


@pytest.mark.security("more operators than an old onnxruntime loads quickly", "refused; a newer one named")
def test_an_old_onnxruntime_takes_fewer_operators(model_path, monkeypatch):
    monkeypatch.setattr(slow_loading, "MOST", 2)
    with ModelFile.open(model_path("rgb")) as model:
        slow_loading.check_operator_count(model, "CPUExecutionProvider", "1.32.0")
        with pytest.raises(ModelError, match=r"at most 2, because onnxruntime 1\.18\.0 .*install 1\.\d+"):
            slow_loading.check_operator_count(model, "CPUExecutionProvider", "1.18.0")
        every = tuple(model.summary.op_types)
    with ModelFile.open(model_path("rgb"), every) as trusted:
        slow_loading.check_operator_count(trusted, "CPUExecutionProvider", "1.18.0")


def test_openvino_takes_fewer_operators(model_path, monkeypatch):
    monkeypatch.setattr(slow_loading, "MOST_OPENVINO", 2)
    with ModelFile.open(model_path("rgb")) as model, pytest.raises(ModelError, match="choose the device cpu"):
        slow_loading.check_operator_count(model, "OpenVINOExecutionProvider", onnxruntime.__version__)


def test_a_failing_run_is_a_model_error_that_names_the_size(model):
    opened = open_session(model, "cpu")
    with pytest.raises(ModelError, match="failed on cpu with an image of 1x2x4x4 float32"):
        opened.run(np.zeros((1, 2, 4, 4), np.float32))
    assert (opened.run(IMAGE)["labels"] == 2 * IMAGE).all()


def test_only_the_wanted_outputs_are_computed(model_path):
    with ModelFile.open(model_path("rgb")) as model:
        opened = open_session(model, "cpu")
    image = np.zeros((1, 5, 6, 3), np.uint8)
    assert set(opened.run(image)) == {"labels", "confidence", "logits"}
    assert set(opened.run(image, ["labels"])) == {"labels"}


def test_output_is_captured_by_one_thread_at_a_time_and_restored(capfd):
    from fcn_edge_runtime._stdio import captured_output

    printed = []

    def speak(number):
        with captured_output() as captured:
            subprocess.run([sys.executable, "-c", f"print('thread {number}')"], check=True)
        printed.append(captured[0])

    threads = [threading.Thread(target=speak, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(text.strip() for text in printed) == [f"thread {i}" for i in range(4)]
    print("after", flush=True)
    assert capfd.readouterr().out == "after\n"


def test_segmenting_loads_only_numpy_and_onnxruntime(model_path):
    script = Path(__file__).with_name("list_imports.py")
    done = subprocess.run(
        [sys.executable, str(script), str(model_path("rgb"))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    foreign = set(done.stdout.split()) - {"fcn_edge_runtime", "numpy", "onnxruntime"}
    # The needs of numpy and onnxruntime themselves, where their releases have them.
    theirs = "coloredlogs cython_runtime flatbuffers google humanfriendly mpmath packaging sympy"
    assert foreign <= set(theirs.split())


def test_input_and_output_binding_gives_what_a_plain_run_gives(model_path, photo):
    with ModelFile.open(model_path("rgb")) as model:
        opened = open_session(model, "cpu")
    plain = opened.run(photo[None])
    bound = opened._bound(photo[None], list(plain))  # the seam: binding is for CUDA alone
    assert all((value == plain[name]).all() for name, value in zip(plain, bound, strict=True))


def test_onnxruntime_writes_its_profile_to_the_given_path(model, tmp_path):
    opened = open_session(model, "cpu", options=SessionOptions(profile_prefix=str(tmp_path / "run")))
    opened.run(IMAGE)
    written = Path(opened.raw.end_profiling())
    assert written.parent == tmp_path
    assert "_kernel_time" in written.read_text()


@pytest.mark.parametrize("size", [(0, 4), (4, 5000), (4.0, 4), (4,), [4, 4], "4x4", (True, 4)])
def test_a_wrong_fixed_size_is_wrong_usage(model, size):
    with pytest.raises(UsageError, match=r"size is .*, expected .height, width. of 1 to 4096 each, or None"):
        open_session(model, "cpu", options=SessionOptions(size=size))


def test_a_device_that_needs_caution_to_start_starts(model, monkeypatch):
    made = session._Recipe._created

    def refusing(recipe, provider, further):
        if recipe.options.bf16:
            raise ProviderError("no bfloat16 here")
        return made(recipe, provider, further)

    monkeypatch.setattr(session._Recipe, "_created", refusing)
    monkeypatch.setattr(session, "decided", lambda options, *_: replace(options, bf16=options.bf16 is None))
    opened = open_session(model, "cpu")
    assert (opened.options.bf16, opened.why) == (False, "requested")
    assert (opened.run(IMAGE)["labels"] == 2 * IMAGE).all()


def test_bfloat16_is_refused_where_openvino_does_not_run(model):
    with pytest.raises(UsageError, match="got bf16 for the device 'cpu', expected openvino"):
        open_session(model, "cpu", options=SessionOptions(bf16=True))


def test_a_session_of_one_size_knows_every_shape(model_path, photo):
    with ModelFile.open(model_path("rgb")) as opened:
        session = open_session(opened, "cpu", options=SessionOptions(size=photo.shape[:2]))
        assert session.run(photo[None], ["labels"])["labels"].shape == (1, *photo.shape[:2])
        with pytest.raises(ModelError, match="failed on cpu with an image of 1x47x64x3"):
            session.run(photo[None, 1:], ["labels"])
