"""Voxels that are not one real number (colour, complex numbers, vectors) are refused."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from tests.synthetic import Command, assert_only_failed, blob_case, run_plan, run_predict, write_scans
from tests.trained import DATASET, assert_stopped

IMAGE = blob_case(3)[0]
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def write_colours(path: Path) -> Path:
    colours = np.zeros(IMAGE.shape, RGB)
    colours["R"] = IMAGE.clip(0, 255).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), path)
    return path


def write_complex(path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(IMAGE.astype(np.complex64), np.eye(4)), path)
    return path


@pytest.mark.parametrize("write", [write_colours, write_complex])
def test_row_20_prediction_skips_them(trained_root: Path, tmp_path: Path, run_command: Command, write: object) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    write(scans / "b.nii.gz")  # type: ignore[operator]
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(
        outcome, tmp_path / "out", "b", ["a"], str(scans / "b.nii.gz"), "colour or complex", "one real value per voxel"
    )


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_row_20_prediction_skips_vectors_of_itk(
    trained_root: Path, tmp_path: Path, run_command: Command, ending: str
) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(np.stack([IMAGE.T] * 3, -1), isVector=True), str(scans / f"b{ending}"))
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(outcome, tmp_path / "out", "b", ["a"], "several values per voxel", "one real value per voxel")


def test_row_20_planning_stops(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    paths = [
        write_complex(folder / "imagesTr" / "case_001_0000.nii.gz"),
        write_colours(folder / "labelsTr" / "case_004.nii.gz"),
    ]
    assert_stopped(run_plan(run_command, workspace), *paths, "colour or complex", code=1)
    assert not (workspace / "plans").exists()
