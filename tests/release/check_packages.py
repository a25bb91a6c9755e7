"""Checks of the wheel and the sdist in dist/, as `make package-check` builds them."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bare.environment import ROOT, make

ARTIFACT = ROOT / "tests" / "artifacts" / "0.1.0-float.onnx"
LARGEST = 3_600_000  # bytes: what every robot downloads; 2.75 MB of it are weights, which do not compress


def only(pattern):
    (path,) = (ROOT / "dist").glob(pattern)
    return path


@pytest.fixture(scope="module")
def wheel():
    return only("*.whl")


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return make(tmp_path_factory.mktemp("bare"), f"{wheel}[cpu,images]")


def test_the_wheel_holds_three_packages_and_nothing_else(names):
    roots = {name.split("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {
        "fcn_edge",
        "fcn_edge_export",
        "fcn_edge_runtime",
    }
    assert {f"{root}/py.typed" for root in roots if "." not in root} <= names


def test_the_wheel_holds_every_module(names):
    packages = ("fcn_edge", "export/fcn_edge_export", "runtime/fcn_edge_runtime")
    files = {
        path.relative_to((ROOT / package).parent).as_posix()
        for package in packages
        for path in (ROOT / package).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == files


def test_the_wheel_holds_the_page_of_a_model(names):
    page = {path.relative_to(ROOT / "runtime/web").as_posix() for path in (ROOT / "runtime/web").rglob("*.*")}
    assert {name.removeprefix("fcn_edge/_web/") for name in names if "/_web/" in name} == page


def test_the_wheel_holds_the_unit_of_the_bridge(names):
    assert "fcn_edge/_systemd/fcn-edge-bridge.service" in names


def test_the_wheel_is_small(wheel, names):
    assert wheel.stat().st_size < LARGEST
    assert {n for n in names if n.endswith(".safetensors")} == {
        "fcn_edge/_models/brain/weights/brain.safetensors",
        "fcn_edge/_models/corridor/weights/corridor.safetensors",
        "fcn_edge/_models/landcover/weights/landcover.safetensors",
        "fcn_edge/_models/portrait/weights/portrait.safetensors",
        "fcn_edge/_models/portrait/weights/portrait-landscape.safetensors",
    }


def test_the_wheel_has_license_and_readme(wheel, names):
    (folder,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    assert {f"{folder}/licenses/LICENSE", f"{folder}/licenses/NOTICE"} <= set(names)
    with zipfile.ZipFile(wheel) as archive:
        assert (ROOT / "README.md").read_text().splitlines()[0] in archive.read(f"{folder}/METADATA").decode()


def test_the_sdist_holds_all_that_tests_and_training_need():
    with tarfile.open(only("*.tar.gz")) as archive:
        members = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "README.md",
        "LICENSE",
        "NOTICE",
        "CHANGELOG.md",
        "Makefile",
        "constraints.txt",
        "models/corridor/weights/corridor-r18.safetensors",
        "tests/artifacts/0.1.0-float.onnx",
        "docs/performance.md",
        ".ci/run",
    } <= members
    assert not [name for name in members if name.startswith(("build/", "dist/", ".venv"))]


def test_an_installed_wheel_shows_its_version(wheel, installed, tmp_path):
    assert installed.run("--version", cwd=tmp_path).stdout.strip() == f"fcn-edge {wheel.name.split('-')[1]}"


def test_an_installed_wheel_segments_an_image(installed, tmp_path):
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "a.png")
    done = installed.run("run", ARTIFACT, "a.png", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.asarray(Image.open(tmp_path / "out" / "a.labels.png")).shape == (48, 64)


def test_an_installed_wheel_reports_where_large_weights_are(installed, tmp_path):
    code = """
from fcn_edge.recipes import find_recipe
print(find_recipe("corridor").find_weights())
find_recipe("corridor-r18").find_weights()
"""
    done = installed.run("-c", code, cwd=tmp_path, program="python")
    assert Path(done.stdout.strip()).is_file()
    assert "take models/corridor/weights/corridor-r18.safetensors from a clone" in done.stderr
