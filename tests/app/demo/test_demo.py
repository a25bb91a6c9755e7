from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fcn_edge.demo import demo
from fcn_edge.demo.gallery import write_gallery
from fcn_edge.demo.page import demo_page
from fcn_edge.demo.uses import USES, Use
from fcn_edge.reports.contact_sheet import Tile
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.areas import Area


@pytest.fixture
def use():
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    labels = np.zeros((40, 60, 3), np.uint8)
    area = Area(1, "<gray> matter", (9, 8, 7), 5, 0.25)
    return Use(
        "Maps",
        "A & B",
        None,
        (Tile(picture, "image"), Tile(labels, "ours")),
        ((area, "3.5 km²"),),
        score="0.9",
    )


def test_a_page_of_the_demo_needs_no_other_file(use):
    page = demo_page([use])
    assert page.count('src="data:image/') == 2
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "&lt;gray&gt; matter 25.0%, 3.5 km²" in page
    assert "A &amp; B" in page
    assert "<dt>score</dt><dd>0.9</dd>" in page
    assert 'name="viewport"' in page


def test_labels_on_the_page_keep_their_exact_colors(use):
    page = demo_page([use])
    assert page.count("data:image/png") == 1
    assert page.count("data:image/jpeg") == 1


def test_the_gallery_is_one_picture_of_all_uses(use, tmp_path):
    write_gallery(tmp_path / "gallery.jpg", [use, use, Use("Robots", "not here", None)])
    image = Image.open(tmp_path / "gallery.jpg")
    assert 300 < image.height < 800
    assert image.width > 900


def test_a_use_without_its_data_is_named_on_the_page(tmp_path, monkeypatch):
    def maps(_):
        raise InputError("the data of landcover are in the repository")

    monkeypatch.setattr(demo, "USES", (maps,))
    made = demo.run_demo(tmp_path / "out")
    assert made.uses[0].model is None
    assert "Not shown here: the data of landcover" in made.page.read_text()


@pytest.mark.slow
def test_the_demo_shows_five_uses_on_one_page(tmp_path):
    command = [sys.executable, "-m", "fcn_edge", "demo", "-o", str(tmp_path / "demo"), "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Not shown" not in done.stdout
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    models = {f"{name}.onnx" for name in ("portrait", "corridor", "landcover", "brain")}
    assert models | {"index.html", "gallery.jpg", "effects.jpg", "landcover.tif"} <= names
    page = (tmp_path / "demo" / "index.html").read_text()
    assert page.count("<section>") == len(USES) == 5
    assert page.count("equal to PyTorch") == 5
    assert "Dice gray matter 0.9" in page
