"""A label that few cases have is spread over the folds, and a fold without it gets a warning."""

import json
from pathlib import Path

from tests.synthetic import Command, read_mask, run_plan, save_nifti, write_dataset
from tests.trained import DATASET


def plan_with(root: Path, run_command: Command, holders: set[int], cases: int) -> tuple[dict, str]:
    """The plan of a data set in which label 2 is in some cases only, and what was warned of."""
    folder = write_dataset(root, cases=cases)
    for number in set(range(cases)) - holders:
        path = folder / "labelsTr" / f"case_{number:03d}.nii.gz"
        label = read_mask(path).copy()
        label[label == 2] = 1
        save_nifti(path, label)
    code, _, err = run_plan(run_command, root, "--no-preprocess")
    assert code == 0, err
    return json.loads((root / "plans" / DATASET / "plan.json").read_text()), err


def test_row_44_planning_warns(tmp_path: Path, run_command: Command) -> None:
    made, err = plan_with(tmp_path, run_command, {3}, 6)
    holding = next(number for number, fold in enumerate(made["folds"]) if "case_003" in fold["val"])
    others = ", ".join(str(number) for number in range(5) if number != holding)
    assert f"label back is in no training case of fold {holding} (found in 1 case); it is not learnt there" in err
    assert f"label back is in no validation case of fold {others} (found in 1 case)" in err


def test_row_44_folds_are_stratified(tmp_path: Path, run_command: Command) -> None:
    holders = {0, 1, 2, 3, 4}
    made, err = plan_with(tmp_path, run_command, holders, 15)
    assert "stratified" in made["reasons"]["folds"] and "label back is in no" not in err
    for fold in made["folds"]:
        assert len({f"case_{number:03d}" for number in holders} & set(fold["val"])) == 1
