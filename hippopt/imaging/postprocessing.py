"""Tidy a finished mask: keep largest parts, remove islands, fill holes."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.postprocessing import Postprocessing
from hippopt.artifacts.triples import box_slices
from hippopt.imaging.arrays import BinaryMask, LabelMask, Whole
from hippopt.imaging.mask_parts import bounding_box, largest_part


def postprocess(
    mask: npt.NDArray[Whole],
    settings: Postprocessing,
    structures: Sequence[Sequence[int]],
    spacing_mm: Sequence[float],
) -> npt.NDArray[Whole]:
    """Tidy a mask as `settings` say.

    Args:
        mask: (Z, Y, X) label values; it is left as it is.
        settings: which parts stay, and whether holes are filled.
        structures: values of the labels of each structure.
        spacing_mm: (z, y, x), of the mask's voxels.

    Returns:
        The tidied mask; the same array where there is nothing to do.
    """
    box = None if settings.nothing else bounding_box(mask != 0)
    if box is None:
        return mask
    where = box_slices(*box)
    tidy = mask.copy()
    part = tidy[where]  # a view: what is changed in it changes in `tidy`
    for values in structures:
        _keep_parts(part, values, settings)
        if settings.islands_below_mm3 is not None:
            voxel_mm3 = math.prod(float(step) for step in spacing_mm)
            part[_islands(np.isin(part, values), settings.islands_below_mm3 / voxel_mm3)] = 0
    if settings.fill_holes:
        for values in structures:
            _fill_holes(part, values, spacing_mm)
    return tidy


def _keep_parts(part: LabelMask, values: Sequence[int], settings: Postprocessing) -> None:
    if settings.keep == "all":
        return
    groups = [values] if settings.keep == "largest of each structure" else [[value] for value in values]
    for group in groups:
        inside = np.isin(part, group)
        if inside.any():
            part[inside & ~largest_part(inside)] = 0


def _islands(inside: BinaryMask, least_voxels: float) -> BinaryMask:
    """The parts of fewer voxels, without the largest part of all."""
    from scipy import ndimage

    parts, count = ndimage.label(inside, np.ones((3, 3, 3)))
    if count < 2:
        return np.zeros_like(inside)
    sizes = np.bincount(parts.ravel())
    small = sizes < least_voxels
    small[0] = False
    small[int(sizes[1:].argmax()) + 1] = False
    return np.asarray(small[parts])


def _fill_holes(part: LabelMask, values: Sequence[int], spacing_mm: Sequence[float]) -> None:
    from scipy import ndimage

    inside = np.isin(part, values)
    holes = ndimage.binary_fill_holes(inside) & (part == 0)
    if holes.any():
        nearest = ndimage.distance_transform_edt(
            ~inside, sampling=list(spacing_mm), return_distances=False, return_indices=True
        )
        part[holes] = part[tuple(nearest)][holes]
