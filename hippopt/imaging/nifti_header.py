"""What a NIfTI or Analyze header says, checked: shape, affine, scaling. Notes say what was corrected."""

from pathlib import Path
from typing import Any

import numpy as np

from hippopt.artifacts.grid import Grid, affine_rows
from hippopt.errors import ImageError

UNITS_PER_MM = {1: (1000.0, "metres"), 3: (0.001, "microns")}  # NIfTI xyzt_units codes that are not mm
SKEW_IGNORED = 1e-3  # cosine between two axes: rounding of stored affines
SKEW_REPAIRED = 0.05


def checked_shape(path: Path, header: Any, volume: int | None, notes: list[str]) -> tuple[int, int, int]:
    """(X, Y, Z). Raises ImageError unless the file holds one 3D volume, or `volume` picks one."""
    dims = header["dim"]
    count = int(dims[0])
    if not 1 <= count <= 7 or any(int(size) < 1 for size in dims[1 : count + 1]):
        raise ImageError(f"{path}: header gives dimensions {[int(d) for d in dims]}; the file is damaged, copy it anew")
    shape = [int(size) for size in dims[1 : count + 1]]
    extra = int(np.prod(shape[3:])) if count > 3 else 1
    if count < 3 or min(shape[:3]) < 2:
        raise ImageError(f"{path}: shape {shape} is flat; give a 3D volume of at least 2 voxels an axis")
    if extra > 1 and volume is None:
        raise ImageError(f"{path}: {extra} volumes (shape {shape}); extract one, or choose it with --volume K at prediction")
    if volume is not None and not 0 <= volume < extra:
        raise ImageError(f"{path}: --volume {volume}, but it holds volumes 0 to {extra - 1}")
    if count > 3:
        notes.append(f"{path.name}: " + (f"volume {volume} of {extra} taken" if extra > 1 else "one volume in four dimensions; the fourth dropped"))
    return (shape[0], shape[1], shape[2])


def nifti_affine(path: Path, header: Any, notes: list[str]) -> np.ndarray:
    """The 4 x 4 affine to RAS mm. Rule: sform when its code is above 0, else qform, else voxel sizes alone."""
    spacing = np.array(header["pixdim"][1:4], dtype=float)
    sform_code, qform_code = (int(header[key]) if key in header else 0 for key in ("sform_code", "qform_code"))
    if not sform_code > 0 and not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise ImageError(f"{path}: voxel size {spacing.tolist()} mm; sizes must be above 0, correct the header")
    if sform_code > 0:
        affine = np.array(header.get_sform(), dtype=float)
        if qform_code > 0 and (np.isfinite(spacing).all() and (spacing > 0).all()):
            other = header.get_qform()
            if not np.allclose(affine, other, atol=1e-2):
                notes.append(f"{path.name}: qform and sform differ by up to {np.abs(affine - other).max():.3g}; the sform is used")
    elif qform_code > 0:
        affine = np.array(header.get_qform(), dtype=float)
    else:
        affine = np.array(header.get_base_affine(), dtype=float)
        if "sform_code" in header:
            notes.append(f"{path.name}: neither qform nor sform is set; read as LAS from voxel sizes alone, check left and right")
    if "xyzt_units" in header:
        factor, unit = UNITS_PER_MM.get(int(header["xyzt_units"]) & 7, (1.0, "mm"))
        if factor != 1:
            affine[:3] *= factor
            notes.append(f"{path.name}: coordinates in {unit}, converted to mm")
    return affine


def checked_affine(path: Path, affine: np.ndarray, notes: list[str]) -> np.ndarray:
    """The affine with orthogonal axes. Raises ImageError for voxel sizes of 0 or NaN and for strong shear."""
    if not np.isfinite(affine).all():
        raise ImageError(f"{path}: the affine holds NaN or Inf; correct the header")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if (spacing < 1e-6).any():
        raise ImageError(f"{path}: voxel size {np.round(spacing, 9).tolist()} mm; sizes must be above 0, correct the header")
    if (spacing < 0.05).any() or (spacing > 20).any():
        notes.append(f"{path.name}: voxel size {np.round(spacing, 4).tolist()} mm is implausible; is the unit mm?")
    axes = affine[:3, :3] / spacing
    skew = np.abs(axes.T @ axes - np.eye(3)).max()
    if skew <= SKEW_IGNORED:
        return affine
    if skew > SKEW_REPAIRED:
        raise ImageError(f"{path}: the axes are sheared (cosine {skew:.3f} between two); resample the scan to a rectangular grid")
    u, _, vt = np.linalg.svd(axes)
    repaired = affine.copy()
    repaired[:3, :3] = (u @ vt) * spacing  # the nearest rotation (polar decomposition)
    notes.append(f"{path.name}: axes not quite orthogonal (cosine {skew:.4f}); the nearest rotation is used")
    return repaired


def scaling(path: Path, header: Any, notes: list[str]) -> tuple[float, float]:
    """(slope, intercept), or (1, 0) with a note where the header's are 0, NaN or Inf."""
    if "scl_slope" not in header:
        return 1.0, 0.0
    slope = float(header["scl_slope"])
    inter = float(header["scl_inter"]) if "scl_inter" in header else 0.0
    if slope == 0:  # the standard's way to say "no scaling"
        return 1.0, 0.0
    if not np.isfinite(slope) or not np.isfinite(inter):
        notes.append(f"{path.name}: scl_slope {slope}, scl_inter {inter}; stored values used as they are")
        return 1.0, 0.0
    return slope, inter


def grid_of(shape_xyz: tuple[int, int, int], affine: np.ndarray) -> Grid:
    """The Grid of a file's (X, Y, Z) shape and affine."""
    return Grid(shape=(shape_xyz[2], shape_xyz[1], shape_xyz[0]), affine=affine_rows(affine))
