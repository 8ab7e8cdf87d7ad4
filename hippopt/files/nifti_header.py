"""What a NIfTI or Analyze header says, checked: shape, affine, scaling. Notes say what was corrected."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hippopt.artifacts.grid import Grid, affine_rows
from hippopt.errors import ImageError
from hippopt.imaging.arrays import Numbers

UNITS_PER_MM = {1: (1000.0, "metres"), 3: (0.001, "microns")}  # NIfTI xyzt_units codes that are not mm
SKEW_IGNORED = 1e-3  # cosine between two axes: rounding of stored affines
SKEW_REPAIRED = 0.05
SIZES_AGREE = 0.01  # pixdim is often rounded to two or three digits
SMALLEST = 1e-6  # mm: axes of no length
PLAUSIBLE_MM = (0.05, 20.0)  # voxel sizes of a scan of the head


def checked_shape(path: Path, header: Any, volume: int | None, notes: list[str]) -> tuple[int, int, int]:
    """(X, Y, Z). Raises ImageError unless the file holds one 3D volume, or `volume` picks one."""
    dims = header["dim"]
    count = int(dims[0])
    if not 1 <= count <= 7 or any(int(size) < 1 for size in dims[1 : count + 1]):
        raise ImageError(f"{path}: header gives dimensions {[int(d) for d in dims]}; the file is damaged, copy it anew")
    return checked_size(path, [int(size) for size in dims[1 : count + 1]], volume, notes)[0]


def checked_size(
    path: Path, size: Sequence[int], volume: int | None, notes: list[str]
) -> tuple[tuple[int, int, int], int]:
    """((X, Y, Z), volume to take) of a file's axes, the first running fastest.

    Raises ImageError as `checked_shape` does.
    """
    shape = list(size)
    extra = math.prod(shape[3:])
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise ImageError(f"{path}: shape {shape} is flat; give a 3D volume of at least 2 voxels per axis")
    if extra > 1 and volume is None:
        raise ImageError(
            f"{path}: {extra} volumes (shape {shape}); extract one, or choose it with --volume K at prediction"
        )
    if volume is not None and not 0 <= volume < extra:
        raise ImageError(f"{path}: --volume {volume}, but it holds volumes 0 to {extra - 1}")
    if len(shape) > 3:
        taken = (
            f"volume {volume} of {extra} taken" if extra > 1 else "one volume in four dimensions; the fourth dropped"
        )
        notes.append(f"{path.name}: {taken}")
    return (shape[0], shape[1], shape[2]), volume or 0


def nifti_affine(path: Path, header: Any, notes: list[str]) -> Numbers:
    """The 4 x 4 affine to RAS mm, and a note wherever more than one answer was possible.

    A form is usable where its code is above 0 and its numbers place voxels: the sform where its axes are finite, of a
    length and at right angles (cosine up to .05), the qform where it is a rotation and pixdim holds voxel sizes. They
    agree where voxel sizes differ by at most 1 percent.

    | sform | qform | pixdim | what is used |
    |---|---|---|---|
    | usable | any | agrees with the sform | the sform; where the qform lies elsewhere, that is said |
    | usable | usable | differs from the sform | the qform, which pixdim is part of |
    | usable | not usable | differs from the sform | the axes of the sform, voxel sizes of pixdim, as in ITK and FSL |
    | usable | any | no voxel size | the sform |
    | not usable | usable | | the qform |
    | not usable | not usable | | refused |
    | code 0 | usable | | the qform |
    | code 0 | code 0 | voxel sizes | pixdim alone, read as LAS; left and right are to be checked |
    | code 0 | code 0 | no voxel size | refused |

    Sources: nifti1.h (methods 1 to 3); ITK and FSL take voxel sizes from pixdim always.
    """
    spacing = np.array(header["pixdim"][1:4], dtype=float)
    sound = bool(np.isfinite(spacing).all() and (spacing > 0).all())
    sform_code, qform_code = (int(header[key]) if key in header else 0 for key in ("sform_code", "qform_code"))
    qform = _qform_affine(header) if qform_code > 0 and sound else None
    if sform_code > 0:
        with np.errstate(invalid="ignore"):  # NaN is told of by `checked_affine`
            sform = np.array(header.get_sform(), dtype=float)
        # some programs write the sform in the stated unit and pixdim in mm
        factor = UNITS_PER_MM.get(int(header["xyzt_units"]) & 7, (1.0, "mm"))[0] if "xyzt_units" in header else 1.0
        sizes = np.linalg.norm(sform[:3, :3], axis=0)
        in_mm = bool(np.isfinite(sizes).all()) and np.allclose(sizes * factor, spacing, rtol=SIZES_AGREE)
        affine = _of_sform(path, sform, qform, (sizes if in_mm else spacing) if sound else None, qform_code > 0, notes)
    elif not sound:
        raise ImageError(f"{path}: voxel size {spacing.tolist()} mm; sizes must be above 0, correct the header")
    elif qform is not None:
        affine = qform
    elif qform_code > 0:
        raise ImageError(f"{path}: the qform is no rotation and there is no sform; correct the header")
    else:
        affine = np.array(header.get_base_affine(), dtype=float)
        if "sform_code" in header:
            notes.append(
                f"{path.name}: neither qform nor sform is set; read as LAS from voxel sizes alone, check left and right"
            )
    if "xyzt_units" in header:
        affine = _in_mm(path, affine, int(header["xyzt_units"]) & 7, notes)
    return affine


def _of_sform(
    path: Path,
    sform: Numbers,
    qform: Numbers | None,
    pixdim: Numbers | None,
    qform_set: bool,
    notes: list[str],
) -> Numbers:
    """The rows of `nifti_affine`'s table with a code of the sform above 0. pixdim: None where it holds no
    voxel sizes.
    """
    fault = _sform_fault(sform)
    if fault:
        if qform is not None:
            notes.append(f"{path.name}: the sform {fault}; the qform is used")
            return qform
        return sform  # `checked_affine` refuses it
    if pixdim is None:
        notes.append(f"{path.name}: no voxel size in pixdim; the sform is used")
        return sform
    sizes = np.linalg.norm(sform[:3, :3], axis=0)
    if not np.allclose(sizes, pixdim, rtol=SIZES_AGREE) and not (_plausible(sform) and not _all_plausible(pixdim)):
        told = (
            f"{path.name}: the sform gives voxels of {np.round(sizes, 4).tolist()}, pixdim"
            f" {np.round(pixdim, 4).tolist()}"
        )
        if qform is not None:
            notes.append(f"{told}; the qform is used, which agrees with pixdim")
            return qform
        notes.append(f"{told}; pixdim's are used along the sform's axes, check the volume")
        scaled = sform.copy()
        scaled[:3, :3] *= pixdim / sizes
        return scaled
    if qform_set and (qform is None or not np.allclose(sform, qform, atol=1e-2)):
        far = "is no rotation" if qform is None else f"and sform differ by up to {np.abs(sform - qform).max():.3g}"
        notes.append(f"{path.name}: qform {far}; the sform is used")
    return sform


def _sform_fault(sform: Numbers) -> str:
    """Why an sform places no voxels; empty where it does."""
    if not np.isfinite(sform).all():
        return "holds NaN or Inf"
    sizes = np.linalg.norm(sform[:3, :3], axis=0)
    if (sizes < SMALLEST).any():
        return "has axes of no length"
    skew = _skew(sform)
    return f"has sheared axes (cosine {skew:.3f} between two)" if skew > SKEW_REPAIRED else ""


def _skew(affine: Numbers) -> float:
    """The largest cosine between two axes."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def _qform_affine(header: Any) -> Numbers | None:
    """The qform's affine, or None where its quaternion is none. A qfac of neither 1 nor -1 counts as 1 (nifti1.h)."""
    header = header.copy()
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1
    try:
        affine = np.array(header.get_qform(), dtype=float)
    except ValueError:
        return None
    return affine if np.isfinite(affine).all() else None


def _in_mm(path: Path, affine: Numbers, unit_code: int, notes: list[str]) -> Numbers:
    """The affine in mm. A stated unit is not believed where it makes plausible voxel sizes implausible."""
    if unit_code not in UNITS_PER_MM:
        return affine
    factor, unit = UNITS_PER_MM[unit_code]
    converted = affine.copy()
    converted[:3] *= factor
    if _plausible(affine) and not _plausible(converted):
        sizes = np.round(np.linalg.norm(affine[:3, :3], axis=0), 4).tolist()
        notes.append(f"{path.name}: the header states {unit}, but voxels of {sizes} can only be mm; read as mm")
        return affine
    notes.append(f"{path.name}: coordinates in {unit}, converted to mm")
    return converted


def _plausible(affine: Numbers) -> bool:
    return _all_plausible(np.linalg.norm(affine[:3, :3], axis=0))


def _all_plausible(spacing: Numbers) -> bool:
    return bool(((spacing >= PLAUSIBLE_MM[0]) & (spacing <= PLAUSIBLE_MM[1])).all())


def checked_affine(path: Path, affine: Numbers, notes: list[str]) -> Numbers:
    """The 4 x 4 affine to RAS mm with orthogonal axes.

    Raises ImageError for voxel sizes of 0 or NaN and for strong shear.
    """
    if not np.isfinite(affine).all():
        raise ImageError(f"{path}: the affine holds NaN or Inf; correct the header")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if (spacing < SMALLEST).any():
        raise ImageError(
            f"{path}: voxel size {np.round(spacing, 9).tolist()} mm; sizes must be above 0, correct the header"
        )
    if not _plausible(affine):
        notes.append(f"{path.name}: voxel size {np.round(spacing, 4).tolist()} mm is implausible; is the unit mm?")
    axes = affine[:3, :3] / spacing
    skew = _skew(affine)
    if skew <= SKEW_IGNORED:
        return affine
    if skew > SKEW_REPAIRED:
        raise ImageError(
            f"{path}: the axes are sheared (cosine {skew:.3f} between two); resample the scan to a rectangular grid"
        )
    u, _, vt = np.linalg.svd(axes)
    repaired = affine.copy()
    repaired[:3, :3] = (u @ vt) * spacing  # the nearest rotation (polar decomposition)
    notes.append(f"{path.name}: axes not quite orthogonal (cosine {skew:.4f}); the nearest rotation is used")
    return repaired


def scaling(path: Path, header: Any, notes: list[str]) -> tuple[float, float]:
    """(slope, intercept), or (1, 0) with a note where the header's slope is 0, or one of them NaN or Inf."""
    if "scl_slope" not in header:
        return 1.0, 0.0
    slope = float(header["scl_slope"])
    inter = float(header["scl_inter"]) if "scl_inter" in header else 0.0
    if slope == 0 or not np.isfinite(slope) or not np.isfinite(inter):
        notes.append(f"{path.name}: scl_slope {slope:g}, scl_inter {inter:g}; stored values used as they are")
        return 1.0, 0.0
    return slope, inter


def grid_of(shape_xyz: tuple[int, int, int], affine: Numbers) -> Grid:
    """The Grid of a file's (X, Y, Z) shape and 4 x 4 affine to RAS mm."""
    return Grid(shape=(shape_xyz[2], shape_xyz[1], shape_xyz[0]), affine=affine_rows(affine))
