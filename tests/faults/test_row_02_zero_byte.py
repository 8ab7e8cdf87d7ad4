"""A file of zero bytes is named, and its scan is left out."""

from pathlib import Path

import pytest

from tests.synthetic import Command, assert_only_failed, run_plan, run_predict, write_scans
from tests.trained import assert_stopped


@pytest.mark.parametrize("file", ["imagesTr/case_001_0000.nii.gz", "labelsTr/case_004.nii.gz"])
def test_row_02_planning_names_the_empty_file(workspace: Path, run_command: Command, file: str) -> None:
    path = workspace / "raw_data" / "Dataset007_Blob" / file
    path.write_bytes(b"")
    assert_stopped(
        run_plan(run_command, workspace), path, "empty file (0 bytes)", "copy it anew", "1 of 6 cases", code=1
    )
    assert not (workspace / "plans").exists()


def test_row_02_prediction_skips_the_empty_file(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz", "c.nii.gz")
    (scans / "b.nii.gz").write_bytes(b"")
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(
        outcome, tmp_path / "out", "b", ["a", "c"], str(scans / "b.nii.gz"), "empty file (0 bytes)", "copy it anew"
    )
