"""Checks of the ROS 2 package's files that need no ROS. The node itself: `test_ros2_node.py`."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rosbags.typesys import Stores, get_typestore
from ruamel.yaml import YAML

from fcn_edge_runtime.errors import ProviderError, UsageError

PACKAGE = Path(__file__).parents[3] / "runtime" / "ros2" / "fcn_edge_ros"
MODULE = PACKAGE / "fcn_edge_ros"
SOURCES = sorted(MODULE.glob("*.py"))


def parameters_module():
    spec = importlib.util.spec_from_file_location("fcn_edge_ros_parameters", MODULE / "parameters.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_package_xml_has_the_elements_of_format_3():
    root = ET.parse(PACKAGE / "package.xml").getroot()  # noqa: S314 - our own file
    assert (root.tag, root.get("format")) == ("package", "3")
    tags = [child.tag for child in root]
    assert tags[:5] == ["name", "version", "description", "maintainer", "license"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", root.findtext("version"))
    assert "@" in root.find("maintainer").get("email")
    assert root.findtext("export/build_type") == "ament_python"
    depends = {child.text for child in root.findall("exec_depend")}
    assert len(depends) == tags.count("exec_depend")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


def test_every_imported_ros_package_is_a_dependency():
    root = ET.parse(PACKAGE / "package.xml").getroot()  # noqa: S314 - our own file
    depends = {child.text for child in root.findall("exec_depend")}
    files = [*SOURCES, PACKAGE / "launch" / "segmenter.launch.py"]
    names = {name for path in files for name in imported(path)}
    ours = {"fcn_edge_ros", "fcn_edge_runtime", "onnxruntime"}
    assert {name for name in names if name not in sys.stdlib_module_names} - ours <= depends


def test_setup_declares_the_executable_and_existing_files(tmp_path):
    pytest.importorskip("setuptools")
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    done = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    entry = (tmp_path / "fcn_edge_ros.egg-info" / "entry_points.txt").read_text()
    assert "segmenter = fcn_edge_ros.segmenter:main" in entry
    functions = [n.name for n in ast.parse((MODULE / "segmenter.py").read_text()).body if hasattr(n, "name")]
    assert "main" in functions
    tree = ast.parse((PACKAGE / "setup.py").read_text())
    listed = next(
        k.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Call)
        for k in n.keywords
        if k.arg == "data_files"
    )
    files = eval(ast.unparse(listed), {"NAME": "fcn_edge_ros"})  # noqa: S307 - a literal of our own
    assert all((PACKAGE / name).is_file() for _, names in files for name in names)
    # The marker file of the package in the ament index.
    assert files[0] == ("share/ament_index/resource_index/packages", ["resource/fcn_edge_ros"])
    assert "script_dir=$base/lib/fcn_edge_ros" in (PACKAGE / "setup.cfg").read_text()


def test_versions_agree():
    version = ET.parse(PACKAGE / "package.xml").getroot().findtext("version")  # noqa: S314 - our own
    assert f'version="{version}"' in (PACKAGE / "setup.py").read_text()


def test_launch_file_names_what_setup_installs():
    source = (PACKAGE / "launch" / "segmenter.launch.py").read_text()
    tree = ast.parse(source)
    assert any(isinstance(n, ast.FunctionDef) and n.name == "generate_launch_description" for n in tree.body)
    keywords = {
        k.arg: k.value.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Call)
        for k in n.keywords
        if isinstance(k.value, ast.Constant)
    }
    assert (keywords["package"], keywords["executable"]) == ("fcn_edge_ros", "segmenter")
    assert "segmenter.yaml" in source
    module = parameters_module()
    given = next(n for n in ast.walk(tree) if isinstance(n, ast.Dict))
    assert {key.value for key in given.keys} <= set(module.PARAMETERS)


def test_parameter_file_and_readme_have_every_parameter():
    module = parameters_module()
    values = YAML(typ="safe").load(PACKAGE / "config" / "segmenter.yaml")["/**"]["ros__parameters"]
    expected = {name: default for name, (default, _) in module.PARAMETERS.items() if name != "model_path"}
    assert values == expected
    assert {name: type(value) for name, value in values.items()} == {n: type(v) for n, v in expected.items()}
    readme = (PACKAGE / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in module.PARAMETERS)


def test_invalid_parameters_are_refused_by_name():
    module = parameters_module()
    defaults = {name: default for name, (default, _) in module.PARAMETERS.items()}
    good = module.Parameters.of({**defaults, "model_path": "road.onnx", "max_rate": 10})
    assert good.limits().max_rate == 10.0
    assert good.input_topic == "image"
    small = {"model_path": "m", "image_transport": "compressed", "shrink": 2, "mask_size": "model"}
    assert module.Parameters.of({**defaults, **small}).input_topic == "image/compressed"
    assert module.Parameters.of({**defaults, **small}).scales_camera
    assert module.Parameters.of({**defaults, **small}).keys is None
    signed = {**defaults, **small, "trusted_keys": "/etc/a.pem:/etc/b.pem"}
    assert module.Parameters.of(signed).keys == ("/etc/a.pem", "/etc/b.pem")
    for name, value in (
        ("model_path", ""),
        ("image_transport", "theora"),
        ("input_reliability", "system_default"),
        ("output_depth", 0),
        ("shrink", "2"),
        ("overlay_alpha", 2.0),
        ("mask_size", "half"),
        ("max_frame_age", -1.0),
        ("threads", -1),
        ("publish_confidence", "yes"),
        ("image_topic", "/a b"),
        ("image_topic", ""),
        ("camera_info_topic", "1st"),
        ("frame_deadline", float("nan")),
    ):
        with pytest.raises(UsageError, match=name):
            module.Parameters.of({**defaults, "model_path": "road.onnx", name: value})


def test_a_wrong_parameter_is_refused_when_it_is_set():
    module = parameters_module()
    now = {name: default for name, (default, _) in module.PARAMETERS.items()}
    refusal = module.Parameters.refusal
    assert refusal(now, {"shrink": 2, "use_sim_time": True}) == ""
    assert refusal(now, {"model_path": "other.onnx", "image_topic": "~/image"}) == ""
    assert refusal(now, {"shrink": 99}).startswith("shrink is 99, expected")
    assert refusal(now, {"shrink": 2, "max_rate": "fast"}) == (
        "max_rate is 'fast', expected a number such as 0.0"
    )
    assert "whole number" in refusal(now, {"threads": 1.5})


def test_the_launch_file_restarts_after_device_failures_alone():
    code = ast.literal_eval(assigned(MODULE / "segmenter.py", "DEVICE_FAILED"))
    assert code == ProviderError.exit_code
    assert ast.literal_eval(assigned(PACKAGE / "launch" / "segmenter.launch.py", "DEVICE_FAILED")) == code
    assert "respawn" not in (PACKAGE / "launch" / "segmenter.launch.py").read_text()


def assigned(path, name):
    """What a module assigns to a name."""
    body = ast.parse(path.read_text()).body
    return next(n.value for n in body if isinstance(n, ast.Assign) and n.targets[0].id == name)


def test_message_fields_exist_in_the_interface_definitions():
    store = get_typestore(Stores.ROS2_JAZZY)
    packages = ("diagnostic_msgs", "rcl_interfaces", "sensor_msgs", "std_msgs")
    fields = {
        name.rpartition("/")[2]: {field for field, _ in store.fielddefs[name][1]}
        for name in store.fielddefs
        if name.startswith(packages)
    }
    checked = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in fields:
                given = {keyword.arg for keyword in node.keywords}
                assert given <= fields[node.func.id], node.func.id
                checked.add(node.func.id)
    assert checked >= {"DiagnosticArray", "DiagnosticStatus", "KeyValue", "ParameterDescriptor"}
    assert {"height", "width", "k", "p"} <= fields["CameraInfo"]
    assert "header" in fields["DiagnosticArray"]


def test_no_module_overrides_private_names_of_rclpy():
    """Attributes of rclpy's Node that a subclass must not reuse."""
    taken = {
        "_parameters",
        "_publishers",
        "_subscriptions",
        "_timers",
        "_services",
        "_clients",
        "_clock",
        "_logger",
    }
    taken |= {"_context", "_callbacks", "_managed_entities", "_state_machine", "_default_callback_group"}
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        compile(tree, str(path), "exec")
        if path.name == "node.py":
            own = {
                n.attr
                for n in ast.walk(tree)
                if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)
            }
            assert not own & taken


def test_a_missing_runtime_is_reported_with_how_to_install_it(tmp_path):
    (tmp_path / "fcn_edge_runtime.py").write_text("raise ImportError('gone', name='fcn_edge_runtime')\n")
    code = "from fcn_edge_ros.segmenter import main; main()"
    env = {"PYTHONPATH": f"{tmp_path}:{PACKAGE}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 1
    assert f"fcn_edge_runtime cannot be imported by {sys.executable}" in done.stderr
    assert "-m pip install" in done.stderr
    assert "Traceback" not in done.stderr
