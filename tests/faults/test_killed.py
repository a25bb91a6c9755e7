"""`kill -9` at any moment leaves what was there, whole, or what was to be there, whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.robot.bag.reader import open_bag
from tests.faults.conftest import parts

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

RUNTIME = ("onnxruntime", "PIL.Image", "fcn_edge_runtime.segmenter", "fcn_edge_runtime.batch")
EXPORT = (*RUNTIME, "onnx", "fcn_edge_export.lowering.quantize")


@dataclass(frozen=True)
class Command:
    """A command line: what it needs imported, what it is called with, what must be whole after it."""

    modules: tuple[str, ...]
    arguments: tuple[str, ...]
    whole: object
    again: object = lambda _: None


def images_are_whole(folder):
    found = [path for path in folder.glob("out/*") if not path.name.startswith(".")]
    for path in found:
        if path.suffix == ".png":
            Image.open(path).load()
        else:
            json.loads(path.read_text())
    return len(found) >= 3


def model_is_whole(folder):
    with ModelFile.open(folder / "out.onnx") as model:
        report = json.loads((folder / "out.verification.json").read_text())
        # The report is renamed first: an old model may lie beside the new report, whose digest differs, but
        # a new model never beside an old report.
        assert model.card.name == "old" or report["model_sha256"] == model.digest
    return True


def bag_is_whole(folder):
    path = folder / "out.mcap"
    if not path.exists():
        return False
    with open_bag(path) as bag:
        assert {topic.name: topic.messages for topic in bag.topics}["/segmentation/mask"] == 20
        assert len(list(bag.records(bag.channels))) == 61
    return True


def no_bag(folder):
    (folder / "out.mcap").unlink(missing_ok=True)


COMMANDS = {
    "run": Command(
        RUNTIME, ("run", "model.onnx", "frames", "-o", "out", "--threads", "1", "-q"), images_are_whole
    ),
    "evaluate": Command(
        (*RUNTIME, "matplotlib.pyplot", "fcn_edge.reports.plots"),
        ("evaluate", "model.onnx", "--images", "frames", "--labels", "labels", "-o", "out", "-q"),
        images_are_whole,
    ),
    "bag": Command(
        (*RUNTIME, "fcn_edge_runtime.robot.bag.segment", "rosbags.rosbag2"),
        (
            "robot",
            "bag",
            "in.mcap",
            "--model",
            "model.onnx",
            "--image-topic",
            "/camera/image_raw",
            "-o",
            "out.mcap",
            "--threads",
            "1",
            "-q",
        ),
        bag_is_whole,
        no_bag,
    ),
    "quantize": Command(
        EXPORT,
        (
            "quantize",
            "parent.onnx",
            "--calibration",
            "frames",
            "-o",
            "out.onnx",
            "--method",
            "minmax",
            "--allow-slower",
            "-q",
        ),
        model_is_whole,
    ),
    "export": Command(
        (*EXPORT, "torch", "torch.onnx", "onnxscript", "fcn_edge.workflows"),
        (
            "export",
            "./net.py:build",
            "--weights",
            "built",
            "--classes",
            "3",
            "--normalize",
            "0-1",
            "-o",
            "out.onnx",
            "-q",
        ),
        model_is_whole,
    ),
}


class Server:
    """Runs the command again and again, each time in a new child of a process that has all imported."""

    def __init__(self, command, folder):
        root = Path(__file__).parents[2]
        path = [str(root), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        self.command, self.folder = command, folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server", *command.modules],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        )
        assert self._line() == "ready"

    def _line(self):
        return self.process.stdout.readline().strip()

    def begin(self):
        self.command.again(self.folder)
        self.process.stdin.write(json.dumps(self.command.arguments) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def end(self):
        return int(self._line())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


def undisturbed(server, folder):
    """Run it once. Returns when writing began and when all was done, in seconds from the start."""
    begin, written = time.monotonic(), None
    child = server.begin()
    while os.path.exists(f"/proc/{child}/exe") and not zombie(child):  # noqa: PTH110 - a file of the kernel
        if written is None and any("probe" not in name for name in parts(folder)):
            written = time.monotonic() - begin
        time.sleep(0.001)
    assert server.end() == 0
    done = time.monotonic() - begin
    return min(written or 0.0, done), done


def zombie(child):
    try:
        return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def few(name, moments):
    return pytest.param(name, moments, id=f"{name}-{moments}")


def many(name, moments):
    return pytest.param(name, moments, id=f"{name}-{moments}", marks=pytest.mark.slow)


@pytest.mark.security(
    "`kill -9` of run, evaluate, bag, quantize, export at any moment",
    "the old or the new file whole; the next writer removes what was left",
)
@pytest.mark.parametrize(
    ("name", "moments"),
    [
        *(few("run", 8), few("bag", 8), few("quantize", 6)),
        *(many(name, 100) for name in ("run", "evaluate", "bag", "quantize")),
        many("export", 30),  # each takes seconds: it verifies the sizes of real cameras
    ],
)
def test_killed_at_any_moment_it_leaves_the_old_or_the_new_whole(name, moments, work, tmp_path):
    command = COMMANDS[name]
    for path in work.iterdir():
        (tmp_path / path.name).symlink_to(path)
    if name in {"quantize", "export"}:
        old_model(work, tmp_path)
    server = Server(command, tmp_path)
    try:
        begin, done = undisturbed(server, tmp_path)
        chance = random.Random(name)  # noqa: S311 - moments, not secrets
        killed = 0
        for attempt in range(moments):
            if attempt == moments // 2 and name in {"quantize", "export"}:
                old_model(work, tmp_path)
            # Every second moment lies where it writes.
            moment = chance.uniform(begin if attempt % 2 else 0, done)
            child = server.begin()
            time.sleep(moment)
            if zombie(child):  # faster than the run that was measured
                begin, done = min(begin, moment / 2), moment
            else:
                os.kill(child, signal.SIGKILL)
            killed += server.end() == -signal.SIGKILL
            command.whole(tmp_path)
        print(f"{name}: killed {killed} of {moments} within {done:.2f} s, writing from {begin:.2f} s")
        assert killed >= moments // 8
        # What the dead left behind goes with the next one that lives.
        server.begin()
        assert server.end() == 0
        assert command.whole(tmp_path)
        assert parts(tmp_path) == []
    finally:
        server.close()


def old_model(work, folder):
    """A good model of another name where the new one will go."""
    import dataclasses

    import onnx

    from fcn_edge_export.artifact import assemble
    from fcn_edge_runtime.model.seal import unsealed

    with ModelFile.open(work / "parent.onnx") as parent:
        card, golden = dataclasses.replace(parent.card, name="old"), parent.golden
    model = onnx.load_from_string(unsealed((work / "parent.onnx").read_bytes()))
    (folder / "out.onnx").write_bytes(assemble(model, card, golden))
    (folder / "out.verification.json").write_text('{"model_sha256": "of the old one"}')


@pytest.mark.security("part files of live processes, other programs' files", "stay")
def test_what_a_living_process_writes_is_not_taken_for_dead(tmp_path):
    from fcn_edge_runtime._files import part_of, remove_dead_parts

    with part_of(tmp_path / "a.onnx") as mine, part_of(tmp_path / "b", folder=True) as folder:
        (tmp_path / ".a.onnx.fcn-edge-00000000.part").write_text("dead")
        (tmp_path / ".b.fcn-edge-00000000.part").mkdir()
        (tmp_path / ".b.fcn-edge-00000000.part" / "x").write_text("dead")
        (tmp_path / ".another.part").write_text("of another program")
        (tmp_path / "a.onnx.fcn-edge-00000000.part").write_text("no part of ours: it is not hidden")
        program = (
            "import sys; from pathlib import Path; from fcn_edge_runtime._files import remove_dead_parts"
        )
        program += "; remove_dead_parts(Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {mine.name, folder.name, ".another.part", "a.onnx.fcn-edge-00000000.part"}
    remove_dead_parts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".another.part", "a.onnx.fcn-edge-00000000.part"}
