"""A voxel size that no scan of a head has is converted where the header states the unit, and gets a warning
elsewhere.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import (
    Command,
    blob_case,
    edit_header,
    read_mask,
    run_plan,
    run_predict,
    save_nifti,
    volumes,
    write_scans,
)
from tests.trained import DATASET, contents

METRES, MILLIMETRES, MICRONS = 1, 2, 3


@pytest.mark.parametrize(("unit", "step", "name"), [(METRES, 0.001, "metres"), (MICRONS, 1000.0, "microns")])
def test_row_32_prediction_converts_stated_units(
    trained_root: Path, tmp_path: Path, run_command: Command, unit: int, step: float, name: str
) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    path = save_nifti(scans / "b.nii.gz", read_mask(scans / "a.nii.gz"), np.diag([step, step, step, 1]))
    edit_header(path, xyzt_units=unit | 8)
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0 and f"b.nii.gz: coordinates in {name}, converted to mm" in err and "field of view" not in err
    np.testing.assert_array_equal(*(read_mask(tmp_path / "out" / f"{scan}.nii.gz") for scan in "ab"))
    assert volumes(tmp_path / "out").groupby("scan").volume_mm3.sum().nunique() == 1


def test_row_32_a_unit_that_cannot_be_is_not_believed(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    edit_header(scans / "a.nii.gz", xyzt_units=METRES)
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0 and "states metres" in err and "read as mm" in err


@pytest.mark.parametrize("step", [0.001, 25.0])
def test_row_32_prediction_warns_of_sizes_without_a_unit(
    trained_root: Path, tmp_path: Path, run_command: Command, step: float
) -> None:
    save_nifti(tmp_path / "scans" / "a.nii.gz", blob_case(3, (2, 2, 2))[0], np.diag([step, step, step, 1]))
    code, _, err = run_predict(run_command, trained_root, tmp_path / "scans", tmp_path / "out")
    assert code == 0 and "a.nii.gz: voxel size" in err and "implausible" in err and "mm?" in err


def test_row_32_planning_converts_and_warns(trained_root: Path, workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    for path in (folder / "imagesTr" / "case_001_0000.nii.gz", folder / "labelsTr" / "case_001.nii.gz"):
        save_nifti(path, read_mask(path), np.diag([0.001, 0.001, 0.001, 1]))
        edit_header(path, xyzt_units=METRES)
    code, _, err = run_plan(run_command, workspace)
    assert code == 0 and "case_001_0000.nii.gz: coordinates in metres, converted to mm" in err
    found, wanted = ((root / "preprocessed" / DATASET / "case_001.npy") for root in (workspace, trained_root))
    np.testing.assert_array_equal(np.load(found), np.load(wanted))
    for path in (folder / "imagesTr" / "case_002_0000.nii.gz", folder / "labelsTr" / "case_002.nii.gz"):
        save_nifti(path, read_mask(path), np.diag([0.001, 0.001, 0.001, 1]))
    before = contents(workspace)
    code, _, err = run_plan(run_command, workspace, "--verify-only")
    assert code == 0 and "case_002_0000.nii.gz: voxel size" in err and "implausible" in err
    assert contents(workspace) == before
