"""An import names images that cannot be a channel, or do not belong to their label (rows 18, 19, 20 and 36)."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.import_sources import AFFINE, SHAPE, made, save, scan, write_decathlon, write_pair
from tests.synthetic import Command

RGB = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (scan(0)[:, :, :1], "is flat"),
        (np.stack([scan(0)] * 3, -1), "3 volumes (shape (7, 9, 6, 3)), but one channel is expected"),
        (scan(0).astype(np.complex64), "colour or complex"),
        (RGB, "colour or complex"),
        (scan(0)[:-1], "shape (6, 9, 7) (Z, Y, X), but case_1.nii.gz has (6, 9, 6)"),
    ],
)
def test_images_that_do_not_fit(tmp_path: Path, run_command: Command, array: np.ndarray, told: str) -> None:
    source = write_pair(tmp_path / "in")
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), source / "images" / "case_1.nii.gz")
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "case_1.nii.gz" in err and told in err
    assert made(tmp_path) == []


def test_row_19_other_channels_than_described(tmp_path: Path, run_command: Command) -> None:
    source = write_decathlon(tmp_path / "in", modalities=("T1", "T2"))
    save(source / "imagesTr" / "task_000.nii.gz", scan(0))
    save(source / "imagesTr" / "task_001.nii.gz", np.stack([scan(0)] * 3, -1))
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "task_000.nii.gz: 1 volumes" in err and "task_001.nii.gz: 3 volumes" in err
    assert made(tmp_path) == []
