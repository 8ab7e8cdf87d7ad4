"""Ids that are equal up to letter case or blanks stop the command, since on some disks they are one file."""

from pathlib import Path

import pytest

from tests.synthetic import Command, run_plan, run_predict, write_scans
from tests.trained import DATASET, assert_stopped


@pytest.mark.parametrize("other", ["CASE_001", "case_001 "])
def test_row_08_planning_stops(workspace: Path, run_command: Command, other: str) -> None:
    folder = workspace / "raw_data" / DATASET
    for name in ("imagesTr/{}_0000.nii.gz", "labelsTr/{}.nii.gz"):
        (folder / name.format(other)).write_bytes((folder / name.format("case_001")).read_bytes())
    assert_stopped(
        run_plan(run_command, workspace), other, "case_001.nii.gz", "letter case or blanks", "rename", code=1
    )
    assert not (workspace / "plans").exists()


@pytest.mark.parametrize("other", ["Scan.nii.gz", "scan .nii.gz", " SCAN.nii"])
def test_row_08_prediction_stops(trained_root: Path, tmp_path: Path, run_command: Command, other: str) -> None:
    scans = write_scans(tmp_path / "scans", "scan.nii.gz", other)
    assert_stopped(
        run_predict(run_command, trained_root, scans, tmp_path / "out"),
        "'scan'",
        "letter case or blanks",
        "rename one",
        code=1,
    )
    assert not (tmp_path / "out").exists()
