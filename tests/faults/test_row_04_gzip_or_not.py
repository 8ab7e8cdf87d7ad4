"""A name that says gzip of a file that is not, or the other way round, does no harm: the first bytes decide."""

import gzip
from pathlib import Path

import numpy as np

from tests.synthetic import Command, read_mask, run_plan, run_predict, write_scans


def test_row_04_prediction_reads_by_content_and_says_so(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    scans = write_scans(tmp_path / "scans", "good.nii.gz")
    data = (scans / "good.nii.gz").read_bytes()
    (scans / "plain.nii.gz").write_bytes(gzip.decompress(data))
    (scans / "zipped.nii").write_bytes(data)
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0
    assert "plain.nii.gz: no gzip data despite .gz" in err and "zipped.nii: gzip data without .gz" in err
    for name in ("plain.nii.gz", "zipped.nii"):
        np.testing.assert_array_equal(read_mask(tmp_path / "out" / name), read_mask(tmp_path / "out" / "good.nii.gz"))


def test_row_04_planning_reads_by_content_and_says_so(workspace: Path, run_command: Command) -> None:
    path = workspace / "raw_data" / "Dataset007_Blob" / "imagesTr" / "case_003_0000.nii.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))
    code, _, err = run_plan(run_command, workspace, "--verify-only")
    assert code == 0 and "case_003_0000.nii.gz: no gzip data" in err
