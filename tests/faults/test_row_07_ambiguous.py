"""Two files of one case stop the command, since nobody can tell which is meant."""

import gzip
from pathlib import Path

import pytest

from tests.synthetic import Command, run_plan, run_predict, write_scans
from tests.trained import DATASET, assert_stopped


@pytest.mark.parametrize("file", ["imagesTr/case_001_0000.nii.gz", "labelsTr/case_001.nii.gz"])
def test_row_07_planning_stops(workspace: Path, run_command: Command, file: str) -> None:
    path = workspace / "raw_data" / DATASET / file
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    assert_stopped(
        run_plan(run_command, workspace), path.with_suffix("").name, path.name, "ambiguous", "keep one", code=1
    )
    assert not (workspace / "plans").exists()


@pytest.mark.parametrize("other", ["b.nii", "b.nrrd", "b_0000.nii.gz"])
def test_row_07_prediction_stops(trained_root: Path, tmp_path: Path, run_command: Command, other: str) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz")
    (scans / other).write_bytes((scans / "b.nii.gz").read_bytes())
    assert_stopped(
        run_predict(run_command, trained_root, scans, tmp_path / "out"),
        other,
        "b.nii.gz",
        "ambiguous",
        "keep one",
        code=1,
    )
    assert not (tmp_path / "out").exists()
