"""The MNI152 template (2009a, symmetric, 1 mm) of nilearn's wheel as slices, and which of them are held out.

pip download --no-deps nilearn==0.14.1
unzip nilearn-0.14.1-*.whl 'nilearn/datasets/data/mni_*'
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from fcn_edge_runtime.medical.intensity import window_of
from fcn_edge_runtime.medical.nifti import labels_nifti, read_nifti
from fcn_edge_runtime.medical.volume import Volume, slices_of
from fcn_edge_runtime.model.card import InputSpec

FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
INPUT = InputSpec(1, "uint8", 1 / 255, (0.0,), (1.0,), percentiles=(1.0, 99.0))
# Axial slices, of 1 mm. Chosen before the first training: a slab in the middle, 24 mm thick.
HELD_OUT = range(84, 108)
GAP = 8  # slices beside the slab that are used for neither
TISSUE = range(4, 155)  # slices that hold a part of the brain
MOST = 20_000_000
FOLDER = Path(__file__).parent / "heldout"


def read(folder: Path) -> tuple[Volume, np.ndarray]:
    """The scan, and the class of each voxel in its order: 0 background, 1 gray, 2 white matter."""
    t1, gray, white = (read_nifti(folder / FILE.format(kind), MOST) for kind in ("t1", "gm", "wm"))
    likely = np.stack([gray.stored, white.stored]).astype(np.int16)  # probabilities, 255 is 1
    rest = 255 - likely.sum(axis=0, keepdims=True)
    return t1, np.argmax(np.concatenate([rest, likely]), axis=0).astype(np.uint8)


def slices(t1: Volume, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All axial slices as the network gets them: (N, H, W, 1) uint8, (N, H, W) uint8."""
    window = window_of(t1, INPUT)
    images = [window.pixels(image, t1.name) for image in slices_of(t1.values(t1.stored), t1.affine, "axial")]
    return np.stack(images), slices_of(labels, t1.affine, "axial")


def training_slices() -> list[int]:
    """Those that hold a part of the brain, without the held-out slab and the gap on both sides of it."""
    kept_away = range(HELD_OUT.start - GAP, HELD_OUT.stop + GAP)
    return [index for index in TISSUE if index not in kept_away]


def write_held_out(folder: Path, out: Path = FOLDER) -> None:
    """The held-out slab and its truth as small volumes, where they are in the template."""
    t1, labels = read(folder)
    affine = t1.affine.copy()
    affine[:3, 3] += HELD_OUT.start * affine[:3, 2]
    for values, name in ((t1.stored, "images"), (labels, "labels")):
        slab = Volume(name, np.asfortranarray(values[:, :, HELD_OUT.start : HELD_OUT.stop]), affine)
        (out / name).mkdir(parents=True, exist_ok=True)
        (out / name / "t1.nii.gz").write_bytes(
            labels_nifti(slab.stored, slab, f"{name}, MNI152 2009a symmetric")
        )


if __name__ == "__main__":
    write_held_out(Path(sys.argv[1]))
