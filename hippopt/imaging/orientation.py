"""Bring arrays to RAS axes and back, by flips and transposes only (an oblique scan goes to its nearest axes).

The letter code of a grid names where its file axes (x, y, z) point: RAS, LPS, PIR, ...
"""

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.grid import Grid
from hippopt.imaging.arrays import Scalar

AXIS_INDEX = {"z": 0, "y": 1, "x": 2}  # of arrays (Z, Y, X)


def axis_codes(grid: Grid) -> tuple[tuple[int, int], ...]:
    """For each file axis (x, y, z): the RAS axis (0, 1, 2) nearest to it and the sign of its direction.

    Each RAS axis is taken once: the clearest match first, so that oblique grids cannot name one twice.
    """
    matrix = np.array([row[:3] for row in grid.affine[:3]])
    cosines = matrix / np.linalg.norm(matrix, axis=0)
    codes: dict[int, tuple[int, int]] = {}
    weights = np.abs(cosines)
    for _ in range(3):
        world, column = np.unravel_index(np.argmax(weights), weights.shape)
        codes[int(column)] = (int(world), 1 if cosines[world, column] > 0 else -1)
        weights[world, :] = -1
        weights[:, column] = -1
    return tuple(codes[column] for column in range(3))


def orientation_code(grid: Grid) -> str:
    """Three letters, such as RAS."""
    return "".join(("LR", "PA", "IS")[world][(sign + 1) // 2] for world, sign in axis_codes(grid))


def to_ras(array: npt.NDArray[Scalar], grid: Grid) -> npt.NDArray[Scalar]:
    """(..., Z, Y, X) in the file's order -> (..., Z, Y, X) on RAS axes. A view where possible."""
    codes = axis_codes(grid)
    lead = array.ndim - 3
    flips = tuple(lead + 2 - column for column in range(3) if codes[column][1] < 0)
    array = np.flip(array, flips) if flips else array
    source = {world: lead + 2 - column for column, (world, _) in enumerate(codes)}
    return array.transpose(*range(lead), source[2], source[1], source[0])


def from_ras(array: npt.NDArray[Scalar], grid: Grid) -> npt.NDArray[Scalar]:
    """(..., Z, Y, X) on RAS axes -> (..., Z, Y, X) in the file's order: the inverse of `to_ras` for the same grid."""
    codes = axis_codes(grid)
    lead = array.ndim - 3
    array = array.transpose(*range(lead), *(lead + 2 - codes[column][0] for column in (2, 1, 0)))
    flips = tuple(lead + 2 - column for column in range(3) if codes[column][1] < 0)
    return np.flip(array, flips) if flips else array


def ras_triple(values: tuple[float, float, float], grid: Grid) -> tuple[float, float, float]:
    """Reorder a (Z, Y, X) triple of the file's axes, such as a spacing, to RAS axes."""
    by_world = {world: values[2 - column] for column, (world, _) in enumerate(axis_codes(grid))}
    return (by_world[2], by_world[1], by_world[0])


def ras_shape(grid: Grid) -> tuple[int, int, int]:
    """(Z, Y, X) voxels on RAS axes."""
    z, y, x = ras_triple(grid.shape, grid)
    return (int(z), int(y), int(x))
