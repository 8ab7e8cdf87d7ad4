"""A scan as read from a file."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.grid import Grid
from hippopt.imaging.lattice import is_plain, same_points
from hippopt.imaging.orientation import orientation_code


@dataclass(frozen=True)
class Scan:
    """One 3D image. array: (Z, Y, X), the file's axes reversed, of any real type.

    header: what a mask in the same grid is written from. step: of the scale that whole numbers were stored by, 0 for
    none; segments: names that a label file gives its values; decimal: of a label, whether its whole numbers were
    stored as decimals.
    """

    path: Path
    array: npt.NDArray[Any]
    grid: Grid
    header: Any
    notes: list[str] = field(default_factory=list)
    step: float = 0.0
    segments: dict[str, int] = field(default_factory=dict)
    decimal: bool = False


def turned_to(scan: Scan, grid: Grid) -> Scan | None:
    """The scan on the axes of `grid`, where both hold the same points in space; None where they do not.

    Where its axes are the same already, it is returned as it is; else with a note, and without the header of the other
    axes.
    """
    step = same_points(scan.grid, grid)
    if step is None or is_plain(step):
        return None if step is None else scan
    note = (
        f"{scan.path.name}: stored on other axes ({orientation_code(scan.grid)}) than its scan"
        f" ({orientation_code(grid)}), in the same places; turned"
    )
    return replace(
        scan, array=np.ascontiguousarray(step.turn(scan.array)), grid=grid, header=None, notes=[*scan.notes, note]
    )
