"""Read label maps: whole numbers, by one rule, with the names that the file gives them, on the axes of their scan."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.grid import Grid
from hippopt.console import counted
from hippopt.errors import ImageError
from hippopt.files.image_io import read_scan
from hippopt.files.scan import Scan, turned_to
from hippopt.imaging.arrays import LabelMask
from hippopt.imaging.lattice import lattice_step, placed

ROUNDING = 1e-4  # of values that were calculated
COARSEST_STEP = 0.5  # a scale of larger steps cannot tell whole numbers apart
SLACK = 1.02  # half a step, and the rounding of the scale itself


def read_label(path: Path, volume: int | None = None) -> Scan:
    """A label map as integers (Z, Y, X). Raises ImageError where it is none: values that are not whole, segments that
    overlap.

    Labels stored by a scale, as nibabel writes floats into an integer header, come back only nearly: a value counts as
    whole within half a step of the scale. All else must be whole within 1e-4.
    """
    scan = read_scan(Path(path), volume, exact=True)
    return replace(scan, array=whole_numbers(scan.path, scan.array, scan.step), decimal=scan.array.dtype.kind == "f")


def whole_numbers(path: Path, label: npt.NDArray[Any], step: float = 0.0) -> LabelMask:
    """label: (Z, Y, X) of any real type, as integers; step: of the scale it was stored by, 0 for none.

    Raises ImageError naming the values that are not whole.
    """
    if label.dtype.kind in "iu":
        return label
    if not np.isfinite(label).all():
        count = label.size - int(np.isfinite(label).sum())
        raise ImageError(f"{path}: NaN or Inf in a label ({count} voxels); draw it anew")
    rounded = np.round(label)
    allowed = max(ROUNDING, SLACK * step / 2) if step < COARSEST_STEP else ROUNDING
    broken = np.unique(label[np.abs(label - rounded) > allowed])
    if broken.size:
        listed = ", ".join(f"{value:.4g}" for value in broken[:5]) + (", ..." if broken.size > 5 else "")
        reason = "it was interpolated: resample the label by nearest neighbour"
        if step >= COARSEST_STEP:
            reason = f"it was stored in steps of {step:.4g}, which lose labels: store it as whole numbers"
        raise ImageError(f"{path}: {counted(broken.size, 'value')} not whole ({listed}); {reason}")
    return rounded.astype(np.int64)


def label_on_grid(scan: Scan, grid: Grid) -> Scan | None:
    """A label on the grid of its scan: turned where it holds the same points, and put in its place where it holds a
    part of them.

    Only NRRD files may hold a part: 3D Slicer cuts segmentations to their extent. None where the label lies elsewhere,
    or where labelled voxels would be lost.
    """
    turned = turned_to(scan, grid)
    if turned is not None or not scan.path.name.lower().endswith((".nrrd", ".nhdr")):
        return turned
    step = lattice_step(scan.grid, grid)
    if step is None:
        return None
    full = placed(scan.array, step, grid)
    if np.count_nonzero(full) != np.count_nonzero(scan.array):
        return None
    note = (
        f"{scan.path.name}: covers {' x '.join(map(str, step.size))} of {' x '.join(map(str, grid.shape))} voxels (Z,"
        " Y, X) of its scan; the rest is background"
    )
    return replace(scan, array=full, grid=grid, header=None, notes=[*scan.notes, note])
