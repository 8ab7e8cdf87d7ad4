"""A folder without a scan stops the command."""

from pathlib import Path

import pytest

from tests.synthetic import Command, run_plan, run_predict
from tests.trained import DATASET, assert_stopped


@pytest.mark.parametrize("files", [[], ["notes.txt", "._a.nii.gz", "slice_001.dcm"]])
def test_row_15_prediction_stops(trained_root: Path, tmp_path: Path, run_command: Command, files: list[str]) -> None:
    (tmp_path / "scans").mkdir()
    for name in files:
        (tmp_path / "scans" / name).touch()
    assert_stopped(
        run_predict(run_command, trained_root, tmp_path / "scans", tmp_path / "out"),
        tmp_path / "scans",
        "no image files",
        ".nii.gz",
        code=1,
    )
    assert not (tmp_path / "out").exists()


def test_row_15_planning_stops(workspace: Path, run_command: Command) -> None:
    for folder in ("imagesTr", "labelsTr"):
        for path in (workspace / "raw_data" / DATASET / folder).iterdir():
            path.unlink()
    outcome = run_plan(run_command, workspace)
    assert_stopped(outcome, workspace / "raw_data" / DATASET / "labelsTr", "no image file", code=1)
    assert not (workspace / "plans").exists()


def test_row_15_no_dataset_at_all(tmp_path: Path, run_command: Command) -> None:
    (tmp_path / "raw_data").mkdir()
    assert_stopped(run_plan(run_command, tmp_path), tmp_path / "raw_data", "hippopt_import", code=2)
