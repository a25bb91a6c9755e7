"""FCN definitions in PyTorch, a registry of them, and safe loading of weights. Importing loads no torch."""

from fcn_edge.nets.building import NetSpec, build, resolve
from fcn_edge.nets.options import parse_settings
from fcn_edge.nets.registry import Entry, entries, find
from fcn_edge.nets.weights.sources import (
    BuiltWeights,
    FileWeights,
    RandomWeights,
    UrlWeights,
    Weights,
    build_with_weights,
    parse_weights,
)

__all__ = [
    "BuiltWeights",
    "Entry",
    "FileWeights",
    "NetSpec",
    "RandomWeights",
    "UrlWeights",
    "Weights",
    "build",
    "build_with_weights",
    "entries",
    "find",
    "parse_settings",
    "parse_weights",
    "resolve",
]
