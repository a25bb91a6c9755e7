"""OpenVINO's Model API: the image as it is in, one output of probabilities, `model_info` entries of metadata.

A second output is refused there, and labels that are already decided end in an error, so the probabilities it
is. Keys are words with a blank between them, and so are class names: blanks in a name become `_`. Names as of
openvino-model-api 0.4.7.
"""

from __future__ import annotations

from fcn_edge_export.variants.target import Facts, Target

__all__ = ["MODEL_API"]


def _metadata(facts: Facts) -> dict[str, str]:
    side = str(max(facts.card.geometry.smallest_size, 224))  # asked for, and not used at dynamic sizes
    values = {
        "model_type": "Segmentation",
        "labels": " ".join("_".join(entry.name.split()) for entry in facts.card.classes),
        "embedded_processing": "True",
        "orig_height": side,
        "orig_width": side,
        "blur_strength": "-1",
    }
    return {f"model_info {key}": value for key, value in values.items()}


def _duties(_: Facts) -> tuple[str, ...]:
    return (
        "give RGB: cv2.imread gives BGR",
        "resultImage holds MODEL's class ids; get_label_name(id) is the class's name",
        "get_contours() leaves class 0 out, and names each contour after the class before it",
        "OpenVINO may compute in bf16, which changes some labels; INFERENCE_PRECISION_HINT f32 does not",
    )


MODEL_API = Target(
    name="model-api",
    about="OpenVINO's Model API",
    takes="pixels",
    gives="probabilities",
    duties=_duties,
    metadata=_metadata,
    input="image",
    output="probabilities",
    most_classes=255,  # of a byte
    channels=(3,),
)
