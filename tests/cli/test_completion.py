"""What Tab completes, in a real bash with the script that `_FCN_EDGE_COMPLETE=bash_source` prints."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

COMPLETE = r"""
eval "$(_FCN_EDGE_COMPLETE=bash_source fcn-edge)"
complete -p fcn-edge >/dev/null || exit 9
compopt() { FILES=files; }  # bash has it only while it completes
while IFS= read -r line; do
    eval "COMP_WORDS=($line)"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); FILES=
    _fcn_edge_completion fcn-edge
    printf '%s|' $FILES "${COMPREPLY[@]}"; echo
done
"""


def as_bash_array(line):
    """The words of a line as bash puts them into COMP_WORDS: with their quotes and backslashes."""
    words = re.findall(r"(?:\\.|'[^']*'|[^ ])+", line) + ([""] if line.endswith(" ") else [])
    return " ".join(map(shlex.quote, words)) + "\n"


@pytest.fixture
def tab(tmp_path):
    """A function from command lines, each up to the cursor, to what bash offers for each."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "fcn-edge"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fcn_edge "$@"\n')
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}

    def complete(*lines):
        done = subprocess.run(
            ["bash", "--norc", "-c", COMPLETE],
            input="".join(map(as_bash_array, lines)),
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=env,
            timeout=120,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found = [[word for word in line.split("|") if word] for line in done.stdout.splitlines()]
        return found[0] if len(lines) == 1 else found

    return complete


def test_commands_options_and_choices_are_completed(tab):
    commands, options, effects, groups = tab(
        "fcn-edge ru", "fcn-edge run --eff", "fcn-edge run --effect b", "fcn-edge robot "
    )
    assert commands == ["run"]
    assert options == ["--effect"]
    assert effects == ["blur-background"]
    assert groups == ["bag", "bridge", "camera", "doctor", "service"]


FILES = (
    *("fcn-edge run ", "fcn-edge run m.onnx ", "fcn-edge run m.onnx a.png -o ", "fcn-edge run --profile "),
    *("fcn-edge bench ", "fcn-edge quantize ", "fcn-edge quantize m.onnx --calibration "),
    *("fcn-edge evaluate m.onnx --images ", "fcn-edge evaluate m.onnx --labels "),
    *("fcn-edge robot bag ", "fcn-edge robot camera ", "fcn-edge robot camera --model "),
)


def test_files_are_completed_where_a_path_is_expected(tab):
    assert dict(zip(FILES, tab(*FILES), strict=True)) == {line: ["files"] for line in FILES}


def test_networks_and_recipes_are_completed(tab):
    nets, recipe, verified = tab(
        "fcn-edge export fcn_resnet", "fcn-edge export cor", "fcn-edge verify m.onnx fcn_t"
    )
    assert nets[:3] == ["files", "fcn_resnet18", "fcn_resnet34"]
    assert recipe == ["files", "corridor-r18", "corridor"]
    assert verified == ["files", "fcn_tiny"]


def test_the_last_of_several_items_is_completed(tab):
    first, second, outputs = tab(
        "fcn-edge run m.onnx --save ov",
        "fcn-edge run m.onnx --save labels,",
        "fcn-edge export fcn_tiny --outputs labels,p",
    )
    assert first == ["overlay"]
    assert second[:4] == ["labels,overlay", "labels,confidence", "labels,probabilities", "labels,json"]
    assert outputs == ["labels,probabilities"]


def test_classes_are_those_of_the_model_that_was_typed(tab, model_path, tmp_path):
    shutil.copy(model_path("rgb"), tmp_path / "my model.onnx")
    # A space is escaped once more than it will be in the command line: `read` in the script removes it.
    expected = ["class\\ 0", "class\\ 1", "class\\ 2"]
    every, some, camera, none = tab(
        "fcn-edge run my\\ model.onnx a.png --effect tint --class ",
        "fcn-edge run 'my model.onnx' --class CL",
        "fcn-edge robot camera --model my\\ model.onnx --class class",
        "fcn-edge run --class c",
    )
    assert every == some == camera == expected
    assert none == []


def test_a_file_that_is_not_a_model_completes_nothing(tab, tmp_path):
    for index, content in enumerate((b"", b"text", b"\x0a\xff" * 99)):
        (tmp_path / f"{index}.onnx").write_bytes(content)
    names = ("0.onnx", "1.onnx", "2.onnx", "missing.onnx", ".")
    assert tab(*(f"fcn-edge run {name} --class " for name in names)) == [[]] * len(names)


def test_image_topics_are_those_of_the_bag_that_was_typed(tab, tmp_path):
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    from tests.runtime.robot.make_corridor_bag import corridor_frames, write_bag

    write_bag(tmp_path / "drive.mcap", corridor_frames(1, (240, 320)))
    found, missing = tab(
        "fcn-edge robot bag drive.mcap --image-topic ", "fcn-edge robot bag no.mcap --image-topic "
    )
    assert found
    assert all(topic.startswith("/") for topic in found)
    assert missing == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_their_script(fcn_edge, shell):
    done = fcn_edge(env={**os.environ, "_FCN_EDGE_COMPLETE": f"{shell}_source"})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_FCN_EDGE_COMPLETE={shell}_complete" in done.stdout


def test_completing_classes_loads_no_numerical_library(fcn_edge, model_path):
    env = {
        **os.environ,
        "_FCN_EDGE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"fcn-edge\nrun\n{model_path('rgb')}\n--class\n",
        "COMP_CWORD": "4",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    done = fcn_edge(env=env)
    assert done.stdout.splitlines()[0] == r"plain,class\\ 0"
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in loaded
    assert not loaded & {"numpy", "onnxruntime", "torch", "onnx", "PIL", "cv2", "rosbags"}
