"""An image of one value is an error when planning; when predicting it gives an empty mask, a warning and a flag."""

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import Command, read_mask, run_plan, run_predict, save_nifti, volumes, write_scans
from tests.trained import DATASET, assert_stopped

SHAPE = (18, 26, 14)


def one_hot_voxel() -> np.ndarray:
    image = np.full(SHAPE, 7, np.float32)
    image[3, 4, 5] = 9000
    return image


@pytest.mark.parametrize("value", [0, 7])
def test_row_23_planning_stops(workspace: Path, run_command: Command, value: int) -> None:
    path = save_nifti(
        workspace / "raw_data" / DATASET / "imagesTr" / "case_003_0000.nii.gz", np.full(SHAPE, value, np.int16)
    )
    assert_stopped(run_plan(run_command, workspace), path, f"every voxel is {value}", "remove the case", code=1)
    assert not (workspace / "plans").exists()


@pytest.mark.parametrize(
    "image",
    [np.zeros(SHAPE, np.float32), np.full(SHAPE, -3, np.int16), one_hot_voxel()],
    ids=["zero", "constant", "but for one voxel"],
)
def test_row_23_prediction_gives_an_empty_mask_and_a_flag(
    trained_root: Path, tmp_path: Path, run_command: Command, image: np.ndarray
) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    save_nifti(scans / "b.nii.gz", image)
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out", "--save-probabilities")
    assert code == 0 and "b: every voxel has one value; the mask is empty" in err
    assert not read_mask(tmp_path / "out" / "b.nii.gz").any()
    flags = volumes(tmp_path / "out").groupby("scan").flag.first()
    assert "constant image" in flags["b"] and "constant" not in flags["a"]
    table = (tmp_path / "out" / "volumes.tsv").read_bytes()
    assert "kept 2" in run_predict(run_command, trained_root, scans, tmp_path / "out")[1]
    assert (tmp_path / "out" / "volumes.tsv").read_bytes() == table  # masks that are kept are judged alike
