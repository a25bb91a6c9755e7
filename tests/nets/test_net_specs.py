"""Naming a network: the registry, a user's own modules and files, and the errors for mistakes."""

import textwrap

import pytest
import torch
from torch import nn

import fcn_edge
from fcn_edge.nets import NetSpec, entries, resolve
from fcn_edge_runtime.errors import FcnEdgeError, UsageError

MYNET = """
    import torch
    from torch import nn

    def build(width: int = 8):
        return nn.Conv2d(3, width, 1)

    def fails():
        raise RuntimeError("out of\\nideas")

    def exits():
        raise SystemExit(3)

    def nothing():
        return None

    net = nn.Conv2d(3, 3, 1)
    number = 3

    class Net(nn.Module):
        def __init__(self, depth: int = 1):
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(depth))
"""


@pytest.fixture
def mynet(tmp_path):
    path = tmp_path / "mynet.py"
    path.write_text(textwrap.dedent(MYNET))
    return path


def refusal(spec, **options):
    with pytest.raises(UsageError) as caught:
        fcn_edge.build(str(spec), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_network_is_built_by_name_with_its_options():
    net = fcn_edge.build("fcn_tiny", num_classes=5, in_channels=1, width=16)

    assert net(torch.rand(1, 1, 6, 7)).shape == (1, 5, 6, 7)
    assert net.conv1.out_channels == 16


def test_every_entry_has_a_summary_of_one_line():
    for entry in entries():
        assert entry.summary
        assert "\n" not in entry.summary
        assert entry.target.endswith(f":{entry.name}")


def test_an_unknown_name_gets_the_closest_ones():
    assert "fcn_resnet50" in refusal("fcn_resnt50")


def test_a_name_unlike_any_other_gets_all_of_them():
    message = refusal("zzz")

    assert all(entry.name in message for entry in entries())


def test_an_unknown_option_gets_the_known_ones():
    assert "output_stride=8" in refusal("fcn_resnet50", output_strid=16)


def test_a_users_file_builds_a_network(mynet):
    net = fcn_edge.build(f"{mynet}:build", width="12")

    assert isinstance(net, nn.Conv2d)
    assert net.out_channels == 12


def test_a_users_class_builds_a_network(mynet):
    assert len(fcn_edge.build(f"{mynet}:Net", depth="3").layers) == 3


def test_a_users_module_builds_a_network():
    assert isinstance(fcn_edge.build("torch.nn:Identity"), nn.Identity)


def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "herenet_of_this_test.py").write_text(textwrap.dedent(MYNET))
    monkeypatch.chdir(tmp_path)

    assert isinstance(fcn_edge.build("herenet_of_this_test:build"), nn.Conv2d)


def test_a_file_may_import_its_neighbors_at_any_time(tmp_path):
    (tmp_path / "layers.py").write_text("WIDTH = 5\n")
    (tmp_path / "late.py").write_text("CLASSES = 7\n")
    (tmp_path / "mine.py").write_text(
        "from torch import nn\nimport layers\n"
        "def build():\n    import late\n    return nn.Conv2d(layers.WIDTH, late.CLASSES, 1)\n"
    )

    net = fcn_edge.build(f"{tmp_path}/mine.py:build")

    assert (net.in_channels, net.out_channels) == (5, 7)


def test_neighbors_of_one_name_in_two_folders_do_not_mix(tmp_path):
    for folder, width in (("a", 5), ("b", 6)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "layers.py").write_text(f"WIDTH = {width}\n")
        (tmp_path / folder / "net.py").write_text(
            "from torch import nn\nimport layers\ndef build():\n    return nn.Conv2d(layers.WIDTH, 1, 1)\n"
        )

    widths = [fcn_edge.build(f"{tmp_path}/{folder}/net.py:build").in_channels for folder in ("a", "b", "a")]

    assert widths == [5, 6, 5]


def test_a_file_named_like_a_library_does_not_replace_it(tmp_path):
    (tmp_path / "random.py").write_text("from torch import nn\ndef build():\n    return nn.Identity()\n")

    fcn_edge.build(f"{tmp_path}/random.py:build")

    import random

    assert hasattr(random, "getrandbits")


def test_a_missing_file_is_named(tmp_path):
    assert "nowhere.py" in refusal(tmp_path / "nowhere.py:build")


def test_a_spec_without_a_callable_gets_an_example(mynet):
    assert "mynet.py:NAME" in refusal(mynet)


def test_a_missing_module_is_named():
    assert "no module 'no_such_package_anywhere'" in refusal("no_such_package_anywhere.nets:build")


def test_a_module_that_lacks_a_library_names_the_library(tmp_path):
    (tmp_path / "needy.py").write_text("import a_library_nobody_has\n")

    message = refusal(f"{tmp_path}/needy.py:build")

    assert "ModuleNotFoundError" in message
    assert "a_library_nobody_has" in message
    assert "(needy.py, line 1)" in message


def test_a_missing_callable_gets_the_known_ones(mynet):
    assert "build" in refusal(f"{mynet}:biuld").partition("it has")[2]


def test_a_callable_that_raises_is_named_with_its_line(mynet):
    message = refusal(f"{mynet}:fails")

    assert "RuntimeError: out of ideas (mynet.py, line 9)" in message


def test_a_callable_that_exits_does_not_end_the_program(mynet):
    assert "SystemExit: 3" in refusal(f"{mynet}:exits")


def test_a_syntax_error_names_file_and_line(tmp_path):
    (tmp_path / "broken.py").write_text("def build(:\n")

    assert "SyntaxError" in refusal(f"{tmp_path}/broken.py:build")
    assert "broken.py, line 1" in refusal(f"{tmp_path}/broken.py:build")


def test_a_result_that_is_not_a_network_is_named(mynet):
    assert "returned None, expected a torch.nn.Module" in refusal(f"{mynet}:nothing")


def test_a_network_instead_of_a_callable_is_refused(mynet):
    assert "is already a network" in refusal(f"{mynet}:net")


def test_a_value_instead_of_a_callable_is_refused(mynet):
    assert "has type int, expected a callable" in refusal(f"{mynet}:number")


def test_our_error_raised_by_the_users_code_keeps_its_class(tmp_path):
    (tmp_path / "ours.py").write_text(
        "from fcn_edge_runtime.errors import CheckpointError\n"
        "def build():\n    raise CheckpointError('my own weights are gone')\n"
    )

    with pytest.raises(FcnEdgeError, match="my own weights are gone") as caught:
        fcn_edge.build(f"{tmp_path}/ours.py:build")

    assert type(caught.value).__name__ == "CheckpointError"


def test_num_classes_for_a_users_callable_is_refused(mynet):
    assert "only its own options" in refusal(f"{mynet}:build", num_classes=5)


def test_a_spec_holds_no_folder(mynet):
    own = resolve(f"{mynet}:build", num_classes=9, options={"width": "4"})
    ours = resolve("fcn_resnet50", num_classes=5)

    assert (own.name, own.options) == ("mynet.py:build", {"width": 4})
    assert isinstance(own, NetSpec)
    assert own.build().out_channels == 4
    assert ours.options == {"num_classes": 5, "in_channels": 3, "output_stride": 8}


def test_an_option_given_twice_is_refused():
    with pytest.raises(UsageError, match="num_classes is given twice"):
        resolve("fcn_tiny", num_classes=5, options={"num_classes": "6"})
