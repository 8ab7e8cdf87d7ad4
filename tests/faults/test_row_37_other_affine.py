"""A label of its image's shape whose voxels lie elsewhere is an error with both affines,
mended by --fix-headers; in the same places on other axes it is none (row 79).
"""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from tests.synthetic import Command, edit_header, read_mask, run_plan, save_nifti
from tests.trained import DATASET, assert_stopped, contents


def label_of(workspace: Path, case: str = "case_002") -> Path:
    return workspace / "raw_data" / DATASET / "labelsTr" / f"{case}.nii.gz"


@pytest.mark.parametrize(
    "fields", [{"srow_x": [1.0005, 0, 0, 0]}, {"srow_y": [0, 1, 0, 0.0009]}, {"srow_z": [0.0008, 0, 1, 0]}]
)
def test_row_37_rounding_is_tolerated(workspace: Path, run_command: Command, fields: dict[str, list[float]]) -> None:
    edit_header(label_of(workspace), **fields)
    before = contents(workspace)
    code, _, err = run_plan(run_command, workspace, "--verify-only", "--fix-headers")
    assert code == 0, err
    assert contents(workspace) == before


@pytest.mark.parametrize(
    "fields", [{"srow_x": [1.002, 0, 0, 0]}, {"srow_y": [0, 1, 0, 2.5]}, {"srow_x": [-1, 0, 0, 12]}]
)
def test_row_37_more_is_an_error_that_can_be_mended(
    workspace: Path, run_command: Command, fields: dict[str, list[float]]
) -> None:
    path = label_of(workspace)
    edit_header(path, **fields)
    values, before = read_mask(path), contents(workspace)
    outcome = run_plan(run_command, workspace)
    assert_stopped(outcome, path, "differs from", "[1.0, 0.0, 0.0, 0.0]", "--fix-headers", code=1)
    moved = next(iter(fields.values()))
    assert str([float(value) for value in moved]) in outcome[2] and contents(workspace) == before
    code, said, err = run_plan(run_command, workspace, "--fix-headers")
    assert code == 0 and f"{path}: given the header of case_002_0000.nii.gz" in said, err
    np.testing.assert_array_equal(read_mask(path), values)
    np.testing.assert_array_equal(nibabel.load(path).affine, np.eye(4))
    after = contents(workspace / "raw_data")
    assert [
        name for name, content in contents(workspace / "raw_data").items() if before[f"raw_data/{name}"] != content
    ] == [f"{DATASET}/labelsTr/case_002.nii.gz"]
    assert run_plan(run_command, workspace, "--fix-headers")[0] == 0 and contents(workspace / "raw_data") == after


def test_row_37_labels_stored_as_decimals_are_mended_too(workspace: Path, run_command: Command) -> None:
    path = label_of(workspace)
    save_nifti(path, read_mask(path).astype(np.float32), np.diag([1, 1, 2.0, 1]))
    assert run_plan(run_command, workspace, "--fix-headers", "--verify-only")[0] == 0
    assert nibabel.load(path).get_data_dtype() == np.uint8


def test_row_37_other_formats(workspace: Path, run_command: Command) -> None:
    path = label_of(workspace)
    image = sitk.GetImageFromArray(read_mask(path).T)
    path.unlink()
    two_files = path.with_name("case_002.mhd")
    sitk.WriteImage(image, str(two_files))  # its axes point to LPS
    before = contents(workspace)
    outcome = run_plan(run_command, workspace, "--fix-headers")
    assert_stopped(outcome, two_files, "two files", ".nii.gz", code=1)
    assert contents(workspace) == before
    for left in (two_files, two_files.with_suffix(".raw")):
        left.unlink()
    sitk.WriteImage(image, str(path.with_name("case_002.nrrd")))
    code, _, err = run_plan(run_command, workspace, "--fix-headers", "--verify-only")
    assert code == 0, err


def test_row_37_values_that_are_no_mask_are_not_rewritten(workspace: Path, run_command: Command) -> None:
    path = label_of(workspace)
    save_nifti(path, read_mask(path) * np.float32(0.5), np.diag([1, 1, 2.0, 1]))
    before = contents(workspace)
    assert_stopped(run_plan(run_command, workspace, "--fix-headers"), path, "not whole", code=1)
    assert contents(workspace) == before
