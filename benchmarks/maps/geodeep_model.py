"""A file of fcn-edge as geodeep takes a network: colors from 0 to 1, planes, tiles of one size, scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.maps.peers import TILE
from fcn_edge_runtime.model.file import ModelFile

__all__ = ["write_geodeep_model"]


def write_geodeep_model(model: Path, path: Path) -> None:
    """Write the same network: a pixel's label is scored 1, all else 0, so that an argmax gives the labels."""
    with ModelFile.open(model) as opened:
        classes = len(opened.card.classes)
    proto = onnx.load(model)
    graph = proto.graph
    constants = {
        "geodeep_255": 255.0, "geodeep_classes": classes, "geodeep_off_on": [0.0, 1.0],
    }  # fmt: skip
    for name, value in constants.items():
        kind = "int64" if name == "geodeep_classes" else "float32"
        graph.initializer.append(numpy_helper.from_array(np.array(value, kind), name))
    before = [
        helper.make_node("Mul", ["input", "geodeep_255"], ["geodeep_colors"]),
        helper.make_node("Round", ["geodeep_colors"], ["geodeep_rounded"]),
        helper.make_node("Cast", ["geodeep_rounded"], ["geodeep_bytes"], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["geodeep_bytes"], [graph.input[0].name], perm=[0, 2, 3, 1]),
    ]
    after = [
        helper.make_node("Cast", ["labels"], ["geodeep_labels"], to=TensorProto.INT64),
        helper.make_node(
            "OneHot", ["geodeep_labels", "geodeep_classes", "geodeep_off_on"], ["scores"], axis=1
        ),
    ]
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, TILE, TILE]))
    graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, classes, TILE, TILE]))
    del proto.metadata_props[:]
    settings = {"model_type": "Segmentor", "resolution": 0.01, "tiles_overlap": 25, "seg_small_segment": 0}
    helper.set_model_props(proto, {name: json.dumps(value) for name, value in settings.items()})
    onnx.save(proto, path)
