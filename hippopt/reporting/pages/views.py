"""What a page shows of one region: three planes, coronal slices from head to tail, and the volume that can be scrolled
through.

Pictures are neurological, the patient's left on the left; a page turns them round for the radiological view. Sagittal
ones look to the left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.imaging.arrays import BinaryMask, LabelMask
from hippopt.reporting.pages.pictures import Grey, mosaic, outline, picture, runs, to_bytes, window_of
from hippopt.reporting.pages.regions import Region

AXIAL, CORONAL, SAGITTAL = "axial", "coronal", "sagittal"
LETTERS = {AXIAL: "LRAP", CORONAL: "LRSI", SAGITTAL: "APSI"}  # left, right, top, bottom of a neurological picture
PIXEL_MM = 0.6
OVERVIEW_PIXEL_MM = 1.4
STRIP = (0.08, 0.29, 0.5, 0.71, 0.92)  # of the way from the front of the mask to its back
MOST_VOXELS = 190_000  # of a volume to scroll through; larger ones are made coarser
VOLUME_QUALITY = 60
MASK, REFERENCE = "mask", "reference"


@dataclass(frozen=True)
class Outline:
    """kind: `mask` or `reference`; colour: number of the label among all; path: SVG, in half voxels."""

    kind: str
    colour: int
    path: str


@dataclass(frozen=True)
class Tile:
    """One picture with its outlines. rows, columns: voxels; width_mm, height_mm:
    what it covers; marks: columns at which the strip's slices lie.
    """

    plane: str
    image: str
    rows: int
    columns: int
    width_mm: float
    height_mm: float
    outlines: tuple[Outline, ...]
    caption: str = ""
    marks: tuple[int, ...] = ()

    @property
    def letters(self) -> str:
        return LETTERS[self.plane]


@dataclass(frozen=True)
class RegionView:
    """A region's pictures; volume: what the scroller takes, plain data."""

    name: str
    planes: tuple[Tile, ...]
    strip: tuple[Tile, ...]
    volume: dict[str, Any]
    outside: int


@dataclass(frozen=True)
class Picture:
    """A scan to draw. image, masks (by MASK and REFERENCE): (Z, Y,
    X) on RAS axes; colours: label value -> its number, from 1.
    """

    image: npt.NDArray[Any]
    masks: Mapping[str, LabelMask]
    spacing_mm: tuple[float, float, float]
    colours: Mapping[int, int]


def region_view(scan: Picture, region: Region) -> RegionView:
    """Draw one region of a scan."""
    image = scan.image[region.box]
    window = window_of(image)
    grey = to_bytes(image, window)
    masks = {kind: _numbered(mask[region.box], scan.colours) for kind, mask in scan.masks.items()}
    inside = (
        masks[MASK] > 0
        if masks[MASK].any()
        else next((mask > 0 for mask in masks.values() if mask.any()), masks[MASK] > 0)
    )
    z, y, x = (_fullest(inside, axis) for axis in range(3))
    slices = strip_slices(inside)
    marks = tuple(2 * (inside.shape[1] - 1 - index) + 1 for index in slices)
    draw = _Drawing(grey, masks, scan.spacing_mm)
    planes = (draw.tile(SAGITTAL, x, marks=marks), draw.tile(CORONAL, y), draw.tile(AXIAL, z))
    names = ("head", "", "body", "", "tail")
    strip = (
        tuple(draw.tile(CORONAL, index, caption=name) for index, name in zip(slices, names, strict=True))
        if slices
        else ()
    )
    return RegionView(region.name, planes, strip, _volume(grey, masks, scan.spacing_mm, (z, y, x)), region.outside)


def overview(scan: Picture, regions: Sequence[Region]) -> Tile | None:
    """The whole axial slice through the first region's middle, where the regions are a small part of it; else None."""
    if all(
        2 * (part.stop - part.start) > size
        for region in regions
        for part, size in zip(region.box[1:], scan.image.shape[1:], strict=True)
    ):
        return None
    middle = int(np.mean([(region.box[0].start + region.box[0].stop) / 2 for region in regions]))
    plane = scan.image[middle : middle + 1]
    masks = {kind: _numbered(mask[middle : middle + 1], scan.colours) for kind, mask in scan.masks.items()}
    return _Drawing(to_bytes(plane, window_of(plane)), masks, scan.spacing_mm).tile(
        AXIAL, 0, "whole slice", pixel_mm=OVERVIEW_PIXEL_MM
    )


def strip_slices(inside: BinaryMask) -> list[int]:
    """Indices along Y of the strip's coronal slices of a (Z, Y, X) mask, from front to back; none where it is empty."""
    filled = np.flatnonzero(inside.any((0, 2)))
    if filled.size == 0:
        return []
    front, back = int(filled[-1]), int(filled[0])
    return [round(front + share * (back - front)) for share in STRIP]


def _numbered(mask: LabelMask, colours: Mapping[int, int]) -> Grey:
    out = np.zeros(mask.shape, np.uint8)
    for value, number in colours.items():
        out[mask == value] = number
    return out


def _fullest(inside: BinaryMask, axis: int) -> int:
    counts = inside.sum(tuple(other for other in range(3) if other != axis))
    return int(counts.argmax()) if counts.any() else inside.shape[axis] // 2


@dataclass(frozen=True)
class _Drawing:
    """Arrays (Z, Y, X) on RAS axes: grey values, and by kind the numbers of labels."""

    grey: Grey
    masks: Mapping[str, Grey]
    spacing_mm: tuple[float, float, float]

    def tile(
        self, plane: str, index: int, caption: str = "", marks: tuple[int, ...] = (), pixel_mm: float = PIXEL_MM
    ) -> Tile:
        z, y, x = self.spacing_mm
        row_mm, column_mm = {AXIAL: (y, x), CORONAL: (z, x), SAGITTAL: (z, y)}[plane]
        grey = cut_plane(self.grey, plane, index)
        rows, columns = grey.shape
        size = (max(1, round(columns * column_mm / pixel_mm)), max(1, round(rows * row_mm / pixel_mm)))
        outlines = []
        for kind, mask in self.masks.items():
            flat = cut_plane(mask, plane, index)
            outlines += [Outline(kind, int(number), outline(flat == number)) for number in np.unique(flat) if number]
        return Tile(
            plane,
            picture(grey, size),
            rows,
            columns,
            columns * column_mm,
            rows * row_mm,
            tuple(outlines),
            caption,
            marks,
        )


def cut_plane(array: Grey, plane: str, index: int) -> Grey:
    """A (rows, columns) slice of (Z, Y, X) on RAS axes: superior or anterior
    above, left (axial, coronal) or anterior (sagittal) on the left.
    """
    if plane == AXIAL:
        return array[index, ::-1]
    if plane == CORONAL:
        return array[::-1, index]
    return array[::-1, ::-1, index]


def _volume(
    grey: Grey, masks: Mapping[str, Grey], spacing_mm: tuple[float, float, float], at: tuple[int, int, int]
) -> dict[str, Any]:
    """The box as coronal slices from front to back, for the scroller:
    shape, spacing and start in the order (slice, row, column).
    """
    from scipy import ndimage

    step = [1.0, 1.0, 1.0]
    while grey.size / np.prod(step) > MOST_VOXELS:  # the finest axis first
        finest = int(np.argmin(np.multiply(spacing_mm, step)))
        step[finest] *= 1.25
    factors = [1 / value for value in step]
    if max(step) > 1:
        grey = ndimage.zoom(grey, factors, order=1, grid_mode=True, mode="nearest")
        masks = {
            kind: ndimage.zoom(mask, factors, order=0, grid_mode=True, mode="nearest") for kind, mask in masks.items()
        }
    z, y, x = (min(int(index / value), count - 1) for index, value, count in zip(at, step, grey.shape, strict=True))
    spacing = [round(length * value, 4) for length, value in zip(spacing_mm, step, strict=True)]
    sheet, across = mosaic(_front_to_back(grey))
    count, rows, columns = _front_to_back(grey).shape
    return {
        "shape": [count, rows, columns], "spacing": [spacing[1], spacing[0], spacing[2]], "across": across,
        "start": [count - 1 - y, rows - 1 - z, x], "image": picture(sheet, quality=VOLUME_QUALITY),
        **{kind: runs(_front_to_back(mask)) for kind, mask in masks.items()},
    }  # fmt: skip


def _front_to_back(array: Grey) -> Grey:
    return array[::-1, ::-1].transpose(1, 0, 2)
