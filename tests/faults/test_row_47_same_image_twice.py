"""One image under two names, and several scans of one person, never stand on both sides of a fold."""

import json
from pathlib import Path

import nibabel
import numpy as np

from tests.synthetic import Command, read_mask, run_plan, write_dataset
from tests.trained import DATASET


def folds(root: Path) -> list[dict[str, list[str]]]:
    return json.loads((root / "plans" / DATASET / "plan.json").read_text())["folds"]


def sides(fold: dict[str, list[str]], cases: set[str]) -> int:
    return bool(cases & set(fold["train"])) + bool(cases & set(fold["val"]))


def test_row_47_identical_images_are_told_and_stay_together(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET / "imagesTr"
    values = read_mask(folder / "case_001_0000.nii.gz")
    (folder / "case_004_0000.nii.gz").unlink()
    # stored in another way: the values count
    nibabel.save(nibabel.Nifti2Image(values.astype(np.float64), np.eye(4)), folder / "case_004_0000.nii")
    for number in (0, 2, 3):
        code, _, err = run_plan(run_command, workspace, "--no-preprocess", "--overwrite", "--set", f"seed={number}")
        assert code == 0 and "case_001, case_004: identical images" in err
        assert all(sides(fold, {"case_001", "case_004"}) == 1 for fold in folds(workspace))


def test_row_47_scans_of_one_patient_stay_together(tmp_path: Path, run_command: Command) -> None:
    write_dataset(tmp_path, cases=10, per_subject=2)
    code, said, err = run_plan(run_command, tmp_path, "--no-preprocess")
    assert code == 0 and "10 cases of 5 subjects" in said, err
    assert len(folds(tmp_path)) == 5
    for number in range(0, 10, 2):
        pair = {f"case_{number:03d}", f"case_{number + 1:03d}"}
        assert all(sides(fold, pair) == 1 for fold in folds(tmp_path))
