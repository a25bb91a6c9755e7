"""The node's parameters: names, defaults, descriptions and validation. Needs no ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.robot.pipeline import PipelineOptions
from fcn_edge_runtime.robot.topics import full_name
from fcn_edge_runtime.robot.worker import Limits

__all__ = ["PARAMETERS", "Parameters", "Value"]

Value = bool | int | float | str

# Name: (default, description).
PARAMETERS: dict[str, tuple[Value, str]] = {
    "model_path": ("", "The .onnx file that fcn-edge export wrote. Required."),
    "device": ("auto", "auto, cpu, cuda, or any provider of this onnxruntime; there is no silent fallback."),
    "threads": (0, "Threads on the CPU; 0 is all cores this process may use."),
    "profile": (
        "",
        "A profile from fcn-edge tune for this model and machine: device, threads and options.",
    ),
    "trusted_keys": (
        "",
        "Public keys, separated by colons: only a model that one of them signed is opened.",
    ),
    "image_topic": ("image", "The input images. Remapping works as well."),
    "image_transport": ("raw", "raw, or compressed, which subscribes to image_topic/compressed."),
    "input_reliability": ("best_effort", "best_effort matches every publisher, reliable only reliable ones."),
    "input_depth": (1, "Queue size of the subscription. 1 keeps only the newest image."),
    "output_reliability": ("reliable", "reliable or best_effort."),
    "output_depth": (1, "Queue size of publishers. 1 keeps only the newest message."),
    "max_frame_age": (0.0, "Drop frames whose stamp is older than this, in seconds; 0 is no limit."),
    "max_rate": (0.0, "The highest rate, in frames per second; 0 is no limit."),
    "mask_size": ("source", "source, or model: the size of the network's input, with a scaled camera_info."),
    "mask_encoding": ("auto", "auto (mono8, above 255 classes mono16), mono8 or mono16."),
    "shrink": (1, "Segment the image this many times smaller in each direction."),
    "publish_confidence": (True, "Publish confidence, if the model has it and it has a subscriber."),
    "overlay_alpha": (
        0.5,
        "0 shows only the image in overlays, 1 only the colors. Published if it has a subscriber.",
    ),
    "camera_info_topic": ("camera_info", "Used only if mask_size is model and shrink is above 1."),
    "frame_deadline": (
        30.0,
        "Seconds that one frame may take; after that its decoder or the device hangs, and the node ends.",
    ),
    "autostart": (True, "Configure and activate at the start, without a lifecycle manager."),
}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_RELIABILITY = ("best_effort", "reliable")


@dataclass(frozen=True)
class Parameters:
    """Validated values of the parameters.

    Raises:
        UsageError: a value is out of range; the message says which, what was got and what was expected.
    """

    model_path: str
    device: str
    threads: int
    profile: str
    trusted_keys: str
    image_topic: str
    image_transport: str
    input_reliability: str
    input_depth: int
    output_reliability: str
    output_depth: int
    max_frame_age: float
    max_rate: float
    mask_size: str
    mask_encoding: str
    shrink: int
    publish_confidence: bool
    overlay_alpha: float
    camera_info_topic: str
    frame_deadline: float
    autostart: bool

    def __post_init__(self) -> None:
        if not self.model_path:
            raise UsageError(
                "model_path is empty, expected a model: --ros-args -p model_path:=/path/to/road.onnx"
            )
        _one_of("image_transport", self.image_transport, ("raw", "compressed"))
        _one_of("input_reliability", self.input_reliability, _RELIABILITY)
        _one_of("output_reliability", self.output_reliability, _RELIABILITY)
        for name in ("input_depth", "output_depth"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 0 < self.frame_deadline < float("inf"):
            raise UsageError(f"frame_deadline is {self.frame_deadline}, expected more than 0 seconds")
        for name in ("image_topic", "camera_info_topic"):
            _topic(name, getattr(self, name))
        if self.threads < 0:
            raise UsageError(f"threads is {self.threads}, expected 0 (all cores) or more")
        self.options()
        self.limits()

    @classmethod
    def of(cls, values: Mapping[str, Value]) -> Parameters:
        """The parameters from values by name; integers are accepted for floats.

        Raises:
            UsageError: a value has another type than its default, or is out of range.
        """
        return cls(**{name: _typed(name, value) for name, value in values.items()})

    @classmethod
    def refusal(cls, values: Mapping[str, Value], changed: Mapping[str, Value]) -> str:
        """Why changed values cannot be taken; empty if they can, or are not parameters of ours.

        Args:
            values: all parameters as they are now.
            changed: some of them, and perhaps others of rclpy's.
        """
        ours = {name: value for name, value in changed.items() if name in PARAMETERS}
        try:
            # A model may be missing until the node is configured, but not be taken away.
            merged = {**values, "model_path": values.get("model_path") or "-", **ours}
            cls.of(merged)
        except UsageError as error:
            return str(error)
        return ""

    @property
    def keys(self) -> tuple[str, ...] | None:
        """The trusted keys; None where none are named."""
        return tuple(key for key in self.trusted_keys.split(":") if key) or None

    @property
    def compressed(self) -> bool:
        """Whether images come as CompressedImage."""
        return self.image_transport == "compressed"

    @property
    def input_topic(self) -> str:
        """The topic to subscribe to, by the convention of image_transport."""
        return f"{self.image_topic}/compressed" if self.compressed else self.image_topic

    @property
    def input_qos(self) -> str:
        """The input's QoS as text, for diagnostics."""
        return f"{self.input_reliability}, depth {self.input_depth}"

    @property
    def scales_camera(self) -> bool:
        """Whether masks differ in size from their images."""
        return self.mask_size == "model" and self.shrink > 1

    def options(self) -> PipelineOptions:
        """How frames become masks."""
        return PipelineOptions(self.mask_encoding, self.mask_size, self.shrink, self.overlay_alpha)

    def limits(self) -> Limits:
        """Which frames are dropped."""
        return Limits(self.max_frame_age, self.max_rate)


def _typed(name: str, value: Value) -> Any:
    default = PARAMETERS[name][0]
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise UsageError(f"{name} is {value!r}, expected {_KINDS[type(default)]} such as {default!r}")
    return value


def _topic(name: str, topic: str) -> None:
    """Refuse a name that rclpy would refuse when it subscribes; the bridge takes stray slashes."""
    try:
        full = full_name(topic.removeprefix("~") if topic.startswith("~/") else topic)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    if not topic.endswith(full.removeprefix("/")) or topic.startswith("//"):
        raise UsageError(f"{name}: got '{topic}', expected a name without stray slashes, such as '{full}'")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}, expected {' or '.join(allowed)}")
