"""How far two measurements of a volume agree: limits of agreement,
and the intraclass correlation of single measurements.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.imaging.arrays import Numbers

if TYPE_CHECKING:
    import pandas as pd

LIMITS = 1.96  # standard deviations: 95 % of normal differences


@dataclass(frozen=True)
class Agreement:
    """Bland and Altman's figures (1986) of pairs: differences are measured - reference, in the units given.

    low, high: limits of agreement, bias ± 1.96 standard deviations of the differences; NaN with fewer than two pairs.
    icc: ICC(2,1).
    """

    bias: float
    low: float
    high: float
    icc: float
    pairs: int


def agreement(measured: Sequence[float] | Numbers, reference: Sequence[float] | Numbers) -> Agreement:
    """Compare two measurements of the same targets.

    Args:
        measured: one value a target.
        reference: as many, in the same order; pairs with a value that is not finite are left out.

    Raises:
        ValueError: the rows differ in length.
    """
    pairs = np.column_stack([np.asarray(measured, dtype=float), np.asarray(reference, dtype=float)])
    pairs = pairs[np.isfinite(pairs).all(1)]
    if not len(pairs):
        return Agreement(math.nan, math.nan, math.nan, math.nan, 0)
    difference = pairs[:, 0] - pairs[:, 1]
    bias = float(difference.mean())
    reach = LIMITS * float(difference.std(ddof=1)) if len(pairs) > 1 else math.nan
    return Agreement(bias, bias - reach, bias + reach, icc_2_1(pairs), len(pairs))


def icc_2_1(ratings: Numbers) -> float:
    """Calculate ICC(2,1): two-way random effects, absolute agreement, a single judge.

    Args:
        ratings: (targets, judges), every target rated by every judge.

    Returns:
        A number of at most 1; NaN with fewer than two targets or judges, or where all ratings are one value.

    Source:
        Shrout and Fleiss, Psychological Bulletin 86 (1979) 420-428, whose example is the test.
    """
    ratings = np.asarray(ratings, dtype=float)
    targets, judges = ratings.shape
    if targets < 2 or judges < 2:
        return math.nan
    mean = ratings.mean()
    between_targets = judges * float(((ratings.mean(1) - mean) ** 2).sum()) / (targets - 1)
    between_judges = targets * float(((ratings.mean(0) - mean) ** 2).sum()) / (judges - 1)
    total = float(((ratings - mean) ** 2).sum())
    error = (total - between_targets * (targets - 1) - between_judges * (judges - 1)) / ((targets - 1) * (judges - 1))
    spread = between_targets + (judges - 1) * error + judges * (between_judges - error) / targets
    return (between_targets - error) / spread if spread > 0 else math.nan


def volume_pairs(scores: "pd.DataFrame", sides: Mapping[str, str]) -> dict[str, dict[str, tuple[float, float]]]:
    """Collect volumes of a case table: (predicted, reference) mm³ by case, for each label, and for the labels of a side
    together where there are several.

    Args:
        scores: of scoring/tables.py.
        sides: label -> side, of labels that have one.
    """
    parts = scores[scores.label != MEAN_FOREGROUND]
    found = {str(label): _pairs(rows) for label, rows in parts.groupby("label", sort=False)}
    of_side = parts.label.map(lambda label: sides.get(label, ""))
    for side in dict.fromkeys(of_side):
        own = parts[of_side == side]
        if own.label.nunique() > 1:
            sums = own.groupby("case", sort=False)[["volume_predicted_mm3", "volume_reference_mm3"]].sum().reset_index()
            found[f"{side} together" if side else "all labels together"] = _pairs(sums)
    return found


def _pairs(rows: "pd.DataFrame") -> dict[str, tuple[float, float]]:
    columns = zip(rows.case, rows.volume_predicted_mm3, rows.volume_reference_mm3, strict=True)
    return {str(case): (float(predicted), float(reference)) for case, predicted, reference in columns}
