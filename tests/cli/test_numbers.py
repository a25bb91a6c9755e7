"""Every number on the command line is finite and bounded; a new option is found in the tree of commands."""

from __future__ import annotations

import math

import click
import pytest

import fcn_edge.cli as frame
from fcn_edge.cli.effect_options import _Radius
from fcn_edge.cli.numbers import LARGEST, Real, Whole
from fcn_edge.cli.options import MOST_PIXELS, SizesType, SizeType
from fcn_edge_runtime.imaging.arrays import MAX_PIXELS
from fcn_edge_runtime.robot.worker import WORKER

NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "1e300",
    "-1",
    "0",
    str(10**20),
    "",
    "9" * 5000,
    "1e400",
    "1e-320",
    "-1e300",
    "0x10",
)
SIZES = ("", "x", "0x0", "-1x5", "nanxinf", "1e300x1", f"{10**20}x1", "9" * 5000 + "x1", "99999x99999")
OURS = (Real, Whole, SizeType, SizesType, _Radius)


def commands(group, *path):
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


PARAMETERS = [(path, param) for path, command in commands(frame.cli) for param in command.params]
NUMERIC = [(path, param) for path, param in PARAMETERS if isinstance(param.type, OURS)]


def run(arguments, capfd):
    with pytest.raises(SystemExit) as caught:
        frame.main(arguments)
    shown = capfd.readouterr().err
    assert "Traceback" not in shown
    return caught.value.code, shown


def test_every_number_has_one_of_our_types():
    plain = (click.types.IntParamType, click.types.FloatParamType)
    others = [(path, param.name) for path, param in PARAMETERS if isinstance(param.type, plain)]
    assert [found for found in others if found not in [(path, param.name) for path, param in NUMERIC]] == []
    assert len(NUMERIC) >= 25


@pytest.mark.security("any number on the command line", "a finite one within bounds, or exit code 2")
@pytest.mark.parametrize(("path", "param"), NUMERIC, ids=[f"{' '.join(p)} {q.opts[-1]}" for p, q in NUMERIC])
def test_a_number_is_within_bounds_or_exit_code_2(capfd, path, param):
    is_size = isinstance(param.type, (SizeType, SizesType))
    for text in SIZES if is_size else (*NUMBERS, *(f"{text}%" for text in NUMBERS)):
        try:
            got = param.type.convert(text, param, None)
        except click.BadParameter:
            code, shown = run([*path, param.opts[-1], text], capfd)
            assert code == 2
            assert shown.startswith("error: Invalid value for ")
            assert shown.count("\n") == 1
            assert len(shown) < 250
            continue
        for number in got if isinstance(got, tuple) else (got,):
            assert number is None or (math.isfinite(number) and abs(number) <= LARGEST)


# Text that may hold a number: the network and its weights, cameras.
EXPORT = ("export", "fcn_tiny", "-o", "x.onnx", "--weights")
HUGE = str(10**20)
TEXTS = [
    ((*EXPORT, "random", "--classes"), ("", "nan", "-1", "0", "1e300", HUGE)),
    (EXPORT, ("random:nan", "random:-1", "random:1e300", f"random:{HUGE}")),
    ((*EXPORT, "random", "--set"), ("width=nan", "width=-1", "width=0", f"width={HUGE}")),
    (("robot", "camera", "--model", "m.onnx", "--"), ("99999999999", "100", HUGE, "9" * 5000)),
]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(arguments, text) for arguments, texts in TEXTS for text in texts],
    ids=lambda given: given[:12] if isinstance(given, str) else given[-1],
)
def test_a_number_within_a_text_is_bounded(tmp_path, monkeypatch, capfd, arguments, text):
    monkeypatch.chdir(tmp_path)
    code, shown = run([*arguments, text], capfd)
    assert code == 2, shown
    assert len(shown.splitlines()[-1]) < 300
    assert list(tmp_path.iterdir()) == []


def test_limits_that_are_written_twice_are_equal():
    assert MOST_PIXELS == MAX_PIXELS
    assert frame._MAY_HANG == WORKER


@pytest.mark.parametrize("group", [[], ["robot"]])
def test_a_group_without_a_command_shows_its_help(capfd, group):
    code, shown = run(group, capfd)
    assert code == 2
    assert shown.startswith("Usage: fcn-edge")
    assert "\nCommands:\n" in shown
