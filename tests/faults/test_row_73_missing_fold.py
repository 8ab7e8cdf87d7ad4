"""A prediction uses the folds that are trained and says which are missing; a missing fold that was named stops it."""

from pathlib import Path

from tests.synthetic import Command
from tests.trained import DATASET, assert_stopped, contents


def predict(root: Path, output: Path, run_command: Command, *options: object) -> tuple[int, str, str]:
    scan = root / "raw_data" / DATASET / "imagesTr" / "case_000_0000.nii.gz"
    return run_command("predict", "-i", scan, "-o", output, "--root", root, "--device", "cpu", *options)


def test_row_73_a_fold_that_is_asked_for_and_missing_stops(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    outcome = predict(trained_root, tmp_path / "out", run_command, "--folds", 0, 3)
    assert_stopped(outcome, "--folds 3", "not trained", "there: 0 1")
    assert contents(tmp_path / "out") == {}


def test_row_73_without_folds_those_present_are_used_and_named(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    code, out, err = predict(trained_root, tmp_path / "out", run_command)
    assert code == 0 and "2 of 5 folds" in err and "fold 0 1" in out, err
    assert (tmp_path / "out" / "case_000.nii.gz").exists()


def test_row_73_an_unknown_run_stops_with_those_there_are(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    outcome = predict(trained_root, tmp_path / "out", run_command, "--run", "decoder")
    assert_stopped(outcome, "--run decoder", "full")
