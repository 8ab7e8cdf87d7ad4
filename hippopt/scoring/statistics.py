"""Intervals and paired tests whose unit is the subject: scans of one subject resemble each other and count once.

Everywhere here the cases of a subject are averaged first, so that each subject weighs the same however often it was
scanned, and subjects, not cases, are resampled and ranked.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hippopt.imaging.arrays import Numbers

N_RESAMPLES = 10_000
_DRAWS_AT_ONCE = 2_000_000  # keeps the resampled values of one block near 16 MB


class Statistic(Protocol):
    """A reduction along one axis, such as numpy.mean or numpy.median."""

    def __call__(self, values: Numbers, /, *, axis: int) -> Any: ...


def subject_means(values: Sequence[float] | Numbers, groups: Sequence[Any] | npt.NDArray[Any]) -> Numbers:
    """The mean value of each subject, by sorted subject. values, groups: one entry per case; NaN is refused."""
    values, groups = np.asarray(values, dtype=float), np.asarray(groups)
    if values.ndim != 1 or values.shape != groups.shape:
        raise ValueError(f"values and groups must be rows of one length, got {values.shape} and {groups.shape}")
    if np.isnan(values).any():
        raise ValueError("a value is NaN; leave such cases out, and count them, before")
    _, index = np.unique(groups, return_inverse=True)
    means: Numbers = np.bincount(index, weights=values) / np.bincount(index)
    return means


def bootstrap_interval(
    values: Sequence[float] | Numbers,
    groups: Sequence[Any] | npt.NDArray[Any],
    statistic: Statistic = np.mean,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of `statistic` over subjects (`groups`); (NaN, NaN) for fewer than two subjects.

    The subjects' means are resampled with replacement. With few subjects (below some 20) such an interval is somewhat
    too narrow: say how many subjects stand behind it.
    """
    means = subject_means(values, groups)
    n = len(means)
    if n < 2:
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    block = max(1, _DRAWS_AT_ONCE // n)
    sizes = [min(block, n_resamples - start) for start in range(0, n_resamples, block)]
    drawn = [statistic(means[generator.integers(n, size=(size, n))], axis=1) for size in sizes]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class PairedDifference:
    """First minus second, by subject: mean, median, 95 % bootstrap interval of the mean, two-sided Wilcoxon p value.

    `n_cases_left_out` counts the pairs in which either value was NaN.
    """

    mean: float
    median: float
    low: float
    high: float
    p_value: float
    n_subjects: int
    n_cases_left_out: int


def paired_difference(
    first: Sequence[float] | Numbers,
    second: Sequence[float] | Numbers,
    groups: Sequence[Any] | npt.NDArray[Any],
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """Compare two methods on the same cases. first, second, groups: one entry per case, in the same order.

    Wilcoxon's signed-rank test on the subjects' mean differences, zeros left out; p = 1 where all of them are zero.
    """
    difference, groups = np.asarray(first, dtype=float) - np.asarray(second, dtype=float), np.asarray(groups)
    known = ~np.isnan(difference)
    difference, groups = difference[known], groups[known]
    # 0.8 - 0.7 and 0.9 - 0.8 differ by 1e-16; unrounded, equal differences would be ranked by such noise
    means = np.round(subject_means(difference, groups), 10)
    low, high = bootstrap_interval(difference, groups, n_resamples=n_resamples, seed=seed)
    return PairedDifference(
        mean=float(means.mean()) if len(means) else math.nan,
        median=float(np.median(means)) if len(means) else math.nan,
        low=low,
        high=high,
        p_value=_wilcoxon(means),
        n_subjects=len(means),
        n_cases_left_out=int(np.count_nonzero(~known)),
    )


def holm(p_values: Sequence[float] | Numbers) -> Numbers:
    """Holm's step-down adjusted p values, in the order given.

    The i-th smallest of m (i from 0) is multiplied by m - i, made monotone and cut at 1 (Holm 1979).
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p values must be one row of numbers between 0 and 1, got {p}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def _wilcoxon(differences: Numbers) -> float:
    if not len(differences):
        return math.nan
    if not differences.any():
        return 1.0
    from scipy.stats import wilcoxon  # takes over a second to import

    return float(wilcoxon(differences).pvalue)
