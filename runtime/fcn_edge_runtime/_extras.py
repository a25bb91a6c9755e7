"""The extras of the distribution: which packages each brings, and what an error says where one is missing."""

from __future__ import annotations

from typing import Any

from fcn_edge_runtime.errors import FcnEdgeError, InputError

__all__ = ["EXTRAS", "extra_of", "install_command", "require", "what_is_wrong"]

# By extra, the name to import and the distribution that brings it, as in pyproject.toml.
EXTRAS = {
    "images": {"PIL": "pillow"},
    "cpu": {"onnxruntime": "onnxruntime"},
    "cuda": {"onnxruntime": "onnxruntime-gpu"},
    "openvino": {"onnxruntime": "onnxruntime-openvino"},
    "quantize": {"onnx": "onnx"},
    "adopt": {"onnx": "onnx", "onnxsim": "onnxsim"},
    "export": {
        "torch": "torch",
        "onnx": "onnx",
        "onnxscript": "onnxscript",
        "onnxsim": "onnxsim",
        "safetensors": "safetensors",
    },
    "hf": {"transformers": "transformers", "huggingface_hub": "huggingface_hub", "scipy": "scipy"},
    "geo": {"rasterio": "rasterio", "pyogrio": "pyogrio", "pyarrow": "pyarrow", "shapely": "shapely"},
    "medical": {
        "nibabel": "nibabel",
        "pydicom": "pydicom",
        "highdicom": "highdicom",
        "gdcm": "python-gdcm",
        "surface_distance": "surface-distance",
    },
    "ray": {"ray": "ray"},
    "serve": {"starlette": "starlette", "uvicorn": "uvicorn", "prometheus_client": "prometheus-client"},
    "sign": {"model_signing": "model-signing", "OpenSSL": "pyopenssl"},
    "objects": {"scipy": "scipy"},
    "plots": {"matplotlib": "matplotlib"},
    "train": {"mujoco": "mujoco"},
    "demo": {"skimage": "scikit-image"},
    "robot": {"rosbags": "rosbags", "mcap": "mcap"},
    "dds": {"cyclonedds": "cyclonedds"},
    "camera": {"cv2": "opencv-python-headless"},
}


def install_command(*extras: str) -> str:
    """The command that installs extras, in backquotes, as every error gives it; zsh needs the quotes."""
    return f"`pip install 'fcn-edge[{','.join(extras)}]'`"


def extra_of(module: str) -> str | None:
    """The extra that brings a module, such as "PIL.Image"; None if none of ours does."""
    top = module.partition(".")[0]
    return next((extra for extra, brings in EXTRAS.items() if top in brings), None)


def require(module: str, purpose: str, error: type[FcnEdgeError] = InputError, hint: str = "") -> Any:
    """Import a module of an extra.

    Args:
        module: its name, such as "PIL.Image".
        purpose: what it is for, the subject of the message: "reading and writing images".
        error: the class of the error.
        hint: what else to say at its end.

    Raises:
        FcnEdgeError: it cannot be imported; the message names the package and the extra.
    """
    from importlib import import_module

    top = module.partition(".")[0]
    extra = extra_of(module)
    assert extra is not None  # noqa: S101 - a bug of ours, not a user's mistake
    try:
        import_module(top)
        return import_module(module)
    except Exception as failure:  # noqa: BLE001 - a build for another numpy raises whatever it meets first
        raise error(
            f"{purpose} needs {EXTRAS[extra][top]}, which {what_is_wrong(top, failure)}: "
            f"{install_command(extra)}{hint}"
        ) from None


def what_is_wrong(module: str, failure: Exception) -> str:
    """What is wrong with a package whose import failed: "is not installed", or "cannot be imported" and why.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed during the import; compiled modules make an ImportError of it.
    """
    if isinstance(failure.__cause__, KeyboardInterrupt):
        raise failure.__cause__ from None
    if isinstance(failure, ModuleNotFoundError) and (failure.name or "").partition(".")[0] == module:
        return "is not installed"
    return f"cannot be imported ({type(failure).__name__}: {failure})"
