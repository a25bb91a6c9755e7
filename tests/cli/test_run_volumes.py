from __future__ import annotations

import json

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel")

from fcn_edge_runtime import Segmenter  # noqa: E402 - after the skip
from tests.runtime.medical.conftest import enhanced, nifti, scan, series  # noqa: E402

__all__ = ["enhanced", "nifti", "scan", "series"]


@pytest.fixture
def brain(model_path):
    return model_path("gray")


def test_a_volume_is_labeled_slice_by_slice(fcn_edge, brain, scan, nifti, tmp_path):
    path = nifti(scan)
    done = fcn_edge("run", brain, path, "-o", "out", "--axis", "coronal")
    assert done.returncode == 0, done.stderr
    assert "20x6, 24 slices, " in done.stdout
    image = nibabel.load(tmp_path / "out" / "scan.labels.nii.gz")
    assert np.array_equal(image.affine, nibabel.load(path).affine)
    labels = np.asarray(image.dataobj)
    # Of this volume, whose axes run to the left, anterior and inferior: rows downward, columns to the left.
    with Segmenter(brain) as segmenter:
        assert np.array_equal(labels[:, 5, :], segmenter(scan[:, 5, :].T.copy()).labels.T)
    facts = json.loads((tmp_path / "out" / "scan.json").read_text())
    assert sum(entry["pixels"] for entry in facts["classes"]) == scan.size
    assert facts["classes"][1]["milliliters"] == pytest.approx(
        0.003 * facts["classes"][1]["pixels"], abs=1e-3
    )
    assert (tmp_path / "out" / "scan.overlay.png").is_file()
    again = fcn_edge("run", brain, path, "-o", "out")
    assert again.returncode == 0, again.stderr  # its own results are replaced


def test_dice_is_shown_where_the_truth_is_given(fcn_edge, brain, scan, nifti, tmp_path):
    fcn_edge("run", brain, nifti(scan), "-o", "out", "--save", "labels")
    labels = tmp_path / "out" / "scan.labels.nii.gz"
    done = fcn_edge("run", brain, nifti(scan), "-o", "again", "--truth", labels, "--json")
    assert done.returncode == 0, done.stderr
    (volume,) = json.loads(done.stdout)["volumes"]
    assert {value for value in volume["dice"].values() if value is not None} == {1.0}
    assert json.loads((tmp_path / "again" / "scan.dice.json").read_text())["dice"] == volume["dice"]


def test_a_dicom_series_gets_a_segmentation_object(fcn_edge, brain, scan, series, tmp_path):
    done = fcn_edge(
        "run", brain, series(scan), "-o", "out", "--window", "0,255", "--save", "labels,nifti,json"
    )
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["series.json", "series.labels.nii.gz", "series.seg.dcm"]
    import pydicom

    assert pydicom.dcmread(tmp_path / "out" / "series.seg.dcm").Modality == "SEG"


def test_a_bad_volume_does_not_end_the_others(fcn_edge, brain, scan, nifti, tmp_path):
    nifti(scan, "scans-a.nii")
    (tmp_path / "scans-b.nii").write_bytes(b"nothing")
    done = fcn_edge("run", brain, "scans-*.nii", "-o", "out", "--save", "json")
    assert done.returncode == 1
    assert "failed: scans-b.nii is not a NIfTI file" in done.stderr
    assert "error: 1 of 2 volumes failed" in done.stderr
    assert (tmp_path / "out" / "scans-a.json").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--save", "depth"], "volumes have no depth"),
        (["--save", "dice"], "give them with --truth"),
        (["--window", "5,1"], "the lower number first"),
        (["--window", "1,99", "--percentiles", "1,99"], "give one"),
        (["--effect", "tint", "--class", "class 1"], "effects are for images and videos"),
    ],
    ids=["save", "dice", "window", "both", "effect"],
)
def test_options_that_do_not_fit_volumes_are_wrong_usage(fcn_edge, brain, scan, nifti, options, message):
    done = fcn_edge("run", brain, nifti(scan), "-o", "out", *options)
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())


def test_volumes_are_evaluated_with_distances(fcn_edge, brain, scan, nifti, tmp_path):
    (tmp_path / "scans").mkdir()
    nifti(scan, "scans/a.nii.gz")
    fcn_edge("run", brain, "scans/a.nii.gz", "-o", "truth", "--save", "labels")
    done = fcn_edge("evaluate", brain, "--images", "scans", "--labels", "truth")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == [
        "class",
        "IoU",
        "Dice",
        "sensitivity",
        "specificity",
        "Hausdorff",
        "95",
        "%",
        "mm",
    ]
    scores = [row.split()[-5:] for row in rows if row.startswith("class")]
    assert set(map(tuple, scores)) <= {("1.0000",) * 4 + ("0.0000",), ("n/a", "n/a", "n/a", "1.0000", "n/a")}


def test_an_enhanced_file_is_a_volume(fcn_edge, brain, scan, enhanced, series, tmp_path):
    options = ["--window", "0,255", "--save", "labels,nifti"]
    done = fcn_edge("run", brain, enhanced(scan), series(scan), "-o", "out", *options)
    assert done.returncode == 0, done.stderr
    images = [nibabel.load(tmp_path / "out" / f"{name}.labels.nii.gz") for name in ("all", "series")]
    assert np.array_equal(*(np.asarray(image.dataobj) for image in images))
    assert np.array_equal(images[0].affine, images[1].affine)
    assert (tmp_path / "out" / "all.seg.dcm").is_file()


@pytest.mark.parametrize("kind", ["nifti", "turned", "dicom"])
def test_series_are_evaluated_by_labels_of_any_kind(fcn_edge, brain, scan, series, tmp_path, kind):
    window = ["--window", "0,255"]
    for name in ("a", "b"):
        series(scan, f"scans-{name}")
    (tmp_path / "scans").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"scans-{name}").rename(tmp_path / "scans" / name)
    done = fcn_edge("run", brain, "scans", "-o", "truth", "--recursive", "--save", "nifti", *window)
    assert done.returncode == 0, done.stderr
    for path in list((tmp_path / "truth").iterdir()):
        image = nibabel.load(path)
        if kind == "turned":  # as converters write it, rows upward
            nibabel.save(image.as_reoriented([[1, -1], [0, 1], [2, -1]]), path)
        if kind == "dicom":
            _labels_as_series(series, np.asarray(image.dataobj), tmp_path / "truth" / path.name[0])
            path.unlink()
    done = fcn_edge("evaluate", brain, "--images", "scans", "--labels", "truth", *window)
    assert done.returncode == 0, done.stderr
    assert "2 images" in done.stderr
    scores = [row.split()[-5:] for row in done.stdout.splitlines() if row.startswith("class ")][1:]
    assert set(map(tuple, scores)) <= {("1.0000",) * 4 + ("0.0000",), ("n/a", "n/a", "n/a", "1.0000", "n/a")}


def _labels_as_series(series, labels, folder):
    series(labels, f"labels-{folder.name}").rename(folder)
