"""A click group whose commands are imported when they are called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """Commands by the name of their module, imported on demand and listed in the order given.

    Args:
        package: the package that holds one module for each command, with an attribute `command`.
        names: of the commands and, with "_" for "-", of their modules, in the order in which help lists them.
    """

    def __init__(self, *args: Any, package: str, names: Sequence[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._package = package
        self._names = tuple(names)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order given; nothing is imported."""
        del ctx
        return list(self._names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None if no command has that name."""
        del ctx
        if cmd_name not in self._names:
            return None
        command = import_module(f"{self._package}.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a bug of ours, not a user's mistake
        return command
