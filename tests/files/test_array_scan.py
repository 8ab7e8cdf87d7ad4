"""A nibabel image is read as its file is."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from hippopt.errors import ImageError
from hippopt.files.array_scan import is_nibabel, scan_of_nibabel
from hippopt.files.image_io import read_scan

VALUES = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
AFFINE = np.array([[0, 0, -1.5, 3], [2, 0, 0, 4], [0, 1, 0, 5], [0, 0, 0, 1.0]])


def saved(path: Path, values: np.ndarray, affine: np.ndarray | None = AFFINE, unit: str = "mm") -> Path:
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("kind", ["plain", "micron", "4D", "trailing", "big-endian", "no affine"])
def test_as_from_the_file(tmp_path: Path, kind: str) -> None:
    values, affine, unit, volume = VALUES, AFFINE, "mm", None
    if kind == "micron":
        affine, unit = np.diag([1000, 1000, 1000, 1]) @ AFFINE, "micron"
    elif kind == "4D":
        values, volume = np.stack([VALUES, VALUES + 7, VALUES + 9], -1), 1
    elif kind == "trailing":
        values = VALUES[..., None, None]
    elif kind == "big-endian":
        values = VALUES.astype(">i2")
    path = saved(tmp_path / "scan.nii.gz", values, None if kind == "no affine" else affine, unit)
    image = nibabel.load(path)
    assert is_nibabel(image) and not is_nibabel(VALUES)
    found, wanted = scan_of_nibabel(image, "scan.nii.gz", volume), read_scan(path, volume)
    np.testing.assert_array_equal(found.array, wanted.array)
    assert found.grid == wanted.grid
    assert found.notes == wanted.notes and bool(found.notes) == (kind in ("micron", "4D", "trailing", "no affine"))


def test_of_memory_alone() -> None:
    found = scan_of_nibabel(nibabel.Nifti1Image(VALUES, AFFINE), "scan")
    np.testing.assert_array_equal(found.array, VALUES.T)
    np.testing.assert_allclose(found.grid.affine, AFFINE)


def test_a_truncated_file_is_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path / "scan.nii", VALUES)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ImageError, match="scan: cannot be read"):
        scan_of_nibabel(nibabel.load(path), "scan")
