from __future__ import annotations

import contextlib

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter, UsageError, VerificationError
from fcn_edge_runtime.benchmark import candidates
from fcn_edge_runtime.benchmark.search import TuneOptions, _verdict, search
from fcn_edge_runtime.benchmark.tune import tune
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.devices import cores
from fcn_edge_runtime.session.profile import Host, ProfileOptions
from fcn_edge_runtime.session.session import SessionOptions, open_session
from tests.runtime.recorded import Recorded


@pytest.fixture(autouse=True, scope="module")
def _all_cores():
    """Processes of xdist have one thread each, which leaves no number of threads to try."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)
        yield


@pytest.fixture(scope="module")
def tuned(model_path, photo):
    """A search on two frames of two sizes, and the progress it reported."""
    recorded = Recorded()
    with ModelFile.open(model_path("rgb")) as model:
        options = TuneOptions(device="cpu", budget=2, max_threads=1000)
        found = search(model, [photo, photo[:31, :17]], options, recorded)
    return found, recorded


def test_every_change_is_tried_once_and_reported_with_ratios(tuned, model_path):
    found, recorded = tuned
    with ModelFile.open(model_path("rgb")) as model:  # onnxruntime before 1.26 sleeps by default
        waiting = "sleeping" if open_session(model, "cpu").options.spinning else "spinning"
    changes = [trial.change for trial in found.trials]
    assert changes == list(dict.fromkeys(changes))
    for change in ("1 thread", f"{cores()} threads, {waiting}", "optimization basic", "no memory arena"):
        assert change in changes
    tried = [trial for trial in found.trials if not trial.why.startswith("not tried")]
    assert [stage for stage, _, _ in recorded.stages][1 : len(tried) + 1] == [t.change for t in tried]
    assert recorded.summaries[1 : len(tried) + 1] == [trial.why for trial in tried]
    timed = [trial for trial in found.trials if trial.wall is not None]
    assert timed
    for trial in timed:
        assert trial.wall.spread[0] <= trial.wall.median <= trial.wall.spread[1]
        assert trial.cpu.median > 0
        assert trial.wall.rounds >= 7
        assert "of the time" in str(trial)
        assert "of the CPU time" in str(trial)
    assert all(0 <= done <= total for done, total in recorded.advances)
    assert found.sizes == ((48, 64), (31, 17))
    assert found.milliseconds > 0


def test_the_profile_names_its_model_its_machine_and_the_trials(tuned, model_path, photo):
    found, _ = tuned
    profile = found.profile
    with Segmenter(model_path("rgb"), "cpu") as plain:
        assert profile.model_sha256 == plain.digest
        expected = plain(photo).labels
    assert profile.host == Host.here()
    assert profile.notes[: len(found.trials)] == tuple(map(str, found.trials))
    with Segmenter(model_path("rgb"), profile=profile) as opened:
        assert opened.profile == profile
        assert (opened(photo).labels == expected).all()


def test_the_profile_holds_what_was_taken_and_beats_the_start(tuned):
    found, _ = tuned
    taken = [trial for trial in found.trials if trial.taken]
    if found.total is not None and found.total.taken:
        assert found.profile.options == taken[-1].options
    else:
        assert found.profile.options == found.start
    assert (found.total is None) == (not taken)


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ([0.5] * 7, [1.0] * 7, "taken"),
        ([0.99] * 41, [1.0] * 41, "not taken, it does not pay"),
        ([1.5] * 7, [1.0] * 7, "not taken, it does not pay"),
        ([0.5] * 6 + [2.0], [1.0] * 7, "not taken, within the noise (better in 6 of 7 rounds)"),
        ([0.5] * 31 + [2.0] * 10, [1.0] * 41, "taken"),
    ],
)
def test_a_change_is_taken_only_if_it_pays_beyond_the_noise(own, other, expected):
    taken, why = _verdict(np.array(own), np.array(other))  # the seam: real times have no known answer
    assert why == expected
    assert taken == (expected == "taken")


def test_noise_alone_is_rarely_taken_for_a_gain():
    rng = np.random.default_rng(0)
    times = rng.lognormal(0, 0.3, (2, 1000, 15))
    assert sum(_verdict(own, other)[0] for own, other in zip(*times, strict=True)) <= 10


def test_an_option_that_changes_labels_is_not_taken(model_path, photo):
    with ModelFile.open(model_path("tied")) as model:
        options = SessionOptions(optimization="basic")
        labels = [
            open_session(model, "cpu", options=e).run(photo[None], ["labels"])["labels"]
            for e in (None, options)
        ]
        if (labels[0] == labels[1]).all():
            pytest.skip("this processor rounds alike at every level of optimization")
        found = search(model, [photo], TuneOptions(device="cpu", budget=1))
    trial = next(trial for trial in found.trials if trial.change == "optimization basic")
    assert not trial.taken
    assert trial.why.endswith("% of the labels differ")
    assert found.profile.options.optimization == "all"


def test_a_model_that_fails_its_self_test_is_not_tuned(model_path, photo):
    with (
        ModelFile.open(model_path("plain_wrong")) as model,
        pytest.raises(VerificationError, match="self-test failed"),
    ):
        search(model, [photo], TuneOptions(device="cpu"))


def test_changes_beyond_the_budget_are_listed_as_not_tried(model_path):
    tiny = np.zeros((8, 8, 3), np.uint8)
    budget, found = 0.001, None
    with ModelFile.open(model_path("plain")) as model:
        while found is None:  # the smallest that holds one comparison holds but few of them, on any machine
            budget *= 2
            with contextlib.suppress(UsageError):
                found = search(model, [tiny], TuneOptions(device="cpu", budget=budget, max_threads=2))
    untried = [trial for trial in found.trials if trial.why == "not tried, the budget is over"]
    assert len(untried) == found.untried >= 1
    assert not any(trial.taken for trial in untried)
    assert found.profile.options not in [trial.options for trial in untried]


def test_another_device_is_tried_without_bfloat16():
    now = ProfileOptions("openvino", 2, spinning=True, bf16=True, head="numpy")
    expected = ("device cpu", ProfileOptions("cpu", 2, spinning=True, head="numpy"))
    assert list(candidates.devices(now, ["cpu"])) == [expected]


def test_threads_never_exceed_the_maximum(model_path, photo):
    with ModelFile.open(model_path("plain")) as model:
        found = search(model, [photo], TuneOptions(device="cpu", budget=0.5, max_threads=1))
    assert found.start == ProfileOptions("cpu", 1)
    assert {trial.options.threads for trial in found.trials} == {1}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"prefer": "speed"}, "preference 'speed', expected one of latency, cpu"),
        ({"device": "gpu"}, "there is no device 'gpu'"),
        ({"budget": 1e-9}, "budget is 1e-09 s: give more"),
        ({"frames": []}, "got no frames"),
    ],
)
def test_invalid_options_are_usage_errors(model_path, photo, options, expected):
    frames = options.pop("frames", [photo])
    with ModelFile.open(model_path("plain")) as model, pytest.raises(UsageError, match=expected):
        search(model, frames, TuneOptions(**{"device": "cpu", **options}))


def test_cpu_time_can_be_preferred(model_path, photo):
    with ModelFile.open(model_path("plain")) as model:
        found = search(model, [photo], TuneOptions(device="cpu", budget=1, prefer="cpu"))
    for trial in found.trials:
        if trial.taken:
            assert trial.cpu.median < 1


def test_a_fixed_size_is_tried_only_on_request(model_path, photo):
    with ModelFile.open(model_path("rgb")) as model:
        usual = search(model, [photo], TuneOptions(device="cpu", budget=0.5))
        asked = search(
            model, [photo, photo[::-1]], TuneOptions(device="cpu", budget=3, max_threads=1, fixed_size=True)
        )
        with pytest.raises(UsageError, match=r"frames of 2 sizes \(48x64, 31x17\), expected one"):
            search(model, [photo, photo[:31, :17]], TuneOptions(device="cpu", fixed_size=True))
    assert all(trial.options.size is None for trial in usual.trials)
    trial = next(trial for trial in asked.trials if trial.change == "frames of 48x64 alone")
    assert trial.options.size == (48, 64)
    assert trial.wall is not None
    assert (asked.profile.options.size is not None) <= trial.taken


def test_a_path_and_images_are_all_that_is_needed(model_path, photo, tmp_path):
    found = tune(model_path("rgb"), [photo], options=TuneOptions(device="cpu", budget=0.5, max_threads=1))
    assert found.sizes == (photo.shape[:2],)
    found.profile.save(tmp_path / "p.json")
    assert (tmp_path / "p.json").is_file()
    computed = tune(model_path("rgb"), options=TuneOptions(size=(20, 30), device="cpu", budget=0.5))
    assert computed.sizes == ((20, 30),)
