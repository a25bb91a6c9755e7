"""Every hostile input ends as expected, within the limits that SECURITY.md promises.

`make test-hostile` prints the same as a table. Each subject has a test, for its row in SECURITY.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.registry import SUBJECTS

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel measures forked children")


def assert_all_held(name):
    """Run a subject in a process of its own: this one has threads, which a fork would lose."""
    path = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", name],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_every_subject_has_a_test():
    assert {f"test_hostile_{name}_do_little_harm" for name in SUBJECTS} <= set(globals())


@pytest.mark.security(
    "a small sealed file that makes oversized tensors or much work, or lies about what it holds",
    "refused or harmless, time and memory measured",
)
@pytest.mark.security("cards and self-tests of any size and text", "refused, time and memory measured")
@pytest.mark.slow
def test_hostile_models_do_little_harm():
    pytest.importorskip("onnx")
    assert_all_held("models")


@pytest.mark.security(
    "pictures that declare oversized dimensions, make much work, or lack pixels",
    "refused, time and memory measured",
)
@pytest.mark.security("profiles, texts and EXIF of any size", "never decoded, time and memory measured")
@pytest.mark.slow
def test_hostile_pictures_do_little_harm():
    assert_all_held("pictures")


@pytest.mark.security(
    "messages that declare more than they hold, text of any length", "refused, time and memory measured"
)
def test_hostile_messages_do_little_harm():
    assert_all_held("messages")


@pytest.mark.security(
    "recordings that become large, never end, or count wrong", "refused or read, time and memory measured"
)
@pytest.mark.slow
def test_hostile_bags_do_little_harm():
    pytest.importorskip("rosbags")
    pytest.importorskip("mcap")
    assert_all_held("bags")


@pytest.mark.security(
    "weights whose pickle or archive costs time or memory", "refused, time and memory measured"
)
@pytest.mark.slow
def test_hostile_checkpoints_do_little_harm():
    pytest.importorskip("torch")
    assert_all_held("checkpoints")


@pytest.mark.security(
    "rasters that name servers, programs or other files, in a VRT or beside",
    "refused, no connection, nothing read but files of rasters",
)
@pytest.mark.security(
    "rasters whose blocks, bands, overviews or metadata are too large", "refused, time and memory measured"
)
@pytest.mark.slow
def test_hostile_rasters_do_little_harm():
    pytest.importorskip("rasterio")
    assert_all_held("rasters")


@pytest.mark.security(
    "medical volumes whose headers, streams or series declare more than they hold, or nothing possible",
    "refused or read, nothing half written, time and memory measured",
)
@pytest.mark.slow
def test_hostile_volumes_do_little_harm():
    for name in ("nibabel", "pydicom", "highdicom", "gdcm"):
        pytest.importorskip(name)
    assert_all_held("volumes")
