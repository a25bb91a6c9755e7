"""What a shell completes: files, names of networks, words, and the classes of the model that was typed.

Each function here is the `shell_complete` of arguments or options. A shell waits for it at every press of
Tab: it loads neither numpy nor onnxruntime, prints nothing, and completes nothing where something is wrong.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fcn_edge_runtime.errors import FcnEdgeError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["classes", "files", "items", "networks", "topics", "words"]

Completer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem[str]]"]
_LARGEST_MODEL = 1 << 31  # bytes, as protobuf allows


def files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Names of files and folders, which the shell itself completes."""
    return [_item(incomplete, "file")]


def words(*known: str, or_files: bool = False) -> Completer:
    """One of the known words, or also a file."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        found = [_item(word) for word in known if word.startswith(incomplete)]
        # The scripts of click forget the words that come before a file.
        return [*files(ctx, param, incomplete), *found] if or_files else found

    return complete


def items(*known: str) -> Completer:
    """The last of several known words between commas."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        before, comma, last = incomplete.rpartition(",")
        if comma and _shell() == "fish":
            return []  # its script cuts a word at the comma
        taken = before.split(",")
        return [
            _item(f"{before}{comma}{word}") for word in known if word.startswith(last) and word not in taken
        ]

    return complete


def networks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Networks and recipes, or a file of one's own."""
    from fcn_edge.nets.registry import entries
    from fcn_edge.recipes import recipes

    try:
        known = [*(entry.name for entry in entries()), *(recipe.name for recipe in recipes())]
    except FcnEdgeError:
        known = []
    return words(*known, or_files=True)(ctx, param, incomplete)


def classes(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Names of the classes of the model on the command line, in any case. Only its card is read."""
    model = _typed(ctx, "model")
    known = () if model is None else _class_names(model)
    return [_item(_quoted(name)) for name in known if name.lower().startswith(incomplete.lower())]


def topics(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Image topics of the bag on the command line."""
    source = _typed(ctx, "source")
    if source is None:
        return []
    from fcn_edge_runtime.robot.bag.reader import open_bag

    try:
        with open_bag(source) as bag:
            known = [topic.name for topic in bag.image_topics]
    except FcnEdgeError:
        return []
    return [_item(name) for name in known if name.startswith(incomplete)]


def _item(value: str, kind: str = "plain") -> CompletionItem[str]:
    from click.shell_completion import CompletionItem

    return CompletionItem(value, type=kind)


def _typed(ctx: click.Context, name: str) -> Path | None:
    """The path that was typed for an option, or for the command's first argument; None if it was not yet."""
    value = ctx.params.get(name)
    first = next((param for param in ctx.command.params if isinstance(param, click.Argument)), None)
    if value is None and first is not None and first.name == name and ctx.args:
        value = ctx.args[0]  # an option without its value ends click's parsing before arguments have names
    return Path(os.path.expandvars(value)).expanduser() if isinstance(value, str) else None


def _class_names(model: Path) -> Iterator[str]:
    from fcn_edge_runtime._files import read_regular
    from fcn_edge_runtime.model.card import CARD_KEY
    from fcn_edge_runtime.model.protobuf.summary import summarize

    try:
        card = json.loads(summarize(read_regular(model, _LARGEST_MODEL)).metadata[CARD_KEY])
        found = [str(entry["name"]) for entry in card["classes"]]
    except (FcnEdgeError, OSError, ValueError, KeyError, TypeError, RuntimeError):
        return
    yield from (name for name in found if name.isprintable())


def _quoted(name: str) -> str:
    """The name as it has to stand in the command line: bash inserts it as it is, other shells quote it."""
    if _shell() != "bash" or _within_quotes():
        return name
    return re.sub(
        r"([^\w@%+=:,./-])", r"\\\\\1", name
    )  # the `read` in click's script takes one of the two away


def _within_quotes() -> bool:
    """Whether the word that is typed begins with a quote."""
    typed = os.environ.get("COMP_WORDS", "").split("\n")
    return typed[-1][:1] in {"'", '"'}


def _shell() -> str:
    return os.environ.get("_FCN_EDGE_COMPLETE", "").partition("_")[0]
