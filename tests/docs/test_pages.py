"""What the pages state about code that has no command to run: fields, exit codes, extras, links."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from pathlib import PurePosixPath

import pytest
import tomllib

import fcn_edge
from fcn_edge_runtime import errors
from fcn_edge_runtime.model import card
from tests.docs.blocks import ROOT, pages

LINK = re.compile(r"\]\(([^)\s]+)\)")
BESIDE = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "models/corridor/README.md",
    "models/portrait/README.md",
]


def text_of(page):
    return (ROOT / page).read_text()


def anchors_of(page):
    """The anchors that GitHub and the site make of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings]
    return {re.sub(r" +", "-", heading) for heading in plain}


@pytest.mark.parametrize("page", [*pages(), *BESIDE])
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    for link in LINK.findall(re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = ROOT / PurePosixPath(page).parent / name if name else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor and not anchor.startswith("fcn_edge"):  # mkdocstrings makes those; `make docs` checks them
            found = anchors_of(str(target.resolve().relative_to(ROOT)))
            assert anchor in found, f"{page} links to {link}"


def test_the_readme_is_short():
    assert len(text_of("README.md").splitlines()) <= 125
    table = text_of("README.md").partition("| engine |")[2].partition("\n\n")[0]
    assert len(table.splitlines()) - 2 <= 6


def fields_of(kind, prefix=""):
    """Every field of a card as the page writes it: `classes[].id`, `lowering.calibration.frames`."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        name = prefix + field.name
        yield name
        inner, many = parts_of(hints[field.name])
        if inner:
            yield from fields_of(inner, f"{name}{'[]' if many else ''}.")


def parts_of(hint):
    """The dataclass within a type, and whether the type is a tuple of them."""
    if dataclasses.is_dataclass(hint):
        return hint, False
    many = typing.get_origin(hint) is tuple
    if many or typing.get_origin(hint) in {types.UnionType, typing.Union}:
        found = [arg for arg in typing.get_args(hint) if dataclasses.is_dataclass(arg)]
        return (found[0] if found else None), many
    return None, False


def test_the_schema_page_lists_every_field_of_a_card():
    listed = re.findall(r"^\| `([\w.\[\]]+)` \|", text_of("docs/reference/card.md"), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == {*fields_of(card.Card), "schema", "unlabeled"}


def test_the_exit_codes_page_lists_every_error_with_its_code():
    rows = re.findall(r"^\| (\d+) \|[^|]*\|([^|]*)\|$", text_of("docs/reference/exit-codes.md"), re.MULTILINE)
    listed = {name: int(code) for code, names in rows for name in re.findall(r"`(\w+Error)`", names)}
    assert listed == {name: getattr(errors, name).exit_code for name in errors.__all__}


def test_the_extras_page_lists_every_extra():
    declared = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
    table = text_of("docs/howto/run.md").partition("## Extras")[2]
    named = {
        name
        for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(declared) - {"dev", "engines", "demo"}


def test_the_python_page_shows_every_name_of_the_face():
    shown = set(re.findall(r"^::: fcn_edge\.(\w+)$", text_of("docs/reference/python.md"), re.MULTILINE))
    constants = {"CITYSCAPES", "VOC", "__version__"}
    assert shown == set(fcn_edge.__all__) - set(errors.__all__) - constants
