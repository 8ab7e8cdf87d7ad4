"""Resize regular grids by cached matrices.

Resizing a regular grid is linear and separable, so one matrix an axis does it. The matrices are what scikit-image's
`resize(order=..., mode="edge", anti_aliasing=False)` does to unit vectors; three products reproduce it and are many
times faster for the small volumes met here.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.triples import Voxels
from hippopt.imaging.arrays import BinaryMask, ClassMap, Image, Values, class_dtype

NEGLIGIBLE = 1e-7  # weights of a sample in another that single precision does not show
SLAB_VALUES = 1 << 23  # of a resized array that are made at a time
ANISOTROPY_LIMIT = 3.0  # nnU-Net's: beyond it, the coarse axis is resampled apart and by nearest neighbour
AxisWeights = npt.NDArray[np.float32]  # (new, old), of the old samples of an axis in the new ones


@lru_cache(maxsize=256)
def resize_matrix(old: int, new: int, order: int) -> AxisWeights:
    """(new, old) float32: row i holds the weights of the old samples in new sample i. order 0, 1 or 3."""
    from skimage.transform import resize

    identity = np.eye(old, dtype=np.float64)
    # a second axis of the same length is passed through unchanged; mode and order as nnU-Net uses them
    matrix = resize(
        identity, (new, old), order=order, mode="edge", anti_aliasing=False, clip=False, preserve_range=True
    )
    result = np.ascontiguousarray(matrix, dtype=np.float32)
    result.setflags(write=False)
    return result


def resize(array: Values, shape: Voxels, order: int) -> Values:
    """(..., Z, Y, X) -> (..., *shape) float32 by spline order `order` on every axis."""
    return resize_axes(array, shape, (order, order, order))


def resize_axes(array: Values, shape: Voxels, orders: Voxels) -> Values:
    """(..., Z, Y, X) -> (..., *shape) float32, with an order for each axis. Shrinking axes go first, to spare work."""
    array = np.asarray(array, dtype=np.float32)
    for axis in _steps(array.shape[-3:], shape):
        array = _resize_axis(array, axis, shape[axis], orders[axis])
    return np.ascontiguousarray(array)


def box_source(old: int, new: int, order: int, start: int, stop: int) -> tuple[int, int, AxisWeights]:
    """(first, last + 1, (stop - start, last + 1 - first) weights): the old samples that new samples start..stop are
    made of.

    A spline's weights fall off by a factor of about four per sample and never end: those below NEGLIGIBLE are left out.
    """
    if old == new:
        return start, stop, np.eye(stop - start, dtype=np.float32)
    rows = resize_matrix(old, new, order)[start:stop]
    used = np.flatnonzero(np.abs(rows).max(0) > NEGLIGIBLE)
    first, last = int(used[0]), int(used[-1]) + 1
    return first, last, rows[:, first:last]


def apply_weights(
    array: Values | BinaryMask,
    weights: tuple[AxisWeights, AxisWeights, AxisWeights],
) -> Values:
    """(..., Z, Y, X) -> (..., z, y, x) float32 by one (new, old) matrix an axis; shrinking axes go first."""
    array = np.asarray(array, dtype=np.float32)
    lead = array.ndim - 3
    for axis in sorted(range(3), key=lambda index: weights[index].shape[0] / weights[index].shape[1]):
        array = np.moveaxis(np.moveaxis(array, lead + axis, -1) @ weights[axis].T, -1, lead + axis)
    return np.ascontiguousarray(array)


@lru_cache(maxsize=256)
def average_matrix(old: int, new: int) -> AxisWeights:
    """(new, old) float32: each new sample is the mean of the old
    ones over its length, those at its ends by their share.
    """
    from skimage.transform import resize_local_mean

    means = resize_local_mean(np.eye(old), (new, old), preserve_range=True)
    result = np.ascontiguousarray(means, dtype=np.float32)
    result.setflags(write=False)
    return result


def resize_slabs(array: Values, shape: Voxels, order: int) -> Iterator[tuple[tuple[slice, slice, slice], Values]]:
    """`resize` piece by piece, to the last bit: (where in the result, values (..., Z, Y, X) there). Together they cover
    it once.

    Slabs lie across an axis over which the matrix products of the steps that are left only repeat, so that every
    product is the one that the whole array would have.
    """
    array = np.asarray(array, dtype=np.float32)
    steps = _steps(array.shape[-3:], shape)
    across = 1 if steps and steps[-1] == 0 else 0
    ready = len(steps) - 1 if across else (steps.index(0) + 1 if 0 in steps else 0)
    for axis in steps[:ready]:
        array = _resize_axis(array, axis, shape[axis], order)
    lead = array.ndim - 3
    each = max(
        1, SLAB_VALUES * shape[across] // max(1, int(np.prod(array.shape[:lead])) * shape[0] * shape[1] * shape[2])
    )
    for first in range(0, shape[across], each):
        slab = slice(first, min(first + each, shape[across]))
        values = array[(..., *((slab, slice(None), slice(None)) if across == 0 else (slice(None), slab, slice(None))))]
        for axis in steps[ready:]:
            values = _resize_axis(values, axis, shape[axis], order)
        whole = slice(None)
        yield ((slab, whole, whole) if across == 0 else (whole, slab, whole)), values


def _steps(old: tuple[int, ...], new: Voxels) -> list[int]:
    """The axes to resize, in their order."""
    return [axis for axis in sorted(range(3), key=lambda index: new[index] / old[index]) if old[axis] != new[axis]]


def _resize_axis(array: Values, axis: int, size: int, order: int) -> Values:
    place = array.ndim - 3 + axis
    matrix = resize_matrix(array.shape[place], size, order)
    return np.moveaxis(np.moveaxis(array, place, -1) @ matrix.T, -1, place)


def resampled_shape(
    shape: Voxels, spacing_mm: tuple[float, float, float], target_mm: tuple[float, float, float]
) -> Voxels:
    """Shape at the target spacing of the same field of view, at least 1 an axis (nnU-Net's rule)."""
    z, y, x = (max(1, round(n * s / t)) for n, s, t in zip(shape, spacing_mm, target_mm, strict=True))
    return (z, y, x)


def separate_axis(spacing_mm: tuple[float, float, float], target_mm: tuple[float, float, float]) -> int | None:
    """The axis to resample apart: more than ANISOTROPY_LIMIT times coarser than the finest, in the scan or
    the target.
    """
    for spacing in (spacing_mm, target_mm):
        if max(spacing) / min(spacing) > ANISOTROPY_LIMIT and sum(value == max(spacing) for value in spacing) == 1:
            return spacing.index(max(spacing))
    return None


def resample_image(image: Image, shape: Voxels, apart: int | None) -> Image:
    """(C, Z, Y, X) -> (C, *shape): cubic; along the axis resampled apart by nearest neighbour."""
    return resize_axes(image, shape, image_orders(apart))


def image_orders(apart: int | None) -> Voxels:
    """Spline order of each axis of an image."""
    z, y, x = (0 if axis == apart else 3 for axis in range(3))
    return (z, y, x)


def resample_label(label: ClassMap, shape: Voxels, classes: int, apart: int | None) -> ClassMap:
    """(Z, Y, X) class indices -> (*shape) uint8, or uint16 of more than 256 classes: linear on one-hot, then argmax."""
    if label.shape == shape:
        return label.astype(class_dtype(classes))
    onehot = (label[None] == np.arange(classes)[:, None, None, None]).astype(np.float32)
    orders = [0 if axis == apart else 1 for axis in range(3)]
    return resize_axes(onehot, shape, (orders[0], orders[1], orders[2])).argmax(0).astype(class_dtype(classes))
