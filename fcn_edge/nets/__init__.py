"""FCN definitions in PyTorch, a registry of them, and safe loading of weights. Importing loads no torch."""

from fcn_edge.nets.building import NetSpec, build, resolve
from fcn_edge.nets.options import parse_settings
from fcn_edge.nets.registry import Entry, entries, find

__all__ = ["Entry", "NetSpec", "build", "entries", "find", "parse_settings", "resolve"]
