"""Every block of README.md and docs/ does what the page shows, in a folder with what the page assumes."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import subprocess
import sys
import time

import click
import pytest

from tests.docs.blocks import ROOT, blocks_of, commands_of, pages, pattern_of
from tests.docs.conftest import environment

LANGUAGES = {"bash", "python", "toml", "json", "text", "cpp", "js", "yaml"}
STOPS = {"|", ">", "2>", "&&", ";", "&"}
TOO_SLOW = "error: nothing measured keeps up"  # how `plan` ends, with 1, on a machine that is slow or busy
PAGES = [page for page in pages() if blocks_of(page)]
SLOW = [page for page in PAGES if any(b.marker == "slow" for b in blocks_of(page))]

# Pages whose blocks take many seconds together.
LONG = {
    "docs/tutorial.md",
    *(f"docs/howto/{name}.md" for name in ("adopt", "card", "frame-rate", "int8", "your-network")),
}

# What cannot run in a test, page by page. A block more is a reason to look for a way to run it.
SKIPPED = {
    "README.md": 2,
    "docs/howto/browser.md": 1,
    "docs/howto/cluster.md": 3,
    "docs/howto/cpp.md": 1,
    "docs/howto/maps.md": 1,
    "docs/howto/medicine.md": 1,
    "docs/howto/other-programs.md": 1,
    "docs/howto/robots.md": 1,
    "docs/howto/run.md": 1,
    "docs/howto/serve.md": 3,
    "docs/howto/your-network.md": 2,
    "docs/performance.md": 3,
    "docs/tutorial.md": 2,
}


def all_blocks():
    return [block for page in PAGES for block in blocks_of(page)]


def run(command, block):
    """The exit code and everything that the command printed, in the order in which it came."""
    expected = int(block.detail) if block.marker == "exits" else 0
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        timeout=500,
    )
    last = command == commands_of(block)[-1]
    if done.returncode == 1 and TOO_SLOW in done.stdout:
        return done.stdout
    assert done.returncode == (expected if last else 0), f"{block.place}: {command}\n{done.stdout}"
    return done.stdout


def run_until_interrupted(command, block):
    """The output of a command that works until Ctrl-C, which comes once it has printed something."""
    env = {**environment(), "ROS_DOMAIN_ID": str(100 + os.getpid() % 100), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
    )
    try:
        first = process.stdout.readline()
        time.sleep(2)
        assert process.poll() is None, f"{block.place}: {command}\n{first}{process.stdout.read()}"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode in {0, 130}, f"{block.place}: {command}\n{first}{rest}"
    return first + rest


def run_python(block, names):
    """What the block printed; its names are there for the page's later blocks."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, block.place, "exec"), names)  # noqa: S102 - that is the test
    return printed.getvalue()


def run_page(page, folder, monkeypatch, *, slow):
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "mynet", raising=False)  # that of another page
    # Not by monkeypatch, which would also take away what libraries add: onnxruntime.transformers finds its
    # own modules by a folder that it appends when it is first imported.
    sys.path.insert(0, str(folder))
    try:
        run_blocks(page, folder, slow=slow)
    finally:
        sys.path.remove(str(folder))


def run_blocks(page, folder, *, slow):
    names, printed = {"__name__": "page"}, ""
    for block in blocks_of(page):
        if block.marker == "output":
            shown = " ".join(printed.split())
            assert pattern_of(block.text).search(shown), (
                f"{block.place}: expected\n{block.text}got\n{printed}"
            )
        elif block.marker == "skip" or (block.marker == "slow" and not slow):
            printed = ""
        elif block.title:
            (folder / block.title).write_text(block.text)
        elif block.language == "python":
            printed = run_python(block, names)
        elif block.language == "bash":
            runner = run_until_interrupted if block.marker == "until" else run
            printed = "".join(runner(command, block) for command in commands_of(block))


# Long pages with slow blocks run whole, below.
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow) if page in LONG else page
        for page in PAGES
        if page not in LONG.intersection(SLOW)
    ],
)
def test_the_blocks_of_a_page_run(page, folder, monkeypatch):
    run_page(page, folder, monkeypatch, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_the_slow_blocks_of_a_page_run_too(page, folder, monkeypatch):
    run_page(page, folder, monkeypatch, slow=True)


def test_every_block_has_a_language_that_says_what_it_is():
    odd = [block.place for block in all_blocks() if block.language not in LANGUAGES]
    assert odd == []


def test_blocks_of_yaml_can_be_read():
    yaml = pytest.importorskip("yaml")
    blocks = [block for block in all_blocks() if block.language == "yaml"]
    assert all(isinstance(yaml.safe_load(block.text), dict) for block in blocks)


def test_no_code_hides_in_indented_blocks():
    """Only fenced blocks are run, so `fcn-edge` in an indented one would be a claim that nobody tests."""
    for page in pages():
        fenced = False
        for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
            fenced ^= line.startswith("```")
            assert fenced or not line.startswith(("    fcn-edge", "    make ", "    pip ")), (
                f"{page}:{number}"
            )


def test_blocks_that_cannot_run_are_counted_and_give_a_reason():
    skipped = [block for block in all_blocks() if block.marker == "skip"]
    assert [block.place for block in skipped if len(block.detail.split()) < 3] == []
    counts = {page: sum(block.page == page for block in skipped) for page in PAGES}
    assert {page: count for page, count in counts.items() if count} == SKIPPED


def test_blocks_that_cannot_run_use_options_that_exist():
    unread = [b for b in all_blocks() if b.marker in {"skip", "slow"} and b.language == "bash"]
    lines = [(b.place, line) for b in unread for line in commands_of(b) if line.startswith("fcn-edge ")]
    assert lines
    for place, line in lines:
        parse(shlex.split(line)[1:], place)


def parse(words, place):
    """Walk the groups to the command, and let click read the words without running it."""
    from fcn_edge.cli import cli

    command = cli
    words = words[: next((i for i, word in enumerate(words) if word in STOPS), len(words))]
    while isinstance(command, click.Group):
        context = click.Context(command)
        name, found, words = command.resolve_command(context, words)
        assert found, f"{place}: no command {name}"
        command = found
    try:
        command.make_parser(click.Context(command)).parse_args(list(words))
    except click.UsageError as error:
        pytest.fail(f"{place}: {error.format_message()}")
