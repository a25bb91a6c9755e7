"""One small image of every kind that a file can hold, and the result of the written rules.

    python -m tests.runtime.imaging.make_pictures

rewrites tests/runtime/imaging/pictures.json, for review.

Only lossless kinds: the pixels of a JPEG depend on its decoder.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.reading import read_image
from fcn_edge_runtime.model.card import InputSpec

GOLDEN = Path(__file__).with_name("pictures.json")
SPECS = {
    f"{dtype} x {channels}": InputSpec.default(channels, dtype)
    for dtype in ("uint8", "uint16", "float32")
    for channels in (1, 3, 4)
}


def pictures() -> dict[str, tuple[Image.Image, str]]:
    """Image and suffix by name."""
    y, x = np.mgrid[:8, :16]
    red, green, blue = 16 * x, 32 * y, (x * y * 2) % 256
    colors = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    alpha = ((x + y) * 11).astype(np.uint8)
    rgb, gray = Image.fromarray(colors), Image.fromarray(colors[..., 2])
    deep = Image.fromarray((x * 4369 + y * 7).astype(np.uint16))
    palette = Image.fromarray((blue // 16).astype(np.uint8), "P")
    palette.putpalette([(37 * entry) % 256 for entry in range(48)])
    return {
        "1 bit": (Image.fromarray((alpha > 80).astype(np.uint8) * 255).convert("1"), "png"),
        "gray": (gray, "png"),
        "gray and alpha": (Image.fromarray(np.dstack([colors[..., 2], alpha]), "LA"), "png"),
        "colors": (rgb, "png"),
        "colors and alpha": (Image.fromarray(np.dstack([colors, alpha]), "RGBA"), "png"),
        "palette": (palette, "png"),
        "16-bit gray": (deep, "png"),
        "16-bit gray TIFF": (deep, "tif"),
        "CMYK": (Image.fromarray(np.dstack([colors, alpha // 2]), "CMYK"), "tif"),
        "float": (Image.fromarray((x / 15).astype(np.float32)), "tif"),
        "32-bit integers": (Image.fromarray((x * 100_000).astype(np.int32)), "tif"),
        "BMP": (rgb, "bmp"),
        "WebP": (rgb, "webp"),
    }


def outcome(path: Path, spec: InputSpec) -> str:
    """Dtype, shape and SHA-256 of the model's input; "refused" if it is refused."""
    try:
        array = read_image(path, spec)
    except InputError:
        return "refused"
    return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def outcomes(folder: Path) -> dict[str, dict[str, str]]:
    """Outcomes by image and by input of a model."""
    found = {}
    for name, (image, ending) in pictures().items():
        path = folder / f"{name}.{ending}"
        image.save(path, **({"lossless": True} if ending == "webp" else {}))
        found[name] = {kind: outcome(path, spec) for kind, spec in SPECS.items()}
    return found


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        GOLDEN.write_text(json.dumps(outcomes(Path(scratch)), indent=1) + "\n")
