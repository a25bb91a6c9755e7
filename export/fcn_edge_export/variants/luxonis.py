"""A Luxonis NN Archive: a tar of `config.json` and the model, for cameras with a network inside.

Names as of luxonis/modelconverter@b872381 and luxonis-ml 0.9. What converts the archive for a camera may
change labels; it was not run when the file was made.
"""

from __future__ import annotations

import io
import json
import lzma
import tarfile

from fcn_edge_export.variants.target import Facts, Target

__all__ = ["LUXONIS"]

MODEL = "model.onnx"


def _config(facts: Facts) -> dict[str, object]:
    card, (height, width) = facts.card, facts.size or (0, 0)
    channels, classes = card.input.channels, [entry.name for entry in card.classes]
    return {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": card.name, "path": MODEL, "precision": "float32"},
            "inputs": [
                {
                    "name": "input",
                    "dtype": "float32",
                    "input_type": "image",
                    "shape": [1, channels, height, width],
                    "layout": "NCHW",
                    "preprocessing": {
                        "mean": [0.0] * channels,
                        "scale": [255.0] * channels,
                        "dai_type": "RGB888p" if channels == 3 else "GRAY8",
                    },
                }
            ],
            "outputs": [
                {
                    "name": "output",
                    "dtype": "float32",
                    "shape": [1, len(classes), height, width],
                    "layout": "NCHW",
                }
            ],
            "heads": [
                {
                    "name": "segmentation",
                    "parser": "SegmentationParser",
                    "outputs": ["output"],
                    "metadata": {
                        "classes": classes,
                        "n_classes": len(classes),
                        "is_softmax": True,
                        "classes_in_one_layer": False,
                        "background_class": False,
                    },
                }
            ],
        },
    }


def _packed(model: bytes, facts: Facts) -> bytes:
    """The archive; the same model gives the same bytes."""
    files = {"config.json": (json.dumps(_config(facts), indent=2) + "\n").encode(), MODEL: model}
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return lzma.compress(whole.getvalue(), preset=1)  # weights hardly become smaller


def _duties(facts: Facts) -> tuple[str, ...]:
    height, width = facts.size or (0, 0)
    return (
        f"let the camera give RGB of {width} x {height}; the archive says to divide by 255",
        "convert the archive for your camera with modelconverter; compare labels there: int8 changes some",
        "the label 255 stands for unlabeled there, too",
    )


LUXONIS = Target(
    name="luxonis",
    about="an NN Archive for Luxonis cameras",
    takes="unit",
    gives="probabilities",
    duties=_duties,
    sized=True,
    most_classes=255,
    channels=(1, 3),
    ending=".tar.xz",
    packed=_packed,
)
