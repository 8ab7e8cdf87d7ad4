"""Whether two grids hold the same points in space, stored on other axes, and how arrays go from one to the other.

Programs store a label on axes of their own (3D Slicer, ITK-SNAP, fslreorient2std): other signs, another order, the same
places.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.grid import Grid
from hippopt.imaging.arrays import Scalar

TOLERANCE_MM = 1e-3  # per voxel of the longest axis: what rounding of headers makes
LEAST_MM = 1e-2
SHARE_OF_VOXEL = 0.25  # points further apart than this share of the smallest voxel side are not the same


@dataclass(frozen=True)
class LatticeStep:
    """From the voxels of one grid to those of another that hold the same points. Axes are those of arrays (Z, Y, X).

    order: the source axis that becomes each target axis; flipped: target axes that run the other way; start: where the
    source's first voxel, once turned, lies in the target, which need not hold it; size: of the source, once turned.
    """

    order: tuple[int, int, int]
    flipped: tuple[int, ...]
    start: tuple[int, int, int]
    size: tuple[int, int, int]

    def turn(self, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """(Z, Y, X) on the source's axes -> on the target's. A view."""
        turned = array.transpose(self.order)
        return np.flip(turned, self.flipped) if self.flipped else turned


def tolerance_mm(grid: Grid) -> float:
    """How far apart points of this grid and of another may lie that are the same but for rounding."""
    return min(max(LEAST_MM, TOLERANCE_MM * max(grid.shape)), SHARE_OF_VOXEL * min(grid.spacing_mm))


def lattice_step(source: Grid, target: Grid) -> LatticeStep | None:
    """How the voxels of `source` lie on the lattice of `target`,
    whatever the extents; None where they lie between its points.
    """
    inner, outer = np.array(source.affine), np.array(target.affine)
    matrix = np.linalg.solve(outer, inner)
    snapped = np.eye(4)
    snapped[:3] = np.rint(matrix[:3])
    turned = snapped[:3, :3]
    if not (np.abs(turned).sum(0) == 1).all() or not (np.abs(turned).sum(1) == 1).all():
        return None
    corners = np.array(
        [(*corner, 1) for corner in itertools.product(*((0, size - 1) for size in source.shape[::-1]))]
    ).T
    apart = np.linalg.norm(((outer @ snapped - inner) @ corners)[:3], axis=0)
    if apart.max() > tolerance_mm(source):
        return None
    order, flipped, start, size = [], [], [], []
    for axis in range(3):  # of the target's array; its world order is reversed
        row = turned[2 - axis]
        column = int(np.flatnonzero(row)[0])
        length = source.shape[2 - column]
        order.append(2 - column)
        size.append(length)
        if row[column] < 0:
            flipped.append(axis)
        start.append(int(snapped[2 - axis, 3]) - (length - 1 if row[column] < 0 else 0))
    return LatticeStep(
        (order[0], order[1], order[2]), tuple(flipped), (start[0], start[1], start[2]), (size[0], size[1], size[2])
    )


def same_points(source: Grid, target: Grid) -> LatticeStep | None:
    """`lattice_step` where both grids hold the same points, no more and no fewer; else None."""
    step = lattice_step(source, target)
    return step if step is not None and step.start == (0, 0, 0) and step.size == target.shape else None


def is_plain(step: LatticeStep) -> bool:
    """Whether the axes are the same, and nothing is to be turned."""
    return step.order == (0, 1, 2) and not step.flipped


def placed(array: npt.NDArray[Scalar], step: LatticeStep, target: Grid) -> npt.NDArray[Scalar]:
    """(Z, Y, X) of a cut extent -> over the whole target, zeros elsewhere. What lies outside the target is left out."""
    full = np.zeros(target.shape, array.dtype)
    inside, part = [], []
    for first, count, whole in zip(step.start, step.size, target.shape, strict=True):
        begin, end = max(first, 0), min(first + count, whole)
        if begin >= end:
            return full
        inside.append(slice(begin, end))
        part.append(slice(begin - first, end - first))
    full[tuple(inside)] = step.turn(array)[tuple(part)]
    return full
