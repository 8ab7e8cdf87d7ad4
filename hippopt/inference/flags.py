"""Flags: what is odd about a mask, in words that stand in volumes.tsv.
Limits come from the training scans, never from a book.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hippopt.artifacts.cohort import Cohort
from hippopt.artifacts.regions import LEFT, RIGHT
from hippopt.imaging.arrays import BinaryMask

CONSTANT, UNLIKE, EMPTY = "constant image", "unlike training", "empty"
CORRECT = "correct first"  # of the whole table, not of the mask: correct_first.py
SEEN = "seen in training"  # a mask of such a scan is better than that of a new one
NOT_LOCATED, OTHER_SIDE = "not located", "side in doubt"
NO_SIDE = {LEFT: "no left side", RIGHT: "no right side"}
LOCATING = (NOT_LOCATED, *NO_SIDE.values(), OTHER_SIDE)  # no mask tells these by itself
AT_EDGE, PARTS, VOLUME, ASYMMETRY = "at edge", "several parts", "volume unusual", "asymmetry unusual"


def touches_edge(inside: BinaryMask) -> bool:
    """Whether a mask (Z, Y, X) reaches the first or last voxel of its array along any axis.

    What lies beyond the edge was not seen, so that a structure which reaches it may be cut off.
    """
    return any(bool(np.take(inside, index, axis).any()) for axis in range(3) for index in (0, -1) if inside.shape[axis])


def label_flags(
    label: str, volume_mm3: float, parts: int, at_edge: bool, sides: Mapping[str, str], cohort: Cohort | None
) -> list[str]:
    """Flags of one label by itself. sides: label -> side.

    A label of one side has one part; another what is usual in training.
    """
    if volume_mm3 == 0:
        return [EMPTY]
    usual_parts = 1 if label in sides else cohort.parts.get(label) if cohort else None
    volumes = cohort.volumes.get(label) if cohort else None
    found = [
        (AT_EDGE, at_edge),
        (PARTS, usual_parts is not None and parts > usual_parts),
        (VOLUME, volumes is not None and volumes.unusual_volume(volume_mm3)),
    ]
    return [flag for flag, odd in found if odd]


def asymmetry_flags(pair: Sequence[str], asymmetry_percent: float | None, cohort: Cohort | None) -> list[str]:
    """Flags of both labels of a (left, right) pair."""
    usual = cohort.asymmetry.get(pair[0]) if cohort else None
    return (
        [ASYMMETRY] if asymmetry_percent is not None and usual is not None and usual.unusual(asymmetry_percent) else []
    )
