"""The ._NAME files that macOS leaves beside files are passed over with a note."""

from pathlib import Path

from tests.synthetic import Command, run_plan, run_predict, volumes, write_scans
from tests.trained import DATASET

APPLE_DOUBLE = bytes.fromhex("00051607") + bytes(4092)


def test_row_12_planning_ignores_them_with_a_note(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    for name in ("imagesTr/._case_001_0000.nii.gz", "labelsTr/._case_001.nii.gz", "labelsTr/._case_002.nii.gz"):
        (folder / name).write_bytes(APPLE_DOUBLE)
    code, out, err = run_plan(run_command, workspace, "--verify-only")
    assert code == 0 and "6 cases" in out
    assert "imagesTr: 1 hidden file (._case_001_0000.nii.gz) ignored" in err and "labelsTr: 2 hidden files" in err


def test_row_12_prediction_ignores_them_with_a_note(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    (scans / "._a.nii.gz").write_bytes(APPLE_DOUBLE)
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0 and "1 hidden file (._a.nii.gz) ignored" in err
    assert set(volumes(tmp_path / "out").scan) == {"a"}
