"""A fold that the plan does not have is refused with the list of those that it has."""

from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import assert_stopped, contents, train_arguments


@pytest.mark.parametrize("fold", ["5", "-1", "1.0", "one", "", "0 1", "full_data"])
def test_row_49_an_unknown_fold_stops_and_lists_the_valid_ones(
    trained_root: Path, run_command: Command, fold: str
) -> None:
    before = contents(trained_root)
    outcome = run_command("train", *train_arguments(trained_root, fold=fold))
    assert_stopped(outcome, f"fold {fold!r}", "0, 1, 2, 3, 4", "full-data")
    assert contents(trained_root) == before


@pytest.mark.parametrize("fold", ["-1", "one", "9"])
def test_row_49_prediction_with_an_unknown_fold_stops(
    trained_root: Path, tmp_path: Path, run_command: Command, fold: str
) -> None:
    scan = trained_root / "raw_data" / "Dataset007_Blob" / "imagesTr" / "case_000_0000.nii.gz"
    outcome = run_command("predict", "-i", scan, "-o", tmp_path / "out", "--root", trained_root, f"--folds={fold}")
    assert_stopped(outcome, fold)
    assert contents(tmp_path / "out") == {}
