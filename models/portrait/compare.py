"""`fcn_portrait` beside LiteRT's own interpreter: the largest difference of probabilities on ten pictures.

    pip install ai-edge-litert
    npm pack @mediapipe/selfie_segmentation && tar xzf mediapipe-selfie_segmentation-*.tgz
    python -m models.portrait.compare package

Both get the same bytes, of the size that the TFLite file takes. The pictures are in scikit-image's wheel.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from fcn_edge.nets import build_with_weights
from fcn_edge.recipes import find_recipe
from fcn_edge_export.graph.working_size import parse_working_size

PICTURES = (
    *("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg", "retina.jpg", "ihc.png"),
    *("hubble_deep_field.jpg", "motorcycle_left.png", "motorcycle_right.png"),
)
FILES = {
    "portrait": "selfie_segmentation.tflite",
    "portrait-landscape": "selfie_segmentation_landscape.tflite",
}
LIMIT = 1e-3


def probabilities(recipe_name: str, pictures: np.ndarray) -> np.ndarray:
    """Of PyTorch: (N, H, W, 3) uint8 -> (N, H, W) float32."""
    recipe = find_recipe(recipe_name)
    net = build_with_weights(recipe.net, recipe.weights, options=recipe.options)
    with torch.inference_mode():
        batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        return net.eval()(batch).sigmoid()[:, 0].numpy()


def probabilities_of_litert(path: Path, pictures: np.ndarray) -> np.ndarray:
    """Of LiteRT's interpreter: (N, H, W, 3) uint8 -> (N, H, W) float32."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for picture in pictures:
        interpreter.set_tensor(given["index"], picture[None].astype(np.float32) / 255)
        interpreter.invoke()
        found.append(interpreter.get_tensor(result["index"])[0, ..., 0])
    return np.stack(found)


def read(folder: Path, size: tuple[int, int]) -> np.ndarray:
    """The ten pictures: (10, H, W, 3) uint8."""
    images = [Image.open(folder / name).convert("RGB").resize(size[::-1]) for name in PICTURES]
    return np.stack([np.asarray(image) for image in images])


@click.command()
@click.argument("folder", default="package", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Compare with the TFLite files in FOLDER, `package` by default."""
    import skimage

    worst = 0.0
    for name, file in FILES.items():
        pictures = read(Path(skimage.data_dir), parse_working_size(find_recipe(name).working_size).size)
        ours, theirs = probabilities(name, pictures), probabilities_of_litert(folder / file, pictures)
        click.echo(f"{name}: share of people, largest difference of probabilities")
        for picture, a, b in zip(PICTURES, ours, theirs, strict=True):
            click.echo(f"  {picture:<24} {np.mean(b > 0.5):6.1%}  {np.abs(a - b).max():.1e}")
        worst = max(worst, float(np.abs(ours - theirs).max()))
    click.echo(f"largest difference: {worst:.1e}, limit {LIMIT:.0e}")
    sys.exit(worst >= LIMIT)


if __name__ == "__main__":
    main()
