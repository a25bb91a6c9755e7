"""The data set: the use of each range of seeds, and a cache of rendered frames on disk."""

from __future__ import annotations

import ast
import hashlib
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAINING = range(7_000_000)
"""Seeds for training, which uses them from 0 upwards."""

VALIDATION = range(8_000_001, 8_999_999)
"""Seeds that choose the best weights while training."""

HELD_OUT = range(9_000_000, 9_999_999)
"""Seeds that are used only for the published scores."""

WIDTH, HEIGHT = 320, 240

SCENE_STEP = 3
"""A step of three seeds is a step to the next scene (`scene.render.VIEWS_PER_SCENE`)."""

CHUNK = 60


def validation_seeds(count: int) -> range:
    """One frame each of `count` scenes for validation."""
    return VALIDATION[: count * SCENE_STEP : SCENE_STEP]


def held_out_seeds(count: int) -> range:
    """One frame each of `count` held-out scenes."""
    return HELD_OUT[: count * SCENE_STEP : SCENE_STEP]


def generator_id() -> str:
    """Names the generator: eight hex digits over its sources, so that a change of them starts a new cache."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for source in [here / "classes.py", *sorted((here / "scene").glob("*.py"))]:
        digest.update(_code(source.read_text()))
    return digest.hexdigest()[:8]


def _code(source: str) -> bytes:
    """The syntax tree of a source without docstrings, so that wording and line breaks do not count."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            del node.body[0]
    return ast.dump(tree).encode()


def cache_folder() -> Path:
    """Where rendered frames are kept: `$FCN_EDGE_CACHE`, or the user's cache folder."""
    base = os.environ.get("FCN_EDGE_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fcn-edge-corridor" / generator_id()


def _render(seeds: range, target: Path) -> Path:
    """Renders one chunk into `target`: `(n, H, W, 4) uint8`, RGB and the class id."""
    from models.corridor.scene.render import frame

    out = np.empty((len(seeds), HEIGHT, WIDTH, 4), np.uint8)
    for k, seed in enumerate(seeds):
        made = frame(seed, WIDTH, HEIGHT)
        out[k, ..., :3], out[k, ..., 3] = made.image, made.labels
    partial = target.with_suffix(f".{os.getpid()}.npy")
    np.save(partial, out)
    partial.replace(target)
    return target


def frames(seeds: range, workers: int = 2) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images `(n, H, W, 3)` and labels `(n, H, W)` of these seeds; missing ones are rendered first."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [seeds[k : k + CHUNK] for k in range(0, len(seeds), CHUNK)]
    paths = [folder / f"{c.start}-{c.step}-{len(c)}.npy" for c in chunks]
    missing = [(c, p) for c, p in zip(chunks, paths, strict=True) if not p.exists()]
    if missing:
        _render_all(missing, workers)
    images = np.empty((len(seeds), HEIGHT, WIDTH, 3), np.uint8)
    labels = np.empty((len(seeds), HEIGHT, WIDTH), np.uint8)
    for k, path in enumerate(paths):
        part = np.load(path)
        images[k * CHUNK : k * CHUNK + len(part)] = part[..., :3]
        labels[k * CHUNK : k * CHUNK + len(part)] = part[..., 3]
    return images, labels


def _render_all(missing: list[tuple[range, Path]], workers: int) -> None:
    start = time.monotonic()
    # a fresh process each: OpenGL contexts do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        jobs = [pool.submit(_render, chunk, path) for chunk, path in missing]
        for done, job in enumerate(as_completed(jobs), 1):
            job.result()
            left = (time.monotonic() - start) / done * (len(jobs) - done)
            click.echo(f"\rrendering: {done}/{len(jobs)} chunks, {left:4.0f} s left", err=True, nl=False)
    click.echo(err=True)
