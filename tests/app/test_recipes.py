from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

import fcn_edge.recipes
from fcn_edge.card_file import description_from
from fcn_edge.nets import find
from fcn_edge.recipes import find_recipe, recipes
from fcn_edge_runtime.errors import CheckpointError, UsageError

MODELS = Path(__file__).parents[2] / "models"


def test_the_models_of_the_readme_have_recipes():
    names = {r.name for r in recipes()}
    assert {
        "brain",
        "landcover",
        "corridor",
        "corridor-r18",
        "portrait",
        "portrait-landscape",
        "fcn_resnet50_coco",
        "fcn_resnet101_coco",
        "lraspp_mobilenet_v3_large_coco",
    } <= names


@pytest.mark.parametrize("recipe", recipes(), ids=lambda r: r.name)
def test_every_recipe_is_complete(recipe):
    assert find(recipe.net).name == recipe.net
    described = description_from(recipe.card, recipe.name)
    assert described.classes
    assert described.license
    if "://" in recipe.weights:
        assert recipe.sha256 or re.search(r"-[0-9a-f]{8,64}\.pth$", recipe.weights)


def test_the_corridor_recipes_match_the_training():
    from models.corridor.classes import COLORS, NAMES

    for name in ("corridor", "corridor-r18"):
        classes = description_from(find_recipe(name).card, name).classes
        assert [c.name for c in classes] == list(NAMES)
        assert [c.color for c in classes] == list(COLORS)


def test_a_wheel_carries_less_than_3_mb_of_weights():
    project = tomllib.loads((MODELS.parent / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    files = [
        file
        for path in map(MODELS.parent.joinpath, included)
        for file in (path.iterdir() if path.is_dir() else [path])
        if file.suffix == ".safetensors"
    ]
    assert len(files) >= 5
    assert sum(file.stat().st_size for file in files) < 3_000_000


def test_a_wheel_carries_every_recipe():
    project = tomllib.loads((MODELS.parent / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {f"models/{path.name}" for path in MODELS.glob("*.toml")} <= set(included)


def test_an_unknown_recipe_is_none():
    assert find_recipe("nothing") is None


def test_listing_recipes_loads_no_torch():
    code = "import sys, fcn_edge.recipes as r; r.recipes(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_invalid_recipe_is_named(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text("summary = 'x'\nnet = 3\n")
    monkeypatch.setattr(fcn_edge.recipes, "FOLDERS", (tmp_path,))
    with pytest.raises(UsageError, match=r"mine.toml: field 'net' is 3, expected text"):
        recipes()


def test_weights_outside_the_wheel_have_a_named_place(tmp_path, monkeypatch):
    (tmp_path / "big.toml").write_text((MODELS / "corridor-r18.toml").read_text())
    monkeypatch.setattr(fcn_edge.recipes, "FOLDERS", (tmp_path,))
    with pytest.raises(CheckpointError) as refused:
        find_recipe("big").find_weights()
    assert str(refused.value) == (
        "the weights of big are too large for the wheel: "
        "take models/corridor/weights/corridor-r18.safetensors from a clone of the repository "
        "or from the sdist, and add --weights FILE"
    )
