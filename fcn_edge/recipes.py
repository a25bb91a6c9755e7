"""Recipes: everything it takes to export a known model, in one TOML file each.

A recipe names the network and its options, the classes and the input, and where the weights are: a file
beside it, or a URL with its SHA-256. Recipes live in the repository's `models` folder. The wheel holds all of
them, but of the weights only the small ones.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcn_edge_runtime._fields import Fields
from fcn_edge_runtime.errors import CheckpointError, UsageError

__all__ = ["Recipe", "find_recipe", "recipes"]

# In a wheel the recipes lie inside the package; in a checkout beside it.
FOLDERS = (Path(__file__).parent / "_models", Path(__file__).parent.parent / "models")
FIELDS = {
    "summary",
    "net",
    "options",
    "weights",
    "sha256",
    "working_size",
    "outputs",
    "name",
    "description",
    "license",
    "classes",
    "input",
}


@dataclass(frozen=True)
class Recipe:
    """One model that can be exported by name.

    Attributes:
        name: what a user types; the file's name without `.toml`.
        summary: one line for the list.
        net: a network of the registry.
        options: its options.
        weights: a path, or a URL; see `find_weights`.
        sha256: of a URL's file; None where the file's name holds it.
        working_size: at which the network was trained to see images; None is their own.
        outputs: what the file computes unless `--outputs` is given.
        card: name, description, license, classes and input, as in a card file.
        path: of the recipe.
    """

    name: str
    summary: str
    net: str
    options: dict[str, Any]
    weights: str
    sha256: str | None
    card: dict[str, Any]
    path: Path
    working_size: str | None = None
    outputs: tuple[str, ...] = ("labels",)

    @property
    def has_weights(self) -> bool:
        """Whether this installation has the weights' file, or they are on the web."""
        return "://" in self.weights or Path(self.weights).is_file()

    def find_weights(self) -> str:
        """The path or URL of the weights.

        Raises:
            CheckpointError: the file is not part of this installation.
        """
        if not self.has_weights:
            file = Path(self.weights).relative_to(self.path.parent)
            raise CheckpointError(
                f"the weights of {self.name} are too large for the wheel: take models/{file} from a clone "
                "of the repository or from the sdist, and add --weights FILE"
            )
        return self.weights


def recipes() -> tuple[Recipe, ...]:
    """Every recipe, by name; none before Python 3.11, which can neither read them nor export.

    Reading them loads no torch.

    Raises:
        UsageError: a recipe is invalid.
    """
    if sys.version_info < (3, 11):  # tomllib came with it
        return ()
    folder = next((f for f in FOLDERS if f.is_dir()), None)
    return tuple(_read(path) for path in sorted(folder.glob("*.toml"))) if folder else ()


def find_recipe(name: str) -> Recipe | None:
    """The recipe of that name, or None."""
    return next((r for r in recipes() if r.name == name), None)


def _read(path: Path) -> Recipe:
    import tomllib

    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the recipe {path} cannot be read: {error}") from None
    fields = Fields.of(data, UsageError, f"the recipe {path}")
    fields.only(FIELDS)
    summary, net, weights = (fields.text(key) for key in ("summary", "net", "weights"))
    return Recipe(
        name=path.stem,
        summary=summary,
        net=net,
        options=dict(fields.object("options").values) if "options" in fields else {},
        weights=weights if "://" in weights else str(path.parent / weights),
        sha256=fields.optional("sha256", Fields.digest),
        card={
            "name": path.stem,
            "license": fields.text("license"),
            **{key: data[key] for key in ("name", "description", "classes", "input") if key in data},
        },
        path=path,
        working_size=fields.optional("working_size", Fields.text),
        outputs=fields.sequence("outputs", Fields.text) if "outputs" in fields else ("labels",),
    )
