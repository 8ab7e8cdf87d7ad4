"""Of an image of four dimensions one volume is taken where there is one, and must be chosen where there are several."""

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import (
    Command,
    assert_only_failed,
    blob_case,
    failures,
    read_mask,
    run_plan,
    run_predict,
    save_nifti,
    write_scans,
)
from tests.trained import DATASET, assert_stopped


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two plain scans and one file that holds both."""
    folder = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz")
    save_nifti(folder / "both.nii.gz", np.stack([blob_case(100)[0], blob_case(101)[0]], -1))
    return folder


def test_row_19_one_volume_is_taken_and_said(
    trained_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    save_nifti(scans / "both.nii.gz", blob_case(101)[0][..., None])
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0 and "both.nii.gz: one volume in four dimensions" in err
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "both.nii.gz"), read_mask(tmp_path / "out" / "b.nii.gz"))


def test_row_19_several_volumes_are_refused(
    trained_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(outcome, tmp_path / "out", "both", ["a", "b"], "2 volumes", "--volume")


@pytest.mark.parametrize(("volume", "same"), [(0, "a"), (1, "b")])
def test_row_19_a_volume_is_chosen(
    trained_root: Path, tmp_path: Path, run_command: Command, scans: Path, volume: int, same: str
) -> None:
    assert run_predict(run_command, trained_root, scans, tmp_path / "plain")[0] == 1
    code, _, err = run_predict(run_command, trained_root, scans / "both.nii.gz", tmp_path / "out", "--volume", volume)
    assert code == 0 and f"volume {volume} of 2 taken" in err
    found = read_mask(tmp_path / "out" / "both.nii.gz")
    assert found.shape == (18, 26, 14)
    np.testing.assert_array_equal(found, read_mask(tmp_path / "plain" / f"{same}.nii.gz"))


def test_row_19_a_volume_that_is_not_there(
    trained_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    assert run_predict(run_command, trained_root, scans, tmp_path / "out", "--volume", 2)[0] == 1
    found = failures(tmp_path / "out")
    assert (
        sorted(found) == ["a", "b", "both"]
        and "holds volumes 0 to 1" in found["both"]
        and "volumes 0 to 0" in found["a"]
    )
    assert_stopped(
        run_predict(run_command, trained_root, scans, tmp_path / "none", "--volume", -1),
        "--volume -1",
        "from 0",
        code=2,
    )
    assert not (tmp_path / "none").exists()


def test_row_19_planning_takes_one_volume_and_refuses_several(workspace: Path, run_command: Command) -> None:
    path = workspace / "raw_data" / DATASET / "imagesTr" / "case_002_0000.nii.gz"
    save_nifti(path, read_mask(path)[..., None])
    code, _, err = run_plan(run_command, workspace, "--verify-only")
    assert code == 0 and "case_002_0000.nii.gz: one volume in four dimensions" in err
    save_nifti(path, np.concatenate([read_mask(path)] * 3, -1))
    assert_stopped(run_plan(run_command, workspace), path, "3 volumes", code=1)
