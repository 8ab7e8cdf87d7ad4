"""Where qform and sform differ, a stated rule says which of them holds, and the mask keeps both as they are."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.synthetic import Command, edit_header, read_mask, run_plan, run_predict, write_scans
from tests.trained import DATASET

KEPT = (
    "qform_code",
    "sform_code",
    "pixdim",
    "srow_x",
    "srow_y",
    "srow_z",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "xyzt_units",
    "descrip",
)
FLIPPED = {"quatern_b": 0, "quatern_c": 1, "quatern_d": 0}  # half a turn about y: LAI
CASES = {
    "both, alike": ({"qform_code": 1, "sform_code": 2}, None, False),
    "both, differing": ({"qform_code": 1, "sform_code": 2, **FLIPPED}, "qform and sform differ", False),
    "both, qform of noise": (
        {"qform_code": 1, "sform_code": 2, "quatern_b": 3, "quatern_c": 5},
        "qform is no rotation",
        False,
    ),
    "sform alone": ({"qform_code": 0, "sform_code": 1, **FLIPPED}, None, False),
    "qform alone": ({"qform_code": 1, "sform_code": 0, "srow_x": [-9, 0, 0, 0]}, None, False),
    "qform alone, qfac 0": ({"qform_code": 1, "sform_code": 0, "pixdim": [0, 1, 1, 1, 1, 1, 1, 1]}, None, False),
    "codes beyond the standard": ({"qform_code": 0, "sform_code": 77}, None, False),
    "neither": ({"qform_code": 0, "sform_code": 0}, "neither qform nor sform is set", True),
}


@pytest.mark.parametrize("case", CASES)
def test_row_34_prediction(trained_root: Path, tmp_path: Path, run_command: Command, case: str) -> None:
    fields, note, mirrored = CASES[case]
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    image = read_mask(scans / "a.nii.gz")
    # where nothing is stated, x is read as running to the left
    nibabel.save(nibabel.Nifti1Image(image[::-1] if mirrored else image, np.eye(4)), scans / "b.nii.gz")
    edit_header(scans / "b.nii.gz", descrip=b"site 3", **fields)
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0, err
    assert f"b.nii.gz: {note}" in err if note else "b.nii.gz" not in err
    mask = read_mask(tmp_path / "out" / "b.nii.gz")
    np.testing.assert_array_equal(mask[::-1] if mirrored else mask, read_mask(tmp_path / "out" / "a.nii.gz"))
    scan, written = (nibabel.load(folder / "b.nii.gz").header for folder in (scans, tmp_path / "out"))
    for key in KEPT:
        np.testing.assert_array_equal(written[key], scan[key], err_msg=key)


def test_row_34_planning_tells_the_rule(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    for number, fields in ((1, {"qform_code": 1, **FLIPPED}), (2, {"sform_code": 0, "qform_code": 0})):
        for path in (
            folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz",
            folder / "labelsTr" / f"case_{number:03d}.nii.gz",
        ):
            edit_header(path, **fields)
    code, _, err = run_plan(run_command, workspace, "--verify-only")
    assert (
        code == 0
        and "case_001_0000.nii.gz: qform and sform differ" in err
        and "case_002.nii.gz: neither qform nor sform" in err
    )
