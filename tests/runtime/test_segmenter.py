from __future__ import annotations

import multiprocessing
import pickle
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from fcn_edge_runtime import InputError, ModelError, Segmenter, UsageError, VerificationError
from fcn_edge_runtime.session.session import SessionOptions


@pytest.fixture(scope="module")
def segmenter(model_path):
    with Segmenter(model_path("rgb"), "cpu") as opened:
        yield opened


def test_an_image_gives_labels_scores_card_provider_and_time(segmenter, photo):
    result = segmenter(photo)
    assert result.labels.shape == (48, 64)
    assert result.labels.dtype == np.uint8
    assert (result.labels == result.logits.argmax(axis=0)).all()
    assert result.logits.shape == (3, 48, 64)
    assert ((result.confidence > 1 / 3 - 1e-6) & (result.confidence <= 1)).all()
    assert result.probabilities is None
    assert result.card.name == "test net"
    assert result.provider == "CPUExecutionProvider"
    assert 0 < result.milliseconds < 60_000


def test_a_batch_gives_what_its_images_give_one_by_one(segmenter, photo):
    batch = np.stack([photo, photo[::-1], photo[:, ::-1]])
    labels = segmenter(batch).labels
    assert labels.shape == (3, 48, 64)
    for image, expected in zip(batch, labels, strict=True):
        assert (segmenter(image).labels == expected).all()


def test_more_than_255_classes_give_16_bit_labels(model_path, photo):
    with Segmenter(model_path("wide"), "cpu") as wide:
        labels = wide(photo).labels
    assert labels.dtype == np.uint16
    assert labels.max() > 255


def test_only_the_wanted_outputs_are_computed(model_path, photo):
    with Segmenter(model_path("rgb"), "cpu", outputs=["confidence"]) as some:
        result = some(photo)
    assert result.labels is not None
    assert result.confidence is not None
    assert result.logits is None
    with pytest.raises(UsageError, match="has no outputs 'probabilities', it has labels, confidence, logits"):
        Segmenter(model_path("rgb"), "cpu", outputs=["probabilities"])


def test_wrong_options_are_wrong_usage(model_path):
    for wrong in ({"max_pixels": 0}, {"max_pixels": "many"}, {"threads": 0}, {"device": "gpu"}):
        with pytest.raises(UsageError):
            Segmenter(model_path("plain"), **wrong)


@pytest.mark.security("a device whose labels differ", "refused before its first frame")
def test_on_an_unverified_provider_the_self_test_decides(model_path, photo):
    with Segmenter(model_path("elsewhere"), "cpu") as opened:
        assert opened(photo).labels.shape == (48, 64)
    with pytest.raises(VerificationError, match="self-test failed on CPUExecutionProvider"):
        Segmenter(model_path("elsewhere_wrong"), "cpu")


def test_with_provider_options_the_self_test_decides(model_path):
    path = model_path("plain_wrong")
    Segmenter(path, "cpu").close()
    with pytest.raises(VerificationError, match="self-test failed"):
        Segmenter(path, "cpu", options=SessionOptions(provider_options={"unheard_of": "1"}))


def test_a_closed_segmenter_is_a_clear_error(model_path, photo):
    opened = Segmenter(model_path("plain"), "cpu")
    opened.close()
    opened.close()
    with pytest.raises(UsageError, match="was closed"):
        opened(photo)
    assert "closed" in repr(opened)


@pytest.mark.security("16 threads, mixed sizes", "equal the serial result")
def test_sixteen_threads_of_mixed_sizes_equal_the_serial_result(segmenter, photo):
    rng = np.random.default_rng(3)
    images = [photo[: rng.integers(1, 48), : rng.integers(1, 64)] for _ in range(64)]
    expected = [segmenter(image).labels for image in images]
    results = [None] * len(images)

    def work(start):
        for index in range(start, len(images), 16):
            if index % 5 == 0:
                with pytest.raises(InputError):
                    segmenter(images[index][..., 0])
            results[index] = segmenter(images[index]).labels

    threads = [threading.Thread(target=work, args=(start,)) for start in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((got == want).all() for got, want in zip(results, expected, strict=True))


def test_closing_while_calls_are_under_way_lets_them_finish(model_path):
    image = np.random.default_rng(1).integers(0, 256, (400, 400, 3), np.uint8)
    opened = Segmenter(model_path("plain"), "cpu")
    expected = opened(image).labels
    outcomes = []

    def work():
        try:
            while True:
                outcomes.append((opened(image).labels == expected).all())
        except UsageError as error:
            assert "was closed" in str(error)  # noqa: PT017 - the loop ends this way

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(outcomes) < 4:
        pass
    opened.close()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert all(outcomes)


def test_pickled_it_opens_the_same_file_again(segmenter, photo):
    again = pickle.loads(pickle.dumps(segmenter))  # noqa: S301 - our own bytes
    assert again.digest == segmenter.digest
    assert (again(photo).labels == segmenter(photo).labels).all()


def test_pickled_it_notices_that_the_file_is_another_one(model_path, tmp_path):
    path = tmp_path / "m.onnx"
    shutil.copy(model_path("rgb"), path)
    with Segmenter(path, "cpu") as opened:
        data = pickle.dumps(opened)
    shutil.copy(model_path("plain"), path)
    with pytest.raises(ModelError, match="no longer the model that was opened"):
        pickle.loads(data)  # noqa: S301 - our own bytes


def in_child(segmenter, photo, queue):
    try:
        queue.put(segmenter(photo).labels)
    except UsageError as error:
        queue.put(str(error))


@pytest.mark.security("fork, spawn", "refused or works, never hangs")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_segments_or_fails_but_never_hangs(segmenter, photo, method):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=in_child, args=(segmenter, photo, queue))
    process.start()
    answer = queue.get(timeout=30)
    process.join(timeout=30)
    if method == "fork":
        assert "opened before the process forked" in answer
    else:
        assert (answer == segmenter(photo).labels).all()


def test_an_fp16_model_on_a_cpu_warns_that_its_parent_is_faster(model_path):
    with pytest.warns(UserWarning, match="float parent is faster"):
        Segmenter(model_path("half"), "cpu").close()


def test_a_start_loads_nothing_that_only_some_calls_need(model_path):
    code = """if True:
        import sys
        import numpy, onnxruntime
        before = set(sys.modules)
        from fcn_edge_runtime import Segmenter
        with Segmenter(sys.argv[1], "cpu") as segmenter:
            segmenter(numpy.zeros((20, 30, 3), numpy.uint8))
        print(*{"pathlib", "tempfile", "numpy.ma", "fcn_edge_runtime.session.profile"}
            & (set(sys.modules) - before))
    """
    command = [sys.executable, "-c", code, str(model_path("plain"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
