"""An image smaller than the patch is padded, and its mask is cropped back."""

from pathlib import Path

import pytest

from tests.synthetic import Command, blob_case, read_mask, run_plan, run_predict, save_nifti
from tests.trained import DATASET


@pytest.mark.parametrize("shape", [(8, 9, 7), (2, 2, 2), (40, 5, 30), (2, 60, 3)])
def test_row_26_prediction(
    trained_root: Path, tmp_path: Path, run_command: Command, shape: tuple[int, int, int]
) -> None:
    save_nifti(tmp_path / "scans" / "a.nii.gz", blob_case(5, shape)[0])
    code, _, err = run_predict(
        run_command, trained_root, tmp_path / "scans", tmp_path / "out", "--tta", "--save-probabilities"
    )
    assert code == 0, err
    assert read_mask(tmp_path / "out" / "a.nii.gz").shape == shape
    probabilities = read_mask(tmp_path / "out" / "a_probabilities.nii.gz")
    assert probabilities.shape == (*shape, 3) and abs(probabilities.sum(-1) - 1).max() < 1e-4


def test_row_26_planning(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    image, label = (array[6:13, 8:19, 4:10] for array in blob_case(1))
    save_nifti(folder / "imagesTr" / "case_001_0000.nii.gz", image)
    save_nifti(folder / "labelsTr" / "case_001.nii.gz", label)
    code, _, err = run_plan(run_command, workspace)
    assert code == 0, err
