"""fcn-edge nets: what can be exported by name."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from fcn_edge.cli.options import examples, json_option

__all__ = ["command"]


@click.command(
    "nets",
    epilog=examples(
        "fcn-edge nets",
        "fcn-edge nets --json",
    ),
)
@json_option
def command(*, as_json: bool) -> None:
    """List the networks and recipes that can be exported by name.

    A network needs weights; a recipe is a network with its weights, classes and input.
    """
    from fcn_edge.nets import entries
    from fcn_edge.recipes import recipes

    nets, known = entries(), recipes()
    if as_json:
        found = {
            "networks": [asdict(entry) for entry in nets],
            "recipes": [
                {
                    "name": r.name,
                    "summary": r.summary,
                    "net": r.net,
                    "weights": r.weights if r.has_weights else None,
                }
                for r in known
            ],
        }
        click.echo(json.dumps(found, indent=2))
        return
    click.echo("Networks (give them --weights):")
    for entry in nets:
        size = f"{entry.parameters / 1e6:6.2f} M"
        click.echo(f"  {entry.name:<31} stride {entry.output_stride:<3} {size}  {entry.summary}")
    if known:
        click.echo("\nRecipes (weights, classes and input included):")
        for recipe in known:
            missing = "" if recipe.has_weights else " (weights not installed: add --weights FILE)"
            click.echo(f"  {recipe.name:<31} {recipe.summary}{missing}")
    click.echo("\nYour own: package.module:callable or path/to/file.py:callable, which returns an nn.Module.")
