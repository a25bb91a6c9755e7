from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

import fcn_edge
from fcn_edge.card_file import card_from, read_description
from fcn_edge.cli import cli
from fcn_edge.planning.commands import Typed, commands_for, described
from fcn_edge.planning.plan import Option, best_of
from fcn_edge.planning.variants import Variant, int8_sibling
from fcn_edge.workflows import Request, plan_export
from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.graph.graft import graft
from fcn_edge_export.graph.other_size import at_working_size
from fcn_edge_export.graph.working_size import parse_working_size
from fcn_edge_export.lowering.quantize import quantize
from fcn_edge_export.options import QuantizeOptions
from fcn_edge_runtime.benchmark.latency import latency_of
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.model.card import Card, Geometry, NetInfo, VerificationInfo, WorkingSize
from fcn_edge_runtime.session.session import open_session
from tests.export.parents import blocks, frames, network, write_frames, write_parent
from tests.runtime.recorded import Recorded

SIZES = ("0.5x", "0.75x", "0.35x", "0.25x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """parent.onnx, frames/ and labels/."""
    folder = tmp_path_factory.mktemp("plan")
    write_parent(folder / "parent.onnx")
    write_frames(folder, 8)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    seen = Recorded()
    options = fcn_edge.PlanOptions(rate=1, seconds=6)
    found = fcn_edge.plan(
        folder / "parent.onnx", folder / "frames", options, labels=folder / "labels", progress=seen
    )
    return found, seen


def test_sizes_int8_and_session_options_are_measured(made):
    found, _ = made
    options = {(o.variant.working_size, o.variant.int8): o for o in found.options if o.latency}
    assert {("", False), ("", True), *((size, low) for size in SIZES for low in (False, True))} == set(
        options
    )
    assert options["", True].agreement > 0.98
    assert options["0.25x", False].agreement < options["0.75x", False].agreement < 1
    assert options["", False].mean_iou > options["0.25x", False].mean_iou > 0


def test_a_model_that_keeps_up_as_it_is_needs_no_change(made):
    found, _ = made
    assert found.chosen is found.options[0]
    assert found.chosen.agreement == 1
    (command,) = found.commands
    assert command.startswith("fcn-edge bench ")


def option(name, p95, agreement, iou, *, rate=10, **variant):
    latency = latency_of([p95 / 1000])
    return Option(Variant(**variant), name, latency, 1, agreement, 1, iou, meets_rate=p95 <= 1000 / rate)


def test_the_best_labels_that_keep_up_are_chosen():
    whole = option("as it is", 200, 1, 0.70)
    half = option("0.5x", 60, 0.80, 0.85, working_size="0.5x")  # the size that the network was trained at
    int8 = option("int8", 90, 0.99, 0.704, int8=True)
    assert best_of([whole, half, int8]) is half
    unlabeled = [replace(one, mean_iou=None) for one in (whole, half, int8)]
    assert best_of(unlabeled).name == "int8"
    assert best_of([whole]) is None


def test_of_equal_labels_the_simplest_is_chosen():
    whole, int8 = option("as it is", 90, 1, 0.700), option("int8", 30, 0.99, 0.702, int8=True)
    assert best_of([int8, whole]) is whole


def test_the_time_left_is_known_from_the_start(made):
    _, seen = made
    assert [name for name, *_ in seen.stages] == ["open", "tune", "variants", "time"]
    left = [stage + after for stage, after in seen.expected]
    assert left == sorted(left, reverse=True)
    assert 0 < left[0] <= 6


def test_what_does_not_fit_into_the_time_is_listed(folder):
    found = fcn_edge.plan(folder / "parent.onnx", folder / "frames", fcn_edge.PlanOptions(1, seconds=0.001))
    assert found.options[0].latency is not None
    assert {o.why for o in found.options[1:]} == {"not measured, the time is over: give more --seconds"}


def test_the_int8_file_beside_the_model_is_taken_as_it_is(tmp_path):
    parent = write_parent(tmp_path / "parent.onnx")
    made = quantize(
        parent,
        tmp_path / "parent.int8.onnx",
        lambda _: frames(20),
        options=QuantizeOptions(allow_slower=True),
    )
    sibling = int8_sibling(str(parent), made.parent)
    assert sibling == str(made.path)
    assert int8_sibling(str(parent), "0" * 64) == ""  # made of another model
    lines = commands_for(Variant(int8=True), 1.0, replace(TYPED, sibling=sibling), CARD)
    assert [line.split()[1:3] for line in lines] == [["bench", sibling]]


CARD = Card("road", numbered_classes(3), net=NetInfo("net.py:build", {"width": 8}))
TYPED = Typed("road.onnx", ("my frames",), (720, 1280), 10, weights="my.pth")


def test_the_commands_make_size_int8_and_profile_in_order():
    lines = commands_for(Variant("0.5x", int8=True, tuned=True), 0.97, TYPED, CARD)
    frames = "--images 'my frames' --size 720x1280"
    exported = "export net.py:build --set=width=8 --weights my.pth --card CARD --working-size 0.5x"
    quantized = "quantize road.0.5x.onnx --calibration 'my frames' --agreement 0.965"
    profile = "road.0.5x.int8.profile.json"
    assert lines == (
        f"fcn-edge {exported} -o road.0.5x.onnx",
        f"fcn-edge {quantized} -o road.0.5x.int8.onnx",
        f"fcn-edge tune road.0.5x.int8.onnx {frames} -o {profile}",
        f"fcn-edge bench road.0.5x.int8.onnx {frames} --rate 10 --profile {profile}",
    )


def test_int8_that_agrees_is_made_with_the_usual_agreement():
    lines = commands_for(Variant(int8=True), 0.9999, TYPED, CARD)
    assert "--agreement" not in lines[0]


def test_what_the_export_chose_is_in_its_command():
    card = replace(CARD, head="sparse", net=replace(CARD.net, output="out", activation="softmax"))
    typed = replace(TYPED, outputs=("labels", "confidence"))
    words = shlex.split(commands_for(Variant("240x320"), 1.0, typed, card)[0])
    for option, value in (
        ("--head", "sparse"),
        ("--output-name", "out"),
        ("--activation", "softmax"),
        ("--outputs", "labels,confidence"),
    ):
        assert words[words.index(option) + 1] == value


def test_an_adopted_file_is_adopted_again_at_another_size():
    card = replace(CARD, verification=VerificationInfo("passed", "onnx"))
    line = commands_for(Variant("0.5x"), 1.0, replace(TYPED, weights=None, folder=Path("out")), card)[0]
    assert line == (
        "fcn-edge adopt THEIR.onnx --card out/road.card.json --working-size 0.5x -o out/road.0.5x.onnx"
    )


def test_the_card_of_a_plan_is_one_that_export_takes(tmp_path):
    (tmp_path / "card.json").write_text(described(CARD))
    made = card_from(read_description(tmp_path / "card.json"), name="x", net=CARD.net)
    assert (made.name, made.classes, made.input) == (CARD.name, CARD.classes, CARD.input)


def test_a_recipe_with_other_weights_is_not_exported_by_its_name():
    recipe = plan_export(Request("corridor")).card
    line = commands_for(Variant("0.5x"), 1.0, TYPED, recipe)[0]  # its draft: the weights are not known
    assert line.startswith("fcn-edge export fcn_lite --set=width=32 --weights my.pth --card CARD ")


def test_every_command_is_one_that_the_command_line_takes():
    group = cli.context_class(cli, **cli.context_settings)  # a command keeps the names of its help from there
    for variant in (Variant(), Variant(tuned=True), Variant("0.5x", int8=True, tuned=True)):
        for line in commands_for(variant, 0.9, TYPED, CARD):
            name, *words = shlex.split(line)[1:]
            command = cli.get_command(None, name)
            context = command.context_class(command, parent=group)
            command.make_parser(context).parse_args(words)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("size", ["0.5x", "40x56"])
def test_another_working_size_computes_what_its_export_would(sparse, multiple, size):
    card = Card(
        "net",
        numbered_classes(3),
        head="sparse" if sparse else "dense",
        geometry=Geometry(size_multiple=multiple),
    )
    working = replace(parse_working_size(size), coarse=multiple == 1)
    exported = graft(network(), card, sparse=sparse, multiple=multiple, working=working)
    other = at_working_size(
        graft(network(), card, sparse=sparse, multiple=multiple), card, parse_working_size(size)
    )
    frame = blocks(75, 133)[None]
    one, two = (
        open_session(model.SerializeToString(), "cpu").run(frame)["labels"] for model in (exported, other)
    )
    assert (one == two).all()
    onnx.checker.check_model(other)


def test_a_file_at_a_working_size_is_not_measured_at_another():
    card = replace(CARD, working_size=WorkingSize((1, 2), None))
    with pytest.raises(UsageError, match="at the image's size"):
        at_working_size(graft(network(), CARD), card, parse_working_size("0.25x"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rate": 0}, UsageError, "frames a second above 0"),
        ({"rate": 1, "seconds": 0}, UsageError, "expected a number above 0"),
        ({"rate": 1, "images": {}}, InputError, "got no images"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(folder, options, error, message):
    images = options.pop("images", folder / "frames")
    with pytest.raises(error, match=message):
        fcn_edge.plan(folder / "parent.onnx", images, fcn_edge.PlanOptions(**options))


def run(*words, cwd):
    command = [sys.executable, "-m", "fcn_edge", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_a_rate_that_nothing_reaches_ends_with_one(folder):
    done = run(
        *(
            "plan",
            "parent.onnx",
            "--rate",
            "1000",
            "--size",
            "480x640",
            "--images",
            "frames",
            "--seconds",
            "1",
        ),
        cwd=folder,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "error: nothing measured keeps up with 1000 frames a second"
    )
    assert "too slow" in done.stdout
    assert "fcn-edge" not in done.stdout


def test_the_plan_is_json_and_a_file(folder, tmp_path):
    words = ("plan", "parent.onnx", "--rate", "1", "--images", "frames", "--seconds", "0.5", "-q", "--json")
    done = run(*words, "-o", tmp_path / "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["chosen"]["name"] == "as it is"
    assert json.loads((tmp_path / "out" / "plan.json").read_text()) == found
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "warning: " in line]


def test_the_table_shows_every_option_and_what_it_costs(folder):
    words = [
        "plan",
        "parent.onnx",
        "--rate",
        "1",
        "--images",
        "frames",
        "--labels",
        "labels",
        "--seconds",
        "1",
    ]
    done = run(*words, "-q", cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-2].startswith("1 frames a second: as it is, which changes no label, mean IoU ")
    assert lines[-1] == "  fcn-edge bench parent.onnx --images frames --rate 1"
    assert sum("0.25x" in line for line in lines) == 2


@pytest.mark.slow
def test_the_commands_of_a_plan_work_as_they_are_printed(tmp_path):
    """All that a plan can print at once: a smaller size in int8 with its profile, of a recipe's model."""
    invoked = CliRunner().invoke(cli, ["export", "corridor", "-q", "-o", str(tmp_path / "road.onnx")])
    assert invoked.exit_code == 0, invoked.output
    from tests.docs.conftest import CALIBRATION

    (tmp_path / "frames").symlink_to(CALIBRATION)
    card = fcn_edge.Segmenter(tmp_path / "road.onnx").card
    typed = Typed("road.onnx", ("frames",), None, 1)
    lines = commands_for(Variant("0.5x", int8=True, tuned=True), 0.99, typed, card)
    assert lines[0].startswith("fcn-edge export corridor --working-size 0.5x")
    shorter = {"tune": ("--budget", "5"), "bench": ("--seconds", "1")}  # than a minute, and five seconds
    for line in lines:
        words = shlex.split(line)[1:]
        done = run(*words, *shorter.get(words[0], ()), cwd=tmp_path)
        assert done.returncode == 0, (line, done.stderr)
