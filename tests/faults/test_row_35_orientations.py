"""Cases in different orientations are brought to one, and their masks are brought back."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from tests.synthetic import Command, run_plan, run_predict, write_scans
from tests.trained import DATASET


def turn(path: Path, code: str) -> None:
    """Store the same scan with other axes."""
    image = nibabel.load(path)
    nibabel.save(image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(code))), path)


@pytest.mark.parametrize("code", ["LPS", "PIR", "ASL", "SRA"])
def test_row_35_prediction_gives_the_same_mask_turned(
    trained_root: Path, tmp_path: Path, run_command: Command, code: str
) -> None:
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz"), tmp_path / "out"
    (scans / "b.nii.gz").write_bytes((scans / "a.nii.gz").read_bytes())
    turn(scans / "b.nii.gz", code)
    assert run_predict(run_command, trained_root, scans, out)[0] == 0
    assert nibabel.aff2axcodes(nibabel.load(out / "b.nii.gz").affine) == tuple(code)
    np.testing.assert_array_equal(nibabel.load(out / "b.nii.gz").affine, nibabel.load(scans / "b.nii.gz").affine)
    turn(out / "b.nii.gz", "RAS")
    np.testing.assert_array_equal(nibabel.load(out / "b.nii.gz").dataobj, nibabel.load(out / "a.nii.gz").dataobj)


def test_row_35_planning_gives_the_same_data(trained_root: Path, workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    for number, code in ((1, "LPS"), (3, "PIR")):
        turn(folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz", code)
        turn(folder / "labelsTr" / f"case_{number:03d}.nii.gz", code)
    code, _, err = run_plan(run_command, workspace)
    assert code == 0, err
    found, wanted = (
        json.loads((root / "plans" / DATASET / "fingerprint.json").read_text()) for root in (workspace, trained_root)
    )
    assert found["orientations"] == {"RAS": 4, "LPS": 1, "PIR": 1} and found["dataset_hash"] == wanted["dataset_hash"]
    for name in ("case_001.npy", "case_003_label.npy"):
        np.testing.assert_array_equal(
            *(np.load(root / "preprocessed" / DATASET / name) for root in (workspace, trained_root))
        )
