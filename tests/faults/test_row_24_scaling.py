"""A scaling that is none (a slope of 0 or NaN, or one that overflows) is
left out with a warning, and the stored values are used.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import Command, blob_case, edit_header, read_mask, run_plan, run_predict, save_nifti
from tests.trained import DATASET

FAULTS = [(0, 0), (0, 5), (np.nan, 0), (np.inf, 0), (1, np.nan), (3e38, 0), (-1, np.inf)]


@pytest.mark.parametrize(("slope", "inter"), FAULTS)
def test_row_24_prediction_uses_the_stored_values(
    trained_root: Path, tmp_path: Path, run_command: Command, slope: float, inter: float
) -> None:
    scans = tmp_path / "scans"
    for name in ("odd", "plain"):
        save_nifti(scans / f"{name}.nii.gz", blob_case(5)[0].astype(np.int16))
    edit_header(scans / "odd.nii.gz", scl_slope=slope, scl_inter=inter)
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0 and "odd.nii.gz: scl_slope" in err and "stored values used" in err and "plain.nii.gz" not in err
    assert "NaN" not in err and "Inf;" not in err
    np.testing.assert_array_equal(*(read_mask(tmp_path / "out" / f"{name}.nii.gz") for name in ("odd", "plain")))


def test_row_24_planning_warns(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    edit_header(folder / "imagesTr" / "case_001_0000.nii.gz", scl_slope=0)
    edit_header(folder / "labelsTr" / "case_002.nii.gz", scl_slope=np.nan)
    code, _, err = run_plan(run_command, workspace, "--verify-only")
    assert code == 0 and "case_001_0000.nii.gz: scl_slope 0" in err and "case_002.nii.gz: scl_slope nan" in err


def test_row_24_sound_scaling_is_silent(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    save_nifti(tmp_path / "scans" / "a.nii.gz", blob_case(5)[0].astype(np.int16))
    edit_header(tmp_path / "scans" / "a.nii.gz", scl_slope=0.5, scl_inter=-20)
    code, _, err = run_predict(run_command, trained_root, tmp_path / "scans", tmp_path / "out")
    assert code == 0 and "scl_slope" not in err
