"""NaN is an error when planning, and is read as 0 with a count when predicting."""

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import Command, blob_case, read_mask, run_plan, run_predict, save_nifti, volumes
from tests.trained import DATASET, assert_stopped

KINDS = [("NaN", np.nan)]


@pytest.mark.parametrize(("name", "value"), KINDS, ids=str)
def test_row_21_planning_stops(workspace: Path, run_command: Command, name: str, value: float) -> None:
    path = workspace / "raw_data" / DATASET / "imagesTr" / "case_003_0000.nii.gz"
    image = read_mask(path).copy()
    image[2:4, 5, 6] = value
    save_nifti(path, image)
    assert_stopped(run_plan(run_command, workspace), path, f"2 voxels are {name}", "replace", "1 of 6 cases", code=1)
    assert not (workspace / "plans").exists()


@pytest.mark.parametrize(("name", "value"), KINDS, ids=str)
def test_row_21_prediction_reads_0_with_a_count(
    trained_root: Path, tmp_path: Path, run_command: Command, name: str, value: float
) -> None:
    image = blob_case(5)[0]
    for file, inside in (("zero", 0), ("odd", value)):
        image[2:4, 5, 6] = inside
        save_nifti(tmp_path / "scans" / f"{file}.nii.gz", image)
    code, _, err = run_predict(run_command, trained_root, tmp_path / "scans", tmp_path / "out")
    assert code == 0 and f"odd: 2 voxels are {name}; read as 0" in err
    np.testing.assert_array_equal(*(read_mask(tmp_path / "out" / f"{file}.nii.gz") for file in ("odd", "zero")))


def test_row_21_nothing_but_nan(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    save_nifti(tmp_path / "scans" / "a.nii.gz", np.full((18, 26, 14), np.nan, np.float32))
    code, _, err = run_predict(run_command, trained_root, tmp_path / "scans", tmp_path / "out")
    assert code == 0 and "6552 voxels are NaN" in err and "the mask is empty" in err
    assert (
        not read_mask(tmp_path / "out" / "a.nii.gz").any()
        and (volumes(tmp_path / "out").flag == "constant image; empty").all()
    )
