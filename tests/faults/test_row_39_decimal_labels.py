"""Label values that are not whole are reported, and nothing is guessed."""

from pathlib import Path

import numpy as np

from tests.synthetic import Command, read_mask, run_plan, save_nifti
from tests.trained import DATASET, assert_stopped, contents


def change(workspace: Path, case: str, kind: type, *values: tuple[tuple[int, int, int], float]) -> Path:
    path = workspace / "raw_data" / DATASET / "labelsTr" / f"{case}.nii.gz"
    label = read_mask(path).astype(kind)
    for place, value in values:
        label[place] = value
    return save_nifti(path, label)


def test_row_39_values_that_are_not_whole(workspace: Path, run_command: Command) -> None:
    path = change(workspace, "case_001", np.float32, ((1, 1, 1), 0.25), ((2, 1, 1), 1.75))
    before = contents(workspace)
    assert_stopped(run_plan(run_command, workspace), path, "not whole", "0.25, 1.75", "nearest neighbour", code=1)
    assert contents(workspace) == before


def test_row_39_not_a_number(workspace: Path, run_command: Command) -> None:
    path = change(workspace, "case_001", np.float32, ((1, 1, 1), np.nan))
    assert_stopped(run_plan(run_command, workspace), path, "NaN or Inf in a label", code=1)


def test_row_39_whole_decimals_are_accepted(workspace: Path, run_command: Command) -> None:
    change(workspace, "case_001", np.float64)
    code, _, err = run_plan(run_command, workspace, "--verify-only")
    assert code == 0 and "warning" not in err
