"""Infinite voxels, of either sign, are an error when planning, and are read as 0 with a count when predicting."""

from pathlib import Path

import numpy as np
import pytest

from tests.bad_voxels import assert_planning_stops, assert_read_as_zero
from tests.synthetic import Command, blob_case, run_predict, save_nifti


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_row_22_planning_stops(workspace: Path, run_command: Command, value: float) -> None:
    assert_planning_stops(workspace, run_command, "Inf", value)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_row_22_prediction_reads_0_with_a_count(
    trained_root: Path, tmp_path: Path, run_command: Command, value: float
) -> None:
    assert_read_as_zero(trained_root, tmp_path, run_command, "Inf", value)


def test_row_22_values_beyond_float32(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    image = blob_case(5)[0].astype(np.float64)
    image[2, 5, 6] = 1e300
    save_nifti(tmp_path / "scans" / "a.nii.gz", image)
    code, _, err = run_predict(run_command, trained_root, tmp_path / "scans", tmp_path / "out")
    assert code == 0 and "a: 1 voxels are Inf; read as 0" in err
