"""Rules for headers: which affine holds, what is repaired with a note, what is refused."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from hippopt.errors import ImageError
from hippopt.files.nifti_header import checked_affine, checked_shape, nifti_affine, scaling

PATH = Path("scan.nii")
Q, S = np.diag([-1.0, 1, 2, 1]), np.diag([-1.0, 1, 2, 1])
S[:3, 3] = 5


def header(sform: int, qform: int, spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)) -> Any:
    found = nibabel.Nifti1Header()
    found.set_data_shape((4, 5, 6))
    found.set_zooms(spacing)
    found.set_qform(Q, qform)
    found.set_sform(S, sform)
    found["sform_code"], found["qform_code"] = sform, qform
    return found


@pytest.mark.parametrize(
    ("sform", "qform", "wanted", "note"),
    [
        (1, 0, S, None),
        (2, 1, S, "the sform is used"),
        (0, 1, Q, None),
        (0, 0, np.diag([-1.0, 1, 2, 1]), "voxel sizes alone"),
    ],
)
def test_which_affine_holds(sform: int, qform: int, wanted: np.ndarray, note: str | None) -> None:
    notes: list[str] = []
    found = nifti_affine(PATH, header(sform, qform), notes)
    np.testing.assert_allclose(found[:3, :3], wanted[:3, :3], atol=1e-6)
    if sform or qform:
        np.testing.assert_allclose(found[:3, 3], wanted[:3, 3], atol=1e-6)
    assert (note in notes[0]) if note else notes == []


@pytest.mark.parametrize(
    ("code", "factor", "unit"), [(1, 1000, "metres"), (3, 0.001, "microns"), (2, 1, None), (0, 1, None)]
)
def test_units(code: int, factor: float, unit: str | None) -> None:
    given, notes = header(1, 0), []
    given.set_sform(np.diag([1 / factor] * 3 + [1]) @ S, 1)
    given["xyzt_units"] = code | 8  # the time's unit stands in the same byte
    np.testing.assert_allclose(nifti_affine(PATH, given, notes), S, rtol=1e-6)
    assert (unit in notes[0]) if unit else notes == []


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (float("nan"), 1.0, 1.0)])
def test_voxel_sizes_of_nothing(spacing: tuple[float, float, float]) -> None:
    given = header(0, 1)
    given["pixdim"][1:4] = spacing
    with pytest.raises(ImageError, match="sizes must be above 0"):
        nifti_affine(PATH, given, [])
    flat = np.diag([*spacing, 1.0])
    with pytest.raises(ImageError, match=r"above 0|NaN"):
        checked_affine(PATH, flat, [])
    # an sform needs no voxel sizes besides its own
    given["sform_code"] = 1
    np.testing.assert_allclose(nifti_affine(PATH, given, []), S)


def sheared(cosine: float) -> np.ndarray:
    """Axes x and y at an angle of this cosine; voxels of 1 x 2 x 3 mm."""
    affine = np.eye(4)
    affine[:3, 1] = (cosine, np.sqrt(1 - cosine**2), 0)
    affine[:3, :3] *= (1, 2, 3)
    affine[:3, 3] = (7, 8, 9)
    return affine


@pytest.mark.parametrize(("cosine", "changed"), [(0.0, False), (0.0009, False), (0.0011, True), (0.049, True)])
def test_shear(cosine: float, changed: bool) -> None:
    notes: list[str] = []
    found = checked_affine(PATH, sheared(cosine), notes)
    assert bool(notes) == changed == (not np.array_equal(found, sheared(cosine)))
    axes = found[:3, :3]
    np.testing.assert_allclose(np.linalg.norm(axes, axis=0), (1, 2, 3))  # voxel sizes stay
    np.testing.assert_allclose(found[:3, 3], (7, 8, 9))
    if changed:
        np.testing.assert_allclose(axes.T @ axes, np.diag([1.0, 4, 9]), atol=1e-9)
        assert np.abs(found - sheared(cosine)).max() < 3 * cosine


def test_strong_shear_is_refused_and_a_mirror_is_none() -> None:
    with pytest.raises(ImageError, match="sheared"):
        checked_affine(PATH, sheared(0.051), [])
    mirrored = sheared(0.01) @ np.diag([-1, 1, 1, 1])
    assert np.linalg.det(checked_affine(PATH, mirrored, [])[:3, :3]) == pytest.approx(-6)


@pytest.mark.parametrize(("spacing", "noted"), [(0.04, True), (0.06, False), (19.0, False), (21.0, True)])
def test_implausible_voxels(spacing: float, noted: bool) -> None:
    notes: list[str] = []
    checked_affine(PATH, np.diag([spacing, 1, 1, 1]), notes)
    assert bool(notes) == noted


@pytest.mark.parametrize(
    ("slope", "inter", "wanted", "noted"),
    [
        (2.0, 3.0, (2, 3), False),
        (0.0, 3.0, (1, 0), True),
        (float("nan"), 0.0, (1, 0), True),
        (1.0, float("inf"), (1, 0), True),
    ],
)
def test_scaling(slope: float, inter: float, wanted: tuple[float, float], noted: bool) -> None:
    given, notes = header(1, 0), []
    given["scl_slope"], given["scl_inter"] = slope, inter
    assert scaling(PATH, given, notes) == wanted and bool(notes) == noted


@pytest.mark.parametrize(
    ("dims", "words"),
    [((9, 4, 4, 4), "dimensions"), ((3, 4, 0, 4), "dimensions"), ((3, 4, -2, 4), "dimensions"), ((2, 4, 4, 1), "flat")],
)
def test_damaged_dimensions(dims: tuple[int, ...], words: str) -> None:
    given = nibabel.Nifti1Header()
    given["dim"][:4] = dims
    with pytest.raises(ImageError, match=words):
        checked_shape(PATH, given, None, [])
