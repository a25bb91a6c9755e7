"""From a name and options to a network."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fcn_edge.nets.loading import CallableName, is_import_spec, load_target
from fcn_edge.nets.options import fit_options
from fcn_edge.nets.registry import find
from fcn_edge_runtime._extras import install_command
from fcn_edge_runtime.errors import FcnEdgeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

__all__ = ["NetSpec", "build", "resolve"]


@dataclass(frozen=True)
class NetSpec:
    """A network that can be built, and how it is called on a model's card.

    Attributes:
        name: a registry name, `package.module:callable` or `file.py:callable` (no folders, so that a card
            does not depend on where the file was).
        options: every keyword argument the callable will get; for a network of the registry, defaults too.
    """

    name: str
    options: Mapping[str, object]
    target: CallableName = field(repr=False, compare=False)

    def build(self) -> nn.Module:
        """A new network, with the weights its callable gives it.

        Raises:
            UsageError: the callable raised (the message names the exception) or returned no `nn.Module`.
        """
        from torch import nn

        net = self.target.call(dict(self.options))
        if not isinstance(net, nn.Module):
            raise UsageError(f"{self.name} returned {_describe(net)}, expected a torch.nn.Module")
        return net


def resolve(
    spec: str,
    num_classes: int | None = None,
    in_channels: int | None = None,
    options: Mapping[str, object] | None = None,
) -> NetSpec:
    """What `spec` names, with its options checked, before anything is built.

    Args:
        spec: a registry name, `package.module:callable` or `path/to/file.py:callable`.
        num_classes: channels of the logits; None is the network's default (21).
        in_channels: channels of the image; None is the network's default (3). Both are for networks of the
            registry; a user's own callable gets only `options`.
        options: keyword arguments; text values are parsed to the types that the callable's signature names.

    Raises:
        UsageError: no such network, file or callable; an unknown option; a value of the wrong type.
    """
    given = dict(options or {})
    if is_import_spec(spec):
        target = load_target(spec)
        return NetSpec(target.name, fit_options(target.function, given, target.name), target)

    entry = find(spec)
    for key, value in (("num_classes", num_classes), ("in_channels", in_channels)):
        if value is None:
            continue
        if key in given:
            raise UsageError(
                f"{key} is given twice: as an argument ({value}) and as an option ({given[key]})"
            )
        given[key] = value
    target = CallableName(entry.name, _import_registered(entry.target))
    fitted = inspect.signature(target.function).bind(**fit_options(target.function, given, entry.name))
    fitted.apply_defaults()
    return NetSpec(entry.name, dict(fitted.arguments), target)


def build(
    spec: str, num_classes: int | None = None, in_channels: int | None = None, **options: object
) -> nn.Module:
    """Build a network, e.g. `build("fcn_resnet50", num_classes=21)`.

    Args:
        spec: a name of the registry, `package.module:callable` or `path/to/file.py:callable`.
        num_classes: channels of the logits; None is the network's default (21).
        in_channels: channels of the image; None is the network's default (3).
        **options: keyword arguments of the network, e.g. `output_stride=16`.

    Returns:
        A module that maps [N, in_channels, H, W] to logits [N, num_classes, H, W], in training mode as every
        new module is. A user's own callable may return any shape.

    Raises:
        UsageError: no such network, file or callable; an unknown option; a callable that raises, or that
            returns no `nn.Module`.
    """
    if is_import_spec(spec) and (num_classes is not None or in_channels is not None):
        raise UsageError(f"{spec} gets only its own options: give num_classes=... under the name it uses")
    return resolve(spec, num_classes, in_channels, options).build()


def _import_registered(target: str) -> Callable[..., object]:
    module, _, attribute = target.partition(":")
    try:
        function: Callable[..., object] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise FcnEdgeError(
            f"building a network needs PyTorch, which is not installed: {install_command('export')}"
        ) from error
    return function


def _describe(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else f"a {type(value).__name__}"
