"""Scans whose axes are tilted against the body's: resampled through their true axes, and results brought back.

Base weights, sides and positions are tied to RAS axes. A tilt of a few degrees is within what training varies;
hippocampal T2 scans are tilted by 20 to 40 degrees, and a network that sees them along their nearest axes sees a turned
structure.
"""

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from hippopt.artifacts.grid import Grid, affine_rows
from hippopt.artifacts.triples import Millimetres
from hippopt.imaging.arrays import ClassMap, Image, LabelMask, Probabilities, Values, class_dtype
from hippopt.imaging.orientation import axis_codes, ras_shape

TILT_DEGREES = 10.0  # beyond it; augmentation turns by 20 degrees and more
EDGE = 1e-4  # of a voxel: what rounding of headers may add to a field of view
SLAB_VALUES = 1 << 22  # of the result that are made at a time

Part = tuple[tuple[slice, ...], Probabilities]  # (where in a crop, probabilities (L, Z, Y, X) there)


def tilt_degrees(grid: Grid) -> float:
    """The angle of the rotation that brings the grid's axes onto the RAS axes nearest to them."""
    matrix = np.array([row[:3] for row in grid.affine[:3]])
    nearest = np.zeros((3, 3))
    for column, (world, sign) in enumerate(axis_codes(grid)):
        nearest[world, column] = sign
    turned = (matrix / np.linalg.norm(matrix, axis=0)) @ nearest.T
    return math.degrees(math.acos(min(1.0, max(-1.0, (float(np.trace(turned)) - 1) / 2))))


def straight_grid(grid: Grid, spacing_mm: Millimetres) -> Grid:
    """The grid on RAS axes at `spacing_mm` (Z, Y, X) that covers the whole field of view of `grid`, around
    its middle.
    """
    affine = np.array(grid.affine)
    edges = np.array([(*corner, 1) for corner in itertools.product(*((-0.5, size - 0.5) for size in grid.shape[::-1]))])
    places = (edges @ affine.T)[:, :3]
    low, high, steps = places.min(0), places.max(0), np.array(spacing_mm[::-1])
    counts = np.maximum(1, np.ceil((high - low) / steps - EDGE)).astype(int)
    straight = np.diag([*steps, 1.0])
    straight[:3, 3] = (low + high) / 2 - steps * (counts - 1) / 2
    return Grid(shape=(int(counts[2]), int(counts[1]), int(counts[0])), affine=affine_rows(straight))


def straight_for(grid: Grid, spacing_mm: Millimetres, beyond_degrees: float | None) -> Grid | None:
    """`straight_grid` for a grid that is tilted by more than `beyond_degrees` (None: never); else None."""
    return (
        straight_grid(grid, spacing_mm) if beyond_degrees is not None and tilt_degrees(grid) > beyond_degrees else None
    )


def straightened_image(image: Image, grid: Grid, straight: Grid, zeros_matter: bool) -> Image:
    """image: (C, Z, Y, X) on the file's axes -> (C, *straight.shape) float32, by cubic splines; beyond the edges as at
    them.

    zeros_matter: what is nearest to a voxel of 0 in every channel is 0 again, which splines would blur.
    """
    result = np.stack(
        [_resampled(values.astype(np.float32, copy=False), grid, straight, order=3, mode="nearest") for values in image]
    )
    if zeros_matter:
        held = (image != 0).any(0)
        if not held.all():
            result[:, _resampled(held.astype(np.float32), grid, straight, order=0, mode="nearest") == 0] = 0
    return result


def straightened_label(classes: LabelMask, grid: Grid, straight: Grid, count: int) -> ClassMap:
    """classes: (Z, Y, X) class indices on the file's axes -> (*straight.shape),
    uint8 or uint16: linear on one-hot, then argmax; 0 outside.
    """
    best = np.full(straight.shape, 0.0, np.float32)
    result = np.zeros(straight.shape, class_dtype(count))
    background = np.ones(straight.shape, np.float32)
    for index in range(1, count):
        share = _resampled((classes == index).astype(np.float32), grid, straight, order=1, mode="constant")
        background -= share
        result[share > best] = index
        best = np.maximum(best, share)
    result[background >= best] = 0
    return result


def tilted_parts(
    parts: Iterable[Part], crop: tuple[slice, slice, slice], straight: Grid, grid: Grid, classes: int
) -> Iterator[Part]:
    """Probabilities (L, Z, Y, X) over a crop of the straight grid, piece by piece -> slabs (L, z, Y, X) over the scan's
    own voxels, on its nearest RAS axes, linearly.

    Beyond the crop all is background.
    """
    size = tuple(part.stop - part.start for part in crop)
    foreground = np.zeros((classes - 1, *size), np.float32)
    for where, values in parts:
        foreground[(slice(None), *where)] = values[1:]
    own = nearest_grid(grid)
    origin = np.array(straight.affine)
    origin[:3, 3] = (origin @ [crop[2].start, crop[1].start, crop[0].start, 1])[:3]
    cropped = Grid(shape=(size[0], size[1], size[2]), affine=affine_rows(origin))
    depth = max(1, SLAB_VALUES // (own.shape[1] * own.shape[2] * classes))
    for first in range(0, own.shape[0], depth):
        slab_affine = np.array(own.affine)
        slab_affine[:3, 3] += first * slab_affine[:3, 2]
        count = min(depth, own.shape[0] - first)
        slab = Grid(shape=(count, own.shape[1], own.shape[2]), affine=affine_rows(slab_affine))
        found = np.stack([_resampled(values, cropped, slab, order=1, mode="constant") for values in foreground])
        background = np.clip(1 - found.sum(0, keepdims=True), 0, 1)
        yield (slice(first, first + count), slice(None), slice(None)), np.concatenate([background, found])


def nearest_grid(grid: Grid) -> Grid:
    """The grid of `to_ras(array, grid)`: the same voxels, stored along their nearest RAS axes."""
    affine = np.array(grid.affine)
    result = np.eye(4)
    origin = affine[:3, 3].copy()
    for column, (world, sign) in enumerate(axis_codes(grid)):
        result[:3, world] = sign * affine[:3, column]
        if sign < 0:
            origin += (grid.shape[2 - column] - 1) * affine[:3, column]
    result[:3, 3] = origin
    return Grid(shape=ras_shape(grid), affine=affine_rows(result))


def _resampled(array: Values, source: Grid, target: Grid, order: int, mode: str) -> Values:
    """(Z, Y, X) float32 on `source` at the voxels of `target`."""
    from scipy import ndimage

    step = np.linalg.solve(np.array(source.affine), np.array(target.affine))  # target voxel (x, y, z) -> source voxel
    found = ndimage.affine_transform(
        array,
        step[:3, :3][::-1, ::-1],
        step[:3, 3][::-1],
        target.shape,
        np.float32,
        order=order,
        mode=mode,
        prefilter=order > 1,
    )
    return np.asarray(found, np.float32)
