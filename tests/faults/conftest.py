from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import fcn_edge, photos
from tests.export.parents import blocks, write_parent
from tests.runtime.conftest import model_path, photo
from tests.runtime.robot.make_corridor_bag import write_bag

__all__ = ["fcn_edge", "model_path", "photo", "photos"]


@pytest.fixture(scope="module")
def work(tmp_path_factory, model_path):
    """A folder with all that commands read: models, frames with labels, a bag, a network."""
    folder = tmp_path_factory.mktemp("work")
    for name in ("frames", "labels"):
        (folder / name).mkdir()
    for number in range(8):
        picture = blocks(seed=number)
        Image.fromarray(picture).save(folder / "frames" / f"{number}.png")
        Image.fromarray(picture.argmax(axis=2).astype(np.uint8)).save(folder / "labels" / f"{number}.png")
    (folder / "model.onnx").write_bytes(model_path("rgb").read_bytes())
    write_parent(folder / "parent.onnx")
    write_bag(folder / "in.mcap", [blocks(seed=number) for number in range(20)])
    (folder / "net.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef build():\n"
        "    torch.set_num_threads(1)\n    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))\n"
    )
    return folder


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk without room for one more byte: a small file system in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only a user who may mount file systems can fill one; the limit on file sizes is tested")

    def fill():
        with open(folder / "filler", "wb", buffering=0) as stream:  # noqa: PTH123 - unbuffered, to the last byte
            try:
                while stream.write(bytes(1024)):
                    pass
            except OSError:
                pass

    yield folder, fill
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def start():
    """Begin a command line in a process of its own."""
    begun = []

    def run(*arguments, cwd, **options):
        command = [sys.executable, "-m", "fcn_edge", *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        begun.append(process)
        return process

    yield run
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def parts(folder):
    """What is being written in a folder, or was left behind."""
    return [path.name for path in Path(folder).rglob(".*") if ".part" in path.name]
