"""Bring the background of a masked scan to 0, by which plans of skull-stripped scans tell it.

Some programs leave another value there, as a shift or a z-score of the whole image does. Cubic, spline and sinc
interpolation overshoot at the brain's edge and leave values a little above and below zero. A rule by `!= 0` then takes
the background, or a part of it, for tissue.
"""

import numpy as np

from hippopt.artifacts.plan import Plan
from hippopt.imaging.arrays import Image

# of the high values: what is below is background; .1 gives the same Dice within .004, .02 is .006 to .012 worse
LOW_SHARE = 0.05
OVERSHOOT = 0.3  # of the high values: where one voxel in a hundred is further below zero, negative values are meant
HIGH = 99.5  # percentile of the voxels that are not 0
LEAST_BACKGROUND = 0.15  # share of voxels of one exact value that only masking makes
LEAST_OF_FACES = 0.5  # share of the outer faces that have this value


def with_zero_background(image: Image, plan: Plan) -> tuple[Image, list[str]]:
    """Bring the background to 0 where another value, or ringing, stands there.

    Args:
        image: (C, Z, Y, X) without NaN and Inf.
        plan: only plans that tell the background by its zeros change anything.

    Returns:
        The image, the same array where nothing is to be done, and what is to be reported of it. A channel is shifted
        where its lowest value is the background's, else cleaned where it has negative values near 0.
    """
    if plan.crop != "nonzero" and plan.normalisation.region != "nonzero":
        return image, []
    shifts = [_shift(values) for values in image]
    limits = [_limit(values) if shift is None else None for values, shift in zip(image, shifts, strict=True)]
    if all(found is None for found in (*shifts, *limits)):
        return image, []
    cleaned = np.array(image)
    notes = []
    for values, shift, limit in zip(cleaned, shifts, limits, strict=True):
        if shift is not None:
            values -= values.dtype.type(shift)
            notes.append(f"the background has the value {shift:g} and not 0; all values are read relative to it")
        elif limit is not None:
            values[values <= limit] = 0
            notes.append(
                "values a little below 0, as interpolation leaves them around a stripped brain; what is near 0 is read"
                " as background"
            )
    return cleaned, list(dict.fromkeys(notes))


def masked_value(values: Image) -> float | None:
    """The value of the background of (Z, Y, X), where it is one exact value as masking makes it; None elsewhere."""
    faces = np.concatenate([np.take(values, index, axis).ravel() for axis in range(3) for index in (0, -1)])
    found, counts = np.unique(faces, return_counts=True)
    value = found[counts.argmax()]
    if counts.max() <= LEAST_OF_FACES * faces.size:
        return None
    share = float((values == value).mean())
    return float(value) if LEAST_BACKGROUND <= share < 1 else None


def _shift(values: Image) -> float | None:
    """What stands in the background of a channel instead of 0; None where nothing does, or it is not the lowest."""
    lowest = float(values.min())
    return lowest if lowest != 0 and masked_value(values) == lowest else None


def _limit(values: Image) -> float | None:
    """Up to where the values of a channel are background that rings; None where it does not."""
    if values.min() >= 0:
        return None
    low, high = np.percentile(values[values != 0], (1, HIGH), overwrite_input=True)
    return LOW_SHARE * float(high) if high > 0 and low > -OVERSHOOT * high else None
