"""A path that does not exist is named in full, with the names that come near it."""

from pathlib import Path

import pytest

from tests.synthetic import Command, run_plan, run_predict, write_scans
from tests.trained import assert_stopped


def test_row_01_scan_not_there(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scans(tmp_path / "scans", "subject_01.nii.gz", "subject_02.nii.gz")
    monkeypatch.chdir(tmp_path)
    outcome = run_predict(run_command, trained_root, Path("scans/subject_1.nii.gz"), tmp_path / "out")
    assert_stopped(
        outcome, tmp_path / "scans" / "subject_1.nii.gz", "not found", "near matches", "subject_01.nii.gz", code=1
    )
    assert_stopped(
        run_predict(run_command, trained_root, Path("scan"), tmp_path / "out"), tmp_path / "scan", "near matches: scans"
    )
    assert not (tmp_path / "out").exists()


def test_row_01_dataset_not_there(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    for command in ("plan", "predict"):
        more = ["-i", tmp_path, "-o", tmp_path / "out", "-d"] if command == "predict" else []
        assert_stopped(
            run_command(command, "--root", trained_root, *more, "Blobb"),
            "'Blobb'",
            trained_root.resolve(),
            "Dataset007_Blob",
            code=2,
        )
        assert_stopped(
            run_command(command, "--root", tmp_path / "nowhere", *more, "Blob"),
            tmp_path / "nowhere",
            "hippopt_import",
            code=2,
        )


def test_row_01_folder_of_the_dataset_not_there(workspace: Path, run_command: Command) -> None:
    labels = workspace / "raw_data" / "Dataset007_Blob" / "labelsTr"
    labels.rename(labels.with_name("labels"))
    assert_stopped(run_plan(run_command, workspace), labels, "folder not found", code=1)
    assert not (workspace / "plans").exists()
