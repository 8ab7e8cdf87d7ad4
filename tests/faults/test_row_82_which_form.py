"""The qform holds where the sform is singular, sheared or of other voxel
sizes than pixdim, and it is always said when another answer was possible.
"""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from hippopt.errors import ImageError
from hippopt.files.array_scan import scan_of_nibabel
from hippopt.files.image_io import read_scan
from tests.synthetic import Command, blob_case, edit_header, run_predict, save_nifti, volumes

AFFINE = np.array([[0, 0, -1.5, 9], [1, 0, 0, -4], [0, 1, 0, 2], [0, 0, 0, 1.0]])
MNI = np.array([[1.12, 0.03, 0, 2], [-0.02, 1.08, 0.02, -5], [0.01, -0.03, 1.18, 4], [0, 0, 0, 1]]) @ AFFINE
SHEAR = np.array([[1, 0.2, 0, 2], [0, 1, 0, -5], [0, 0, 1, 4], [0, 0, 0, 1]]) @ AFFINE
HALF = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
NAN = AFFINE * np.nan
ROWS = {
    "alike": (AFFINE, 1, AFFINE, ""),
    "half scale": (HALF, 1, AFFINE, "the qform is used, which agrees with pixdim"),
    "zeros": (np.zeros((4, 4)), 1, AFFINE, "axes of no length; the qform is used"),
    "nan": (NAN, 2, AFFINE, "NaN or Inf; the qform is used"),
    "registered to a template": (MNI, 4, AFFINE, "the qform is used, which agrees with pixdim"),
    "sheared": (SHEAR, 4, AFFINE, "sheared axes (cosine 0.196 between two); the qform is used"),
    "elsewhere": (np.diag([-1, -1, 1, 1.0]) @ AFFINE, 1, np.diag([-1, -1, 1, 1.0]) @ AFFINE, "qform and sform differ"),
    "rounded": (
        np.diag([1.004, 1.004, 1.004, 1]) @ AFFINE,
        1,
        np.diag([1.004, 1.004, 1.004, 1]) @ AFFINE,
        "qform and sform differ",
    ),
}


def headed(path: Path, sform: np.ndarray, code: int, qcode: int = 1, **fields: Any) -> Path:
    image = nibabel.Nifti1Image(blob_case(5)[0], AFFINE)
    image.set_qform(AFFINE, 1)
    nibabel.save(image, path)
    rows = {name: sform[number] for number, name in enumerate(("srow_x", "srow_y", "srow_z"))}
    return edit_header(path, qform_code=qcode, sform_code=code, **rows, **fields)


@pytest.mark.parametrize("row", ROWS)
def test_row_82_both_forms(tmp_path: Path, row: str) -> None:
    sform, code, wanted, note = ROWS[row]
    path = headed(tmp_path / "a.nii.gz", sform, code)
    for scan in (read_scan(path), scan_of_nibabel(nibabel.load(path), "a.nii.gz")):
        np.testing.assert_allclose(scan.grid.affine, wanted, atol=1e-4)
        assert (note in scan.notes[0] and scan.notes[0].startswith("a.nii.gz: ")) if note else scan.notes == []


def test_row_82_without_a_qform(tmp_path: Path) -> None:
    scan = read_scan(headed(tmp_path / "a.nii.gz", HALF, 2, qcode=0))
    np.testing.assert_allclose(scan.grid.spacing_mm, (1.5, 1, 1), rtol=1e-6)
    np.testing.assert_allclose(np.array(scan.grid.affine)[:3, :3], AFFINE[:3, :3], atol=1e-6)
    assert "pixdim's are used along the sform's axes, check the volume" in scan.notes[0]
    for sform in (np.zeros((4, 4)), SHEAR, NAN):
        with pytest.raises(ImageError, match=r"a\.nii\.gz: (voxel size|the axes are sheared|the affine holds NaN)"):
            read_scan(headed(tmp_path / "a.nii.gz", sform, 2, qcode=0))


def test_row_82_pixdim_of_nothing(tmp_path: Path) -> None:
    scan = read_scan(headed(tmp_path / "a.nii.gz", HALF, 1, pixdim=[1, 0, 0, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(scan.grid.affine, HALF)
    assert "no voxel size in pixdim; the sform is used" in scan.notes[0]


def test_row_82_volumes_are_those_of_the_right_voxels(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = tmp_path / "scans"
    save_nifti(scans / "right.nii.gz", blob_case(5)[0], AFFINE)
    headed(scans / "half.nii.gz", HALF, 1)
    headed(scans / "template.nii.gz", MNI, 4)
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    found = volumes(tmp_path / "out").groupby("scan").volume_mm3.sum()
    assert (
        code == 0
        and found["half"] == found["template"] == found["right"]
        and "half.nii.gz: the sform gives voxels" in err
    )
    mask, scan = (nibabel.load(folder / "half.nii.gz") for folder in (tmp_path / "out", scans))
    np.testing.assert_array_equal(
        mask.affine, scan.affine
    )  # viewers show the mask on its scan, whichever form they take
