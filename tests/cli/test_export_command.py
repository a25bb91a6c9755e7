from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest


def fcn_edge(*args, cwd=None):
    command = [sys.executable, "-m", "fcn_edge", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


NET = """
import torch
from torch import nn


def build(width: int = 4):
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 5, 1))


def loaded():
    torch.manual_seed(11)
    return build()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A network of the user's own with weights of its own, exported by the command."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("mine")
    (folder / "mynet.py").write_text(NET)
    torch.manual_seed(5)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 5, 1))
    save_file(net.state_dict(), folder / "my.safetensors")
    done = fcn_edge(
        "export",
        "./mynet.py:build",
        *("--set", "width=8", "--weights", "my.safetensors", "--classes", "5", "-o", "my.onnx"),
        *("--normalize", "imagenet", "--outputs", "labels,confidence", "--sizes", "20x30", "--json"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder, net.eval(), done


def test_a_users_own_file_and_weights_become_the_same_model(made):
    import torch

    from fcn_edge_runtime import Segmenter
    from fcn_edge_runtime.model.card_input import IMAGENET_MEAN, IMAGENET_STD

    folder, net, _ = made
    image = np.random.default_rng(0).integers(0, 256, (41, 59, 3), dtype=np.uint8)
    x = (torch.from_numpy(image) / 255 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    with torch.no_grad():
        expected = net(x.permute(2, 0, 1)[None].float()).argmax(1)[0].numpy()
    with Segmenter(folder / "my.onnx") as segmenter:
        assert (segmenter(image).labels == expected).mean() > 0.999


def test_json_is_one_object_on_stdout_and_progress_is_on_stderr(made):
    folder, _, done = made
    found = json.loads(done.stdout)
    assert found["path"] == "my.onnx"
    assert found["card"]["net"] == {
        "name": "mynet.py:build",
        "options": {"width": 8},
        "weights_sha256": found["card"]["net"]["weights_sha256"],
        "output": "",
        "activation": "none",
        "border": "none",
        "inputs": "",
    }
    assert len(found["card"]["net"]["weights_sha256"]) == 64
    assert [1, 20, 30] in found["card"]["verification"]["sizes"]
    stages = [line.split()[0] for line in done.stderr.splitlines()]
    assert stages == ["probe", "trace", "simplify", "graft", "sizes", "verify", "write"]
    report = json.loads((folder / "my.verification.json").read_text())
    assert report["model_sha256"] == found["digest"]
    assert report["verdict"] == "passed"


def test_verify_compares_a_file_with_its_network_on_frames_too(made):
    from PIL import Image

    folder, _, _ = made
    (folder / "frames").mkdir(exist_ok=True)
    pixels = np.random.default_rng(1).integers(0, 256, (33, 44, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "frames" / "one.png")
    done = fcn_edge(
        "verify",
        *("my.onnx", "./mynet.py:build", "--set", "width=8", "--weights", "my.safetensors"),
        *("--images", "frames", "-q", "--json"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["same_weights"] is True
    names = [r["name"] for r in found["verdicts"][0]["results"]]
    assert names[-1].endswith("one.png")


def test_verify_with_other_weights_exits_with_3(made):
    folder, _, _ = made
    before = (folder / "my.verification.json").read_bytes()
    done = fcn_edge(
        "verify",
        *("my.onnx", "./mynet.py:build", "--set", "width=8", "--weights", "random:99", "-q"),
        cwd=folder,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: verdict: ")
    assert len(done.stderr.splitlines()) == 1
    assert (folder / "my.verification.json").read_bytes() == before


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("fcn_tiny", "-o", "x.onnx"), 2, "no weights are given"),
        (("fcn_tinny", "--weights", "random", "-o", "x.onnx"), 2, "fcn_tiny"),
        (("fcn_tiny", "--weights", "random", "-o", "x.pt"), 1, "ends in .onnx"),
        (("fcn_tiny", "--weights", "random", "-o", "nowhere/x.onnx"), 1, "the folder nowhere does not exist"),
        (("fcn_tiny", "--weights", "missing.pth", "-o", "x.onnx"), 1, "missing.pth"),
        (("fcn_tiny", "--weights", "random", "--classes", "vox", "-o", "x.onnx"), 2, "'vox'"),
        (("fcn_tiny", "--weights", "random", "--set", "widht=3", "-o", "x.onnx"), 2, "widht"),
        (("fcn_tiny", "--weights", "random", "--outputs", "scores", "-o", "x.onnx"), 2, "scores"),
        (("fcn_tiny", "--weights", "random", "--sizes", "3x", "-o", "x.onnx"), 2, "HEIGHTxWIDTH"),
        (("fcn_tiny", "--weights", "random", "--images", "nofolder", "-o", "x.onnx"), 1, "nofolder"),
        (("fcn_tiny", "--weights", "built", "-o", "x.onnx"), 2, "random"),
        (("./no.py:build", "--weights", "built", "-o", "x.onnx"), 2, "no.py"),
    ],
    ids=lambda value: " ".join(value[:4]) if isinstance(value, tuple) else None,
)
@pytest.mark.sampled(5)
def test_a_mistake_is_one_line_with_its_exit_code_and_no_file(tmp_path, args, code, message):
    done = fcn_edge("export", *args, "-q", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nets_lists_networks_and_recipes():
    done = fcn_edge("nets", "--json")
    found = json.loads(done.stdout)
    assert {"fcn_tiny", "fcn_resnet50", "fcn8s_vgg16"} <= {n["name"] for n in found["networks"]}
    assert {"corridor", "fcn_resnet50_coco"} <= {r["name"] for r in found["recipes"]}
    plain = fcn_edge("nets").stdout
    assert "corridor" in plain
    assert "fcn_resnet50" in plain


def test_help_comes_without_torch_numpy_or_onnxruntime():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom fcn_edge.cli import cli, COMMANDS\n"
        "for c in ((), *((c,) for c in COMMANDS)):\n"
        "    r = CliRunner().invoke(cli, [*c, '--help'])\n"
        "    assert r.exit_code == 0 and 'Usage' in r.output, (c, r.output)\n"
        "heavy = {'torch', 'numpy', 'onnxruntime', 'onnx'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
