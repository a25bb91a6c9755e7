"""What mkdocs does beyond its configuration.

The help of every command is put into the page of the command line.

Pages link to files of the repository as they do on GitHub. Some of these files are pages of the site, too;
links to others become text. A link to a missing file, or a page that loads from another host, ends the build.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Pages outside of docs/, by their path in the repository, and where they are on the site.
BESIDE = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "models/corridor/README.md": "project/corridor.md",
    "benchmarks/comparison/README.md": "project/comparison.md",
    "tests/artifacts/README.md": "project/artifacts.md",
    "runtime/ros2/fcn_edge_ros/README.md": "project/ros2-node.md",
}
_COMMANDS = re.compile(r"^<!-- commands: .*-->$", re.MULTILINE)
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>(?:#[^)\s]*)?)\)")
_LOADED = re.compile(
    r"<(?:script|img|iframe|source)[^>]+src=\"?(?:https?:)?//|<link[^>]+(?:stylesheet|preconnect)[^>]+//"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside of docs/."""
    for source, place in BESIDE.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links that point into the repository to the pages of the site."""
    here = page.file.src_uri
    origin = next((source for source, place in BESIDE.items() if place == here), f"docs/{here}")

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match["target"]))
        if target.startswith("docs/"):
            place = target.removeprefix("docs/")
        elif target in BESIDE:
            place = BESIDE[target]
        elif (ROOT / target).exists():
            return match["text"]  # a file that has no page on the site
        else:
            raise PluginError(f"{origin} links to {match['target']}, which is not there")
        return (
            f"[{match['text']}]({posixpath.relpath(place, posixpath.dirname(here) or '.')}{match['anchor']})"
        )

    return _COMMANDS.sub(lambda _: _help_of_commands(), _LINK.sub(moved, markdown))


def _help_of_commands() -> str:
    """A section for each command, with what `--help` prints."""
    from fcn_edge.cli import cli

    return "\n".join(_help_of(cli, _context(cli, None, "fcn-edge"), 2))


def _context(command: click.Command, parent: click.Context | None, name: str) -> click.Context:
    return click.Context(command, parent, name, terminal_width=80, help_option_names=["-h", "--help"])


def _help_of(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield f"{'#' * level} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        inner = command.get_command(context, name)
        assert inner is not None  # noqa: S101 - the group listed it
        yield from _help_of(inner, _context(inner, context, name), level + 1)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuse a page that would load something from another host."""
    if found := _LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads from another host: {found[0]}")
    return output
