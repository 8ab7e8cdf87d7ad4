"""Intensities may have any size: each image is normalised by itself, and single bright voxels are clipped."""

from pathlib import Path

import numpy as np

from tests.synthetic import Command, blob_case, read_mask, run_plan, run_predict, save_nifti
from tests.trained import DATASET


def test_row_25_planning_warns_and_goes_on(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET / "imagesTr"
    for number, factor in ((1, 1e6), (4, 1e-5)):
        path = folder / f"case_{number:03d}_0000.nii.gz"
        save_nifti(path, read_mask(path) * np.float32(factor))
    code, _, err = run_plan(run_command, workspace)
    assert code == 0 and "case_001, case_004: intensities differ over 20 times" in err
    images = [np.load(workspace / "preprocessed" / DATASET / f"case_{number:03d}.npy") for number in range(6)]
    for image in images:
        assert abs(image.mean()) < 0.01 and 0.98 < image.std() < 1.02 and np.abs(image).max() < 6


def test_row_25_prediction_gives_the_same_mask(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    image = blob_case(5)[0]
    hot = image.copy()
    hot[0, 0, 0] = 1e9
    for name, array in (
        ("plain", image),
        ("large", image * np.float32(2.0**20)),
        ("small", image * np.float32(2.0**-20)),
        ("hot", hot),
    ):
        save_nifti(tmp_path / "scans" / f"{name}.nii.gz", array)
    assert run_predict(run_command, trained_root, tmp_path / "scans", tmp_path / "out")[0] == 0
    masks = {path.name[:-7]: read_mask(path) for path in (tmp_path / "out").glob("*.nii.gz")}
    for name in ("large", "small"):
        assert (masks[name] != masks["plain"]).mean() < 0.001  # but for rounding
    assert (masks["hot"] != masks["plain"]).mean() < 0.02
