"""Row 106: a label map of more than 255 structures keeps each of them apart in the arrays that are trained on."""

from pathlib import Path

import numpy as np

from hippopt.imaging.resampling import resample_label
from tests.synthetic import Command, run_plan, save_nifti

STRUCTURES = 300


def test_row_106_300_labels_stay_300_labels(tmp_path: Path, run_command: Command) -> None:
    for case in range(5):
        label = np.zeros((40, 40, 24), np.int16)
        places = [(x, y, z) for x in range(0, 40, 4) for y in range(0, 40, 4) for z in range(0, 24, 4)][:STRUCTURES]
        for number, (x, y, z) in enumerate(places, 1):
            label[x + 1 : x + 3, y + 1 : y + 3, z + 1 : z + 3] = number
        image = (100 + 60 * (label > 0) + np.random.default_rng(case).normal(0, 8, label.shape)).astype(np.float32)
        save_nifti(tmp_path / "source" / "images" / f"m{case}.nii.gz", image)
        save_nifti(tmp_path / "source" / "labels" / f"m{case}.nii.gz", label)
    code, _, err = run_command("import_dataset", tmp_path / "source", "--id", 1, "--name", "Many", "--root", tmp_path)
    assert code == 0, err
    code, _, err = run_plan(run_command, tmp_path)
    assert code == 0, err
    found = np.load(tmp_path / "preprocessed" / "Dataset001_Many" / "m0_label.npy")
    np.testing.assert_array_equal(np.unique(found), np.arange(STRUCTURES + 1))


def test_row_106_classes_beyond_255_survive_resampling() -> None:
    label = np.full((4, 4, 4), 299, np.uint16)
    for shape in ((4, 4, 4), (6, 4, 8)):
        resampled = resample_label(label, shape, STRUCTURES, None)
        assert resampled.dtype == np.uint16
        assert (resampled == 299).all()
    assert resample_label(label % 7, (6, 4, 8), 7, None).dtype == np.uint8
