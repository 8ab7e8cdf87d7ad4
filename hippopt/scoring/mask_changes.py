"""What a person changed in a mask: voxels and Dice of each label, before and after."""

from collections.abc import Mapping

import numpy as np

from hippopt.imaging.arrays import LabelMask
from hippopt.imaging.mask_parts import dice


def mask_changes(
    before: LabelMask | None, after: LabelMask, labels: Mapping[str, int]
) -> tuple[dict[str, tuple[int | None, int]], dict[str, float] | None]:
    """Compare a mask with the one from before its correction.

    Args:
        before: the earlier mask (Z, Y, X); None where there is none, and then nothing is known of before.
        after: the corrected mask, in the same grid.
        labels: name -> value in both.

    Returns:
        ({label: voxels before and after}, {label: Dice of the two}).
    """
    counts = {name: int(np.count_nonzero(after == value)) for name, value in labels.items()}
    if before is None:
        return {name: (None, count) for name, count in counts.items()}, None
    pairs = {name: (before == value, after == value) for name, value in labels.items()}
    return (
        {name: (int(np.count_nonzero(pairs[name][0])), count) for name, count in counts.items()},
        {name: dice(*pair) for name, pair in pairs.items()},
    )
