"""An empty label gets a warning, and is scored by the stated rule."""

import json
from pathlib import Path

import pandas as pd

from tests.synthetic import Command, read_mask, run_plan, save_nifti
from tests.trained import DATASET


def empty(path: Path, value: int | None = None) -> None:
    label = read_mask(path).copy()
    label[label == value if value else label > 0] = 0
    save_nifti(path, label)


def test_row_43_planning_warns_and_goes_on(workspace: Path, run_command: Command) -> None:
    labels = workspace / "raw_data" / DATASET / "labelsTr"
    empty(labels / "case_001.nii.gz")
    empty(labels / "case_004.nii.gz", 2)
    code, _, err = run_plan(run_command, workspace)
    assert code == 0
    for words in (
        "case_001.nii.gz: label front is empty",
        "case_001.nii.gz: label back is empty",
        "case_004.nii.gz: label back is empty",
    ):
        assert words in err
    cases = json.loads((workspace / "plans" / DATASET / "fingerprint.json").read_text())["cases"]
    assert cases[1]["foreground_box"] is None and cases[4]["labels"]["back"]["voxels"] == 0


def test_row_43_a_label_in_no_case(workspace: Path, run_command: Command) -> None:
    for path in (workspace / "raw_data" / DATASET / "labelsTr").iterdir():
        empty(path, 2)
    code, _, err = run_plan(run_command, workspace)
    assert code == 0 and "label back is in no case; remove it from dataset.json" in err and "of fold" not in err


def test_row_43_scores_follow_the_rule(workspace: Path, tmp_path: Path, run_command: Command) -> None:
    labels = workspace / "raw_data" / DATASET / "labelsTr"
    for path in sorted(labels.iterdir())[:2]:
        save_nifti(tmp_path / "masks" / path.name, read_mask(path))
    empty(labels / "case_000.nii.gz", 2)
    empty(tmp_path / "masks" / "case_000.nii.gz", 2)
    empty(labels / "case_001.nii.gz", 2)
    code, said, err = run_command("evaluate", "-p", tmp_path / "masks", "-l", labels, "-o", tmp_path / "scores.csv")
    assert code == 0 and "absent in prediction and reference" in said, err
    table = pd.read_csv(tmp_path / "scores.csv").set_index(["case", "label"]).dice
    assert table["case_000", "back"] == 1 and table["case_001", "back"] == 0 and table["case_001", "front"] == 1
