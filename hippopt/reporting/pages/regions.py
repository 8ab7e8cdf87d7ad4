"""Where to look in a scan: the box around each side's structure, on RAS axes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hippopt.artifacts.regions import LEFT, RIGHT
from hippopt.artifacts.triples import Voxels, box_slices
from hippopt.imaging.arrays import BinaryMask, LabelMask
from hippopt.imaging.mask_parts import bounding_box, largest_part

MARGIN_MM = 9.0
APART_MM = 60.0  # a hippocampus is 45 mm long at most: what is wider from left to right is both


@dataclass(frozen=True)
class Region:
    """One structure to look at. name: `left`, `right` or ``; box: slices of
    the (Z, Y, X) array; outside: voxels of the mask beyond the box.
    """

    name: str
    values: tuple[int, ...]
    box: tuple[slice, slice, slice]
    outside: int

    @property
    def shape(self) -> Voxels:
        z, y, x = (part.stop - part.start for part in self.box)
        return z, y, x


def find_regions(mask: LabelMask, spacing_mm: tuple[float, float, float], sides: Mapping[int, str]) -> list[Region]:
    """The regions of a mask, left before right; where it is empty, the middle of the scan.

    Args:
        mask: (Z, Y, X) label values on RAS axes, whole numbers from 0.
        spacing_mm: of its axes (Z, Y, X).
        sides: label value -> `left` or `right`, for labels that have a side.
    """
    # faster than unique on whole brains
    values = [int(value) for value in np.flatnonzero(np.bincount(mask.ravel())) if value]
    found = []
    for side in (LEFT, RIGHT):
        own = tuple(value for value in values if sides.get(value) == side)
        if own:
            found.append(_region(side, own, np.isin(mask, own), spacing_mm))
    both = tuple(value for value in values if value not in sides)
    if both:
        found += _unsided(both, np.isin(mask, both), spacing_mm)
    return found or [Region("", (), _middle(mask.shape, spacing_mm), 0)]


def _unsided(values: tuple[int, ...], inside: BinaryMask, spacing_mm: tuple[float, float, float]) -> list[Region]:
    box = bounding_box(inside)
    assert box is not None
    (_, _, first), (_, _, count) = box
    if count * spacing_mm[2] < APART_MM:
        return [_region("", values, inside, spacing_mm)]
    middle = first + count // 2
    halves = []
    for side, half in ((LEFT, slice(0, middle)), (RIGHT, slice(middle, None))):
        part = np.zeros_like(inside)
        part[..., half] = inside[..., half]
        if part.any():
            halves.append(_region(side, values, part, spacing_mm))
    return halves


def _region(name: str, values: tuple[int, ...], inside: BinaryMask, spacing_mm: tuple[float, float, float]) -> Region:
    whole = bounding_box(inside)
    assert whole is not None
    around = box_slices(*whole)
    main = bounding_box(largest_part(inside[around]))
    assert main is not None
    slices = []
    for (first, count), offset, size, step in zip(
        zip(*main, strict=True), whole[0], inside.shape, spacing_mm, strict=True
    ):
        margin = max(2, round(MARGIN_MM / step))
        slices.append(slice(max(0, offset + first - margin), min(size, offset + first + count + margin)))
    box = (slices[0], slices[1], slices[2])
    return Region(name, values, box, int(np.count_nonzero(inside)) - int(np.count_nonzero(inside[box])))


def _middle(
    shape: tuple[int, ...], spacing_mm: tuple[float, float, float], size_mm: float = 120.0
) -> tuple[slice, slice, slice]:
    slices = []
    for size, step in zip(shape, spacing_mm, strict=True):
        half = min(size, max(4, round(size_mm / step))) / 2
        slices.append(slice(max(0, int(size / 2 - half)), min(size, int(np.ceil(size / 2 + half)))))
    return slices[0], slices[1], slices[2]
