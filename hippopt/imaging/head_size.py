"""How large the head or the brain in a scan is: a measure to set a structure's volume against.

Without a network there are two honest answers. Where the background is one exact value, the scan was skull-stripped (or
masked), and what is left is measured: for a brain-sized remainder this is the brain with its fluid, as the stripping
left it. Otherwise the head is what is brighter than the background by Otsu's threshold, holes filled layer by layer,
its largest part, down to a fixed depth below the vertex so that a longer neck counts no more. The two are never mixed:
`of` says which it is. A crop shows neither.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.grid import Grid
from hippopt.imaging.arrays import BinaryMask, Image
from hippopt.imaging.background import masked_value
from hippopt.imaging.mask_parts import largest_part
from hippopt.imaging.orientation import ras_triple, to_ras

STEP_MM = 2.0  # voxels are thinned to about this: a volume of litres needs no more
LEAST_FIELD_MM = 100.0  # along each axis: no human brain fits less
LEAST_MM3 = 500_000.0  # less is no whole brain
LARGEST_BRAIN_MM3 = 2_200_000.0  # a masked remainder above it holds a scalp: no brain with its fluid is so large
HEAD_DEPTH_MM = 150.0  # below the vertex: about to the base of the skull
LARGEST_CUT = (
    0.05  # share of a face of the field of view that may be tissue (a nose, an ear); more, and it is cut off there
)


@dataclass(frozen=True)
class HeadSize:
    """of: what was measured; "-" where the scan shows neither a whole head nor a whole brain."""

    volume_mm3: float | None
    of: Literal["brain", "head", "-"]


NOTHING = HeadSize(None, "-")


def head_size(image: npt.NDArray[Any], grid: Grid) -> HeadSize:
    """Of one channel (Z, Y, X) on the file's axes. NaN and Inf count as background."""
    if min(grid.size_mm) < LEAST_FIELD_MM:
        return NOTHING
    spacing = ras_triple(grid.spacing_mm, grid)
    every = [max(1, round(STEP_MM / step)) for step in spacing]
    values = to_ras(image, grid)[:: every[0], :: every[1], :: every[2]].astype(np.float32)
    steps = [count * step for count, step in zip(every, spacing, strict=True)]
    voxel_mm3 = float(np.prod(steps))
    finite = np.isfinite(values)
    values = np.where(finite, values, values[finite].min() if finite.any() else 0)
    masked = _masked_part(values)
    if masked is not None:
        volume = float(_filled(masked).sum()) * voxel_mm3
        if volume <= LARGEST_BRAIN_MM3:
            return _whole(volume, "brain", [*_side_shares(masked), float(masked[-1].mean()), float(masked[0].mean())])
    if values.min() == values.max():
        return NOTHING
    from skimage.filters import threshold_otsu

    # bright fat and single bright voxels, capped, do not raise the threshold above tissue
    bright = values > threshold_otsu(np.minimum(values, np.percentile(values, 99)))
    # filled first: the dark skull may part the scalp from the brain
    inside = largest_part(_filled(bright), over_corners=False)
    top = int(np.flatnonzero(inside.any((1, 2)))[-1])
    layers = round(HEAD_DEPTH_MM / steps[0])
    if top + 1 < layers:  # the field of view ends above the base of the skull
        return NOTHING
    head = inside[top + 1 - layers : top + 1]
    above = float(head[-1].mean()) if top + 1 == len(inside) else 0.0  # of the uppermost face: the vertex is cut off
    return _whole(float(head.sum()) * voxel_mm3, "head", [*_side_shares(head), above])


def _whole(volume_mm3: float, of: Literal["brain", "head"], shares: list[float]) -> HeadSize:
    return HeadSize(round(volume_mm3, 1), of) if volume_mm3 >= LEAST_MM3 and max(shares) <= LARGEST_CUT else NOTHING


def _masked_part(values: Image) -> BinaryMask | None:
    """The largest part that differs from the background, where that is one exact value, as masking makes
    it; else None.
    """
    background = masked_value(values)
    return None if background is None else largest_part(values != background, over_corners=False)


def _filled(inside: BinaryMask) -> BinaryMask:
    """Holes filled layer by layer: in a volume they may be open downwards, through the neck."""
    from scipy import ndimage

    return np.stack([ndimage.binary_fill_holes(layer) for layer in inside])


def _side_shares(inside: BinaryMask) -> list[float]:
    """Share of the faces behind, before, to the left and to the right that is inside."""
    return [float(face.mean()) for face in (inside[:, 0], inside[:, -1], inside[:, :, 0], inside[:, :, -1])]
