"""What interpolation leaves around a skull-stripped brain: values a little above and below the zero that was there.

Cubic, spline and sinc interpolation overshoot at the brain's edge. A rule by `!= 0` then takes part of the background
for tissue.
"""

import numpy as np

from hippopt.artifacts.plan import Plan
from hippopt.imaging.arrays import Image

# of the high values: what is below is background; .1 gives the same Dice within .004, .02 is .006 to .012 worse
LOW_SHARE = 0.05
OVERSHOOT = 0.3  # of the high values: where one voxel in a hundred is further below zero, negative values are meant
HIGH = 99.5  # percentile of the voxels that are not 0


def without_ringing(image: Image, plan: Plan) -> tuple[Image, bool]:
    """((C, Z, Y, X) with the background back at 0, whether anything was changed).

    Only under plans that tell the background by its zeros, and only of channels with negative values near 0; others
    stay as they are.
    """
    if plan.crop != "nonzero" and plan.normalisation.region != "nonzero":
        return image, False
    limits = [_limit(values) for values in image]
    if all(limit is None for limit in limits):
        return image, False
    cleaned = np.array(image)
    for values, limit in zip(cleaned, limits, strict=True):
        if limit is not None:
            values[values <= limit] = 0
    return cleaned, True


def _limit(values: Image) -> float | None:
    """Up to where the values of a channel are background that rings; None where it does not."""
    if values.min() >= 0:
        return None
    low, high = np.percentile(values[values != 0], (1, HIGH), overwrite_input=True)
    return LOW_SHARE * float(high) if high > 0 and low > -OVERSHOOT * high else None
