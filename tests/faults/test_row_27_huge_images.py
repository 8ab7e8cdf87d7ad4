"""An image that does not fit into memory is refused with numbers before it is read."""

import os
from pathlib import Path

import numpy as np
import pytest

from hippopt.recipes.ready_models import shipped_models
from tests.synthetic import (
    Command,
    assert_only_failed,
    blob_case,
    edit_header,
    run_plan,
    run_predict,
    save_nifti,
    write_scans,
)
from tests.trained import DATASET, assert_stopped


def make_huge(path: Path) -> Path:
    """A header that states 32 TB; without gzip the first 3 TB are there, as a hole on the disk."""
    save_nifti(path, np.zeros((2, 2, 2), np.int16))
    edit_header(path, dim=[3, 32000, 32000, 16000, 1, 1, 1, 1])
    if not path.name.endswith(".gz"):
        try:
            os.truncate(path, 352 + 2 * 32000 * 32000 * 1600)
        except OSError:
            pytest.skip("this file system has no files with holes of 3 TB")
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_row_27_prediction_skips_it(trained_root: Path, tmp_path: Path, run_command: Command, ending: str) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    path = make_huge(scans / f"b{ending}")
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(
        outcome, tmp_path / "out", "b", ["a"], str(path), "16000 x 32000 x 32000 voxels", "GB of", "crop it"
    )


def test_row_27_planning_stops(workspace: Path, run_command: Command) -> None:
    path = make_huge(workspace / "raw_data" / DATASET / "imagesTr" / "case_001_0000.nii.gz")
    assert_stopped(run_plan(run_command, workspace), path, "16000 x 32000 x 32000 voxels", "GB of", code=1)


def test_row_27_prediction_counts_the_resampled_scan(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hippopt.stages.predict.machine_bytes", lambda: 1e8)
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    save_nifti(scans / "b.nii.gz", blob_case(3)[0], np.diag([15.0, 15, 15, 1]))
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(outcome, tmp_path / "out", "b", ["a"], "14 x 26 x 18 voxels", "GB of 0.1 GB", "voxel size")


def test_row_27_preprocessing_names_the_case(
    workspace: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hippopt.stages.preprocess.machine_bytes", lambda: 1e8)
    folder = workspace / "raw_data" / DATASET
    for path in (folder / "imagesTr" / "case_001_0000.nii.gz", folder / "labelsTr" / "case_001.nii.gz"):
        edit_header(
            path, pixdim=[1, 15, 15, 15, 1, 1, 1, 1], srow_x=[15, 0, 0, 0], srow_y=[0, 15, 0, 0], srow_z=[0, 0, 15, 0]
        )
    assert_stopped(run_plan(run_command, workspace), "case_001", "GB of 0.1 GB", code=1)
    assert not list((workspace / "preprocessed").rglob("*.npy"))


@pytest.mark.skipif(not shipped_models(), reason="this hippopt ships no model")
def test_row_27_prediction_counts_what_a_locator_sees(tmp_path: Path, run_command: Command) -> None:
    """Voxel sizes a thousand times too large make a field of view of hundreds of metres, on voxels of 4 mm."""
    path = save_nifti(tmp_path / "scans" / "huge.nii.gz", blob_case(3)[0], np.diag([9e3, 9e3, 9e3, 1]))
    (tmp_path / "empty").mkdir()
    code, _, err = run_command("predict", "-i", path.parent, "-o", tmp_path / "out", "--root", tmp_path / "empty")
    assert code == 1 and str(path) in err and "GB of" in err and "check its voxel size" in err
