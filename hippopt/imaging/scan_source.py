"""A scan as a source of parts: a coarse whole, and boxes at the target spacing, without the whole ever being resampled
there.

The parts agree with what `prepare` makes of the whole scan to rounding.
"""

from functools import cached_property

import msgspec
import numpy as np

from hippopt.artifacts.grid import Grid
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.properties import CaseProperties
from hippopt.artifacts.triples import Voxels
from hippopt.imaging.arrays import BinaryMask, Image, Probabilities
from hippopt.imaging.background import with_zero_background
from hippopt.imaging.preparation import (
    PIECE,
    IntensityScale,
    crop_window,
    measure,
    on_ras_axes,
    prepare,
    properties_of,
    scaled,
)
from hippopt.imaging.resampling import (
    apply_weights,
    average_matrix,
    box_source,
    image_orders,
    resampled_shape,
    resize_matrix,
    separate_axis,
)

Slices = tuple[slice, slice, slice]


def coarse_shape(shape: Voxels, spacing_mm: tuple[float, float, float], coarse_mm: float) -> Voxels:
    """Shape at an isotropic spacing of about `coarse_mm`, over the same field of view."""
    return resampled_shape(shape, spacing_mm, (coarse_mm, coarse_mm, coarse_mm))


def coarsen(array: Image | BinaryMask, shape: Voxels) -> Image:
    """(..., Z, Y, X) -> (..., *shape) float32: means over the new voxels."""
    old = array.shape[-3:]
    z, y, x = (average_matrix(before, after) for before, after in zip(old, shape, strict=True))
    return apply_weights(array, (z, y, x))


class ScanSource:
    """image: (C, Z, Y, X) on the file's axes, as read. Raises nothing: checks are the caller's."""

    def __init__(self, image: Image, grid: Grid, plan: Plan) -> None:
        self.image, self.grid, self.plan = with_zero_background(image, plan)[0], grid, plan
        self.ras, straight, self._own_scales = on_ras_axes(self.image, grid, plan)
        self.properties: CaseProperties = properties_of(self.ras, grid, plan, straight)
        self.cropped = self.ras[(slice(None), *crop_window(self.properties))]

    @cached_property
    def scales(self) -> list[IntensityScale]:
        """How each channel is normalised."""
        return self._own_scales or [measure(values, self.plan.normalisation) for values in self.cropped]

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Field of view after the crop."""
        z, y, x = (
            count * step for count, step in zip(self.properties.crop_shape, self.properties.ras_spacing_mm, strict=True)
        )
        return (z, y, x)

    def normalised(self, part: Slices) -> Image:
        """(C, z, y, x) float32: a part of the cropped scan at its own spacing."""
        settings = self.plan.normalisation
        return np.stack(
            [scaled(values[part], scale, settings) for values, scale in zip(self.cropped, self.scales, strict=True)]
        )

    def coarse(self, coarse_mm: float) -> Image:
        """(C, z, y, x) float32: the normalised scan as means over voxels of about `coarse_mm`. Slab by slab."""
        old = self.properties.crop_shape
        new = coarse_shape(old, self.properties.ras_spacing_mm, coarse_mm)
        rows = average_matrix(old[0], new[0])
        total = np.zeros((len(self.cropped), *new), np.float32)
        step = max(1, PIECE // (old[1] * old[2]))
        for first in range(0, old[0], step):
            stop = min(first + step, old[0])
            slab = coarsen(
                self.normalised((slice(first, stop), slice(None), slice(None))), (stop - first, new[1], new[2])
            )
            touched = np.flatnonzero(rows[:, first:stop].any(1))
            total[:, touched] += np.einsum("ij,cjyx->ciyx", rows[touched, first:stop], slab)
        return total

    def box(self, start: Voxels, size: Voxels) -> Image:
        """(C, *size) float32: a box of the prepared image, zeros outside it."""
        out = np.zeros((len(self.cropped), *size), np.float32)
        orders = image_orders(separate_axis(self.properties.ras_spacing_mm, self.plan.target_spacing_mm))
        parts, weights, target = [], [], []
        for axis in range(3):
            old, new = self.properties.crop_shape[axis], self.properties.prepared_shape[axis]
            begin, end = max(start[axis], 0), min(start[axis] + size[axis], new)
            if begin >= end:
                return out
            first, last, rows = box_source(old, new, orders[axis], begin, end)
            parts.append(slice(first, last))
            weights.append(rows)
            target.append(slice(begin - start[axis], end - start[axis]))
        image = self.normalised((parts[0], parts[1], parts[2]))
        out[:, target[0], target[1], target[2]] = apply_weights(image, (weights[0], weights[1], weights[2]))
        return out

    def whole(self) -> Image:
        """(C, Z, Y, X) float32: the whole prepared image."""
        return prepare(self.image, self.grid, self.plan).image


def restore_box(
    probabilities: Probabilities, start: Voxels, properties: CaseProperties
) -> tuple[Probabilities, CaseProperties]:
    """Class probabilities (L, z, y, x) of a box of the prepared image that begins at `start`, all else being
    background, -> (the same at the scan's spacing, properties whose crop is the box there).

    What `restore_probabilities` gives for the whole image is the same to rounding in this box, and background outside
    it.
    """
    weights, first_voxels, sizes = [], [], []
    for axis in range(3):
        new, old = properties.prepared_shape[axis], properties.crop_shape[axis]
        begin, end = max(start[axis], 0), min(start[axis] + probabilities.shape[1 + axis], new)
        columns = (np.eye(old, dtype=np.float32) if old == new else resize_matrix(new, old, 1))[:, begin:end]
        used = np.flatnonzero(columns.any(1))
        if not len(used):  # a box between two voxels of a coarser scan reaches none of them: one, which gets nothing
            used = np.array([min(begin * old // new, old - 1)])
        weights.append(columns[used[0] : used[-1] + 1])
        first_voxels.append(properties.crop_start[axis] + int(used[0]))
        sizes.append(len(weights[-1]))
    inside = tuple(slice(max(-first, 0), max(-first, 0) + w.shape[1]) for first, w in zip(start, weights, strict=True))
    foreground = apply_weights(probabilities[(slice(1, None), *inside)], (weights[0], weights[1], weights[2]))
    background = np.clip(1 - foreground.sum(0, keepdims=True), 0, 1)
    within = msgspec.structs.replace(
        properties,
        crop_start=(first_voxels[0], first_voxels[1], first_voxels[2]),
        crop_shape=(sizes[0], sizes[1], sizes[2]),
    )
    return np.concatenate([background, foreground]), within
