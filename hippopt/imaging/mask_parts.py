"""Where the voxels of a mask lie, which of them hang together, and how far two masks are the same."""

import numpy as np

from hippopt.artifacts.triples import Voxels, box_slices
from hippopt.imaging.arrays import BinaryMask, LabelMask


def bounding_box(mask: BinaryMask) -> tuple[Voxels, Voxels] | None:
    """(start, size) of the true voxels of a (Z, Y, X) mask, or None when there are none."""
    starts, sizes = [], []
    for axis in range(3):
        line = np.flatnonzero(mask.any(tuple(other for other in range(3) if other != axis)))
        if line.size == 0:
            return None
        starts.append(int(line[0]))
        sizes.append(int(line[-1] - line[0] + 1))
    return (starts[0], starts[1], starts[2]), (sizes[0], sizes[1], sizes[2])


def around(mask: BinaryMask) -> tuple[slice, slice, slice]:
    """Where the box of the true voxels of a (Z, Y, X) mask lies; of no voxels when there are none."""
    return box_slices(*(bounding_box(mask) or ((0, 0, 0), (0, 0, 0))))


def dice(first: BinaryMask, second: BinaryMask) -> float:
    """Compute 2 |A and B| / (|A| + |B|) of two bool masks (Z, Y, X); 1 where both are empty (Dice 1945)."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2.0 * int(np.count_nonzero(first & second)) / total if total else 1.0


def largest_part(inside: BinaryMask, over_corners: bool = True) -> BinaryMask:
    """(Z, Y, X) bool: the largest part of a mask that is not empty; 26-connected, or only over faces."""
    from scipy import ndimage

    parts, count = ndimage.label(inside, np.ones((3, 3, 3)) if over_corners else None)
    return inside if count < 2 else np.asarray(parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1)


def keep_largest_parts(values: LabelMask) -> None:
    """Leave the largest 26-connected part of each value of a mask (Z, Y, X) but 0, in place."""
    for value in np.unique(values)[np.unique(values) != 0]:
        inside = values == value
        box = around(inside)
        own = inside[box]
        values[box][own & ~largest_part(own)] = 0
