"""Cross-sections of a structure along an axis: what tells, slice by slice, where one of its parts ends.

The head of a hippocampus ends where the uncus does: the cross-section falls within a few slices, by a third or more. A
network of few training cases sees the texture of a slice, but hardly how large it is beside its neighbours ten
millimetres away.
"""

import numpy as np

from hippopt.imaging.arrays import BinaryMask, ClassMap, Numbers

NEIGHBOURS_MM = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)
FEATURES = 2 * len(NEIGHBOURS_MM) + 2


def slice_features(inside: BinaryMask, axis: int, spacing_mm: float) -> tuple[Numbers, int]:
    """((N, FEATURES), first slice) of a mask (Z, Y, X) that is not empty; spacing_mm: along the axis.

    Of the N slices from the structure's first to its last: log area and log thickness (the longest line of voxels along
    the first of the other axes), each over its median, here and at NEIGHBOURS_MM; the place within the structure, from
    0 to 1 and in mm from its end.
    """
    lines = np.moveaxis(inside, axis, 0)
    area = lines.sum((1, 2))
    first, last = np.flatnonzero(area)[[0, -1]]
    thickness = lines.sum(1).max(1)
    count = int(last - first) + 1
    place = np.arange(count)
    columns = []
    for values in (area, thickness):
        own = values[first : last + 1].astype(float)
        own = np.log(np.maximum(own, 1) / np.median(own[own > 0]))
        columns += [own[np.clip(place + round(mm / spacing_mm), 0, count - 1)] for mm in NEIGHBOURS_MM]
    columns += [(place + 0.5) / count, (count - place) * spacing_mm]
    return np.stack(columns, 1), int(first)


def best_borders(classes: ClassMap, axis: int, order: tuple[int, ...]) -> tuple[tuple[int, ...], float]:
    """(where each part after the first begins along the axis, share of the voxels on the wrong side) of a label map (Z,
    Y, X).

    order: classes by rising coordinate. Each border misplaces as few voxels as a plane can, those of all parts before
    it against those after.
    """
    others = tuple(other for other in range(3) if other != axis)
    counts = np.stack([(classes == value).sum(others) for value in order])
    starts, wrong = [], 0
    for border in range(1, len(order)):
        before = np.concatenate([[0], np.cumsum(counts[:border].sum(0))])
        beyond = np.concatenate([[0], np.cumsum(counts[border:].sum(0))])
        misplaced = beyond + before[-1] - before
        starts.append(int(misplaced.argmin()))
        wrong += int(misplaced.min())
    return tuple(starts), wrong / max(1, int(counts.sum()))
