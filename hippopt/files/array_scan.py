"""A numpy array as a scan, and a nibabel image."""

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.errors import ImageError, UsageError
from hippopt.files.nifti_header import checked_affine, checked_size, grid_of, nifti_affine
from hippopt.files.payload import check_gzip
from hippopt.files.scan import Scan
from hippopt.imaging.memory_budget import check_memory
from hippopt.machine import machine_bytes


def scan_of_array(array: npt.NDArray[Any], spacing_mm: Sequence[float] | None, affine: object, name: str) -> Scan:
    """array: (Z, Y, X); spacing_mm: (z, y, x) of an array on RAS axes (x to the right, y to the front, z upwards), or
    affine: 4 x 4, maps voxel (x, y, z, 1) to RAS mm, as nibabel's does, for any axes.

    Raises UsageError where it is not known how the voxels lie, ImageError for an array that is no scan.
    """
    path, notes = Path(name), list[str]()
    if spacing_mm is None and affine is None:
        raise UsageError(f"{name}: give spacing_mm (z, y, x) for an array on RAS axes, or its affine")
    if array.dtype.kind not in "biuf":
        raise ImageError(
            f"{name}: values of type {array.dtype} (colour or complex); give a scan with one real value per voxel"
        )
    if array.ndim != 3:
        raise ImageError(f"{name}: shape {array.shape}; give a 3D array (Z, Y, X)")
    size, _ = checked_size(path, array.shape[::-1], None, notes)
    if affine is None:
        assert spacing_mm is not None
        if len(spacing_mm) != 3:
            raise UsageError(f"{name}: spacing_mm {tuple(spacing_mm)}; give three sizes in mm, (z, y, x)")
        matrix = np.diag([*_numbers(spacing_mm[::-1], f"{name}: spacing_mm {tuple(spacing_mm)}"), 1.0])
        if not (np.diag(matrix) > 0).all():
            raise ImageError(f"{name}: spacing_mm {tuple(spacing_mm)}; sizes must be above 0")
    else:
        matrix = _numbers(affine, f"{name}: affine of type {type(affine).__name__}")
        if matrix.shape != (4, 4):
            raise UsageError(f"{name}: affine of shape {matrix.shape}; give 4 x 4")
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)[::-1]
        if spacing_mm is not None and not np.allclose(spacing, spacing_mm, rtol=1e-3):
            raise UsageError(
                f"{name}: spacing_mm {tuple(spacing_mm)}, but the affine says {tuple(np.round(spacing, 4).tolist())}"
                " (z, y, x)"
            )
    kind = np.float32 if array.dtype.kind == "f" else np.uint8 if array.dtype.kind == "b" else array.dtype
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.ascontiguousarray(array, dtype=kind)
    return Scan(path, values, grid_of(size, checked_affine(path, matrix, notes)), None, notes)


def _numbers(values: object, what: str) -> npt.NDArray[np.float64]:
    """The values as numbers. Raises UsageError, in which `what` names them."""
    try:
        return np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise UsageError(f"{what}; give numbers") from None


def is_nibabel(thing: object) -> bool:
    """Whether it is a nibabel image of voxels; told without importing nibabel."""
    return type(thing).__module__.partition(".")[0] == "nibabel" and hasattr(thing, "dataobj")


def _check_stored(image: Any) -> None:
    """Raises ImageError where the voxels still lie in a gzip file that is cut or corrupt: nibabel reads no
    check sum.
    """
    stored = getattr(image.dataobj, "file_like", None)
    if isinstance(stored, str | Path) and Path(stored).name.lower().endswith((".gz", ".mgz")):
        check_gzip(Path(stored))


def scan_of_nibabel(image: Any, name: str, volume: int | None = None) -> Scan:
    """A nibabel image, whose axes are (X, Y, Z), as its file would be read. volume: which one of several.

    Raises ImageError, UsageError.
    """
    path, notes = Path(name), list[str]()
    size, chosen = checked_size(path, image.shape, volume, notes)
    if image.affine is None:
        raise ImageError(f"{name}: no affine; give the array with spacing_mm")
    affine, header = image.affine, image.header
    if hasattr(header, "get_sform") and np.allclose(affine, header.get_best_affine(), atol=1e-4, equal_nan=True):
        # in mm, whatever the header's unit, and with what is to be said of it
        affine = nifti_affine(path, header, notes)
    elif hasattr(header, "get_base_affine") and np.allclose(affine, header.get_base_affine(), atol=1e-4):
        notes.append(f"{name}: Analyze states no orientation; read as LAS (radiological), check left and right")
    check_memory(path, size[::-1], 12.0 * math.prod(size), machine_bytes())
    _check_stored(image)
    try:
        array = np.asarray(image.dataobj[(slice(None),) * 3 + np.unravel_index(chosen, image.shape[3:], "F")])
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ImageError(f"{name}: cannot be read ({error}); copy the file anew") from None
    scan = scan_of_array(array.T, None, affine, name)
    scan.notes[:0] = notes
    return scan
