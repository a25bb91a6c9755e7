"""`fcn-edge inspect`: the facts of a model file, without running it."""

from __future__ import annotations

import json
from typing import Any

import click

from fcn_edge.cli.options import (
    allow_operators_option,
    examples,
    json_option,
    model_argument,
    printable,
)
from fcn_edge_runtime._sizes import size_text

__all__ = ["command"]


@click.command(
    name="inspect",
    short_help="Show what MODEL is, without running it.",
    epilog=examples("fcn-edge inspect road.onnx", "fcn-edge inspect road.onnx --json | jq .card.classes"),
)
@model_argument
@allow_operators_option
@json_option
def command(*, model: str, as_json: bool) -> None:
    """Show what MODEL is: card, classes, geometry, verification, tensors, operators, digest.

    The seal and the contract are checked; onnxruntime is not needed.
    """
    from fcn_edge_runtime.model.describe import describe
    from fcn_edge_runtime.model.file import ModelFile

    with ModelFile.open(model) as opened:
        facts = describe(opened)
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in _lines(facts):
        click.echo(f"{name:<14}{printable(value)}" if name else f"{'':<14}{printable(value)}")


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    card = facts["card"]
    spec, geometry, verification, net = (card[key] for key in ("input", "geometry", "verification", "net"))
    operators = ", ".join(f"{count} {name}" for name, count in facts["operators"].items())
    sizes = ", ".join(size_text(size) for size in verification["sizes"])
    sight = f"sees {geometry['receptive_field']} pixels each way"
    sight += ", and the whole image" if geometry["sees_whole_image"] else ""
    produced = ", ".join(f"{name} {number}" for name, number in sorted(card["produced_by"].items()))
    lines = [
        ("file", facts["path"]),
        ("sha256", facts["sha256"]),
        ("size", f"{facts['bytes'] / 1e6:.6g} MB, {facts['parameters'] / 1e6:.6g} M parameters"),
        ("name", card["name"]),
        ("description", card["description"]),
        ("license", card["license"]),
        ("author", card.get("author", "")),
        ("network", " ".join([net["name"], *(f"{k}={v}" for k, v in sorted(net["options"].items()))])),
        ("weights", net["weights_sha256"]),
        ("precision", card["precision"]),
        *_lowering(card["lowering"]),
        ("working size", _working_size(card["working_size"])),
        ("head", card["head"]),
        ("border", "unlabeled" if net["border"] == "unlabeled" else ""),
        ("rejects", f"confidence below {card['reject']:g}: unlabeled" if "reject" in card else ""),
        *(("input" if i == 0 else "", _tensor(t)) for i, t in enumerate(facts["inputs"])),
        *(("outputs" if i == 0 else "", _tensor(t)) for i, t in enumerate(facts["outputs"])),
        (
            "normalize",
            f"scale {spec['scale']:.6g}, mean {_numbers(spec['mean'])}, std {_numbers(spec['std'])}",
        ),
        *_range(spec),
        ("geometry", f"stride {geometry['stride']}, {sight}; {_sizes(geometry)}"),
        (
            "graph",
            f"opset {facts['opsets'].get('ai.onnx')}, IR {facts['ir_version']}, {facts['nodes']} nodes",
        ),
        ("operators", operators),
        ("verification", f"{verification['verdict']} against {verification['reference']}"),
        ("", f"on {', '.join(verification['providers'])}; tolerance {verification['tolerance']}"),
        ("", f"sizes {sizes}"),
        ("", "blind: fewer than two labels were seen" if verification["blind"] else ""),
        ("self-test", "; ".join(_case(case) for case in facts["selftest"]["cases"])),
        ("produced by", produced),
    ]
    classes = [f"{c['id']:>3}  #{bytes(c['color']).hex()}  {c['name']}" for c in card["classes"]]
    lines += [("classes" if i == 0 else "", text) for i, text in enumerate(classes)]
    return [(name, text) for name, text in lines if text]


def _lowering(lowering: dict[str, Any] | None) -> list[tuple[str, str]]:
    from fcn_edge_runtime.model.card_facts import ANY

    if lowering is None:
        return []
    measured = "measured" if lowering["speed_measured"] else "unmeasured"
    calibration = lowering["calibration"]
    kind = f"for {lowering['target']}, speed {measured}"
    if lowering["target"] == ANY:
        kind = "weights in 8 bits, unpacked when it is opened; computes in float"
    lines = [("", kind), ("", f"parent {lowering['parent_sha256']}")]
    if lowering["integer_share"] is not None:
        lines.append(("", f"{100 * lowering['integer_share']:.1f} % of the work in integers"))
    if calibration is not None:
        how = f"{calibration['method']} of {calibration['frames']} frames"
        lines.append(("", f"calibration {how}, {calibration['sha256']}"))
    if lowering["kept_in_float"]:
        lines.append(("", f"kept in float: {', '.join(lowering['kept_in_float'])}"))
    return lines


def _working_size(working: dict[str, Any] | None) -> str:
    from fcn_edge_runtime.model.card import WorkingSize

    if working is None:
        return ""
    least = f", at least {working['least']}" if working["least"] > 1 else ""
    return f"{WorkingSize(**working)}{least}"


def _range(spec: dict[str, Any]) -> list[tuple[str, str]]:
    """What becomes the lowest and the highest pixel, of cards for medical scans."""
    units = {"window": "values", "percentiles": "percentiles of the voxels"}
    return [("", f"from {units[key]} {spec[key][0]:g} to {spec[key][1]:g}") for key in units if spec.get(key)]


def _tensor(tensor: dict[str, Any]) -> str:
    return f"{tensor['name']} {tensor['dtype']} [{', '.join(map(str, tensor['shape']))}]"


def _numbers(values: list[float]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:8])
    return f"({shown}, ...)" if len(values) > 8 else f"({shown})"


def _case(case: dict[str, Any]) -> str:
    return f"{size_text(case['size'])} seed {case['seed']}, {case['decided']} pixels"


def _sizes(geometry: dict[str, Any]) -> str:
    text = f"at least {geometry['smallest_size']} pixels"
    if geometry["largest_size"] is None:
        return text
    return f"{text}, at most {geometry['largest_size'][0]}x{geometry['largest_size'][1]}"
