"""The systemd unit of the bridge, for this installation."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from fcn_edge_runtime.errors import ArtifactError, UsageError

__all__ = ["Unit", "bridge_unit"]

# In a wheel the unit lies inside the package; in a checkout beside the ROS 2 package.
_NAME = "fcn-edge-bridge.service"
_SOURCES = (
    Path(__file__).parent / "_systemd" / _NAME,
    Path(__file__).parents[1] / "runtime" / "ros2" / "systemd" / _NAME,
)
_PROGRAM, _MODEL = "/opt/fcn-edge/bin/fcn-edge", "/opt/fcn-edge/model.onnx"
_TOPIC, _DOMAIN = "/camera/image_raw", "ROS_DOMAIN_ID=0"
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - what the unit hides from the service


@dataclass(frozen=True)
class Unit:
    """The text of a unit file, and what may keep it from working, a line each."""

    text: str
    warnings: tuple[str, ...]


def bridge_unit(model: Path | None, topic: str | None, domain: int | None) -> Unit:
    """The unit that runs the bridge.

    Args:
        model: what it runs; None keeps the example's.
        topic: of the images; None keeps the example's.
        domain: of ROS; None is 0.

    Raises:
        UsageError: a path or topic that a unit cannot hold.
        ArtifactError: this installation lacks the unit.
    """
    source = next((path for path in _SOURCES if path.is_file()), None)
    if source is None:
        raise ArtifactError("this installation has no unit to print: install fcn-edge again")
    text = source.read_text("utf-8")
    installed = Path(sys.executable).absolute().parent / "fcn-edge"
    program = installed if installed.is_file() else Path(_PROGRAM)
    given = {
        _PROGRAM: str(program),
        _MODEL: None if model is None else str(model.absolute()),
        _TOPIC: topic,
        _DOMAIN: None if domain is None else f"ROS_DOMAIN_ID={domain}",
    }
    for old, new in given.items():
        if new is not None:
            text = text.replace(old, _word(new))
    used = (program, *([] if model is None else [model.absolute()]))
    hidden = [path for path in used if any(path.is_relative_to(folder) for folder in _HIDDEN)]
    warnings = [f"the unit hides the folder of {path} from the service: put it below /opt" for path in hidden]
    if model is not None and not model.is_file():
        warnings.append(f"there is no model {model} yet")
    return Unit(text, tuple(warnings))


def _word(value: str) -> str:
    """A word of a command line in a unit file: quoted where it must be, with no specifiers in it.

    Source: systemd.service(5), "Command lines".
    """
    if not value.isprintable():
        raise UsageError(f"got {value[:80]!r}, expected a name without line breaks and control characters")
    escaped = value.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{escaped}"' if escaped != value or " " in value or "'" in value else value
