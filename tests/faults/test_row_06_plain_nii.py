"""A plain .nii gives the same result as a .nii.gz."""

import gzip
import json
from pathlib import Path

import numpy as np

from tests.synthetic import Command, read_mask, run_plan, run_predict, write_scans
from tests.trained import DATASET


def unzip(path: Path) -> None:
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()


def test_row_06_planning_gives_the_same_dataset_hash(trained_root: Path, workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    for path in [*folder.glob("imagesTr/case_00[24]*"), *folder.glob("labelsTr/case_00[45]*")]:
        unzip(path)
    code, _, err = run_plan(run_command, workspace)
    assert code == 0 and "warning" not in err
    found, wanted = (
        json.loads((root / "plans" / DATASET / "fingerprint.json").read_text()) for root in (workspace, trained_root)
    )
    assert found["dataset_hash"] == wanted["dataset_hash"]


def test_row_06_prediction_gives_the_same_mask(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz")
    assert run_predict(run_command, trained_root, scans, tmp_path / "out")[0] == 0
    unzip(scans / "b.nii.gz")
    assert run_predict(run_command, trained_root, scans, tmp_path / "plain")[0] == 0
    assert (tmp_path / "plain" / "a.nii.gz").read_bytes() == (tmp_path / "out" / "a.nii.gz").read_bytes()
    np.testing.assert_array_equal(read_mask(tmp_path / "plain" / "b.nii"), read_mask(tmp_path / "out" / "b.nii.gz"))
