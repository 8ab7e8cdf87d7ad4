"""From a network's own signals to a predicted Dice and an interval of the volume, fitted to out-of-fold cases.

The fit is a ridge regression of Dice on standardised signals within each label (every label has its own mean), with
weights that are not negative: a signal that grows worse never raises the prediction. Its quality is measured by leaving
out one fold after the other.

Interval of a volume: two masks A and B of Dice D differ in volume by |A - B| <= (1 - D) (A + B), since the smaller one
bounds the overlap; so |log(true / predicted volume)| is measured in units of 1 - predicted Dice, and the factor is a
conformal quantile of that ratio over the out-of-fold cases, each with the Dice that the other folds' fit predicts for
it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hippopt.artifacts.calibration import LEAST_CASES, LEAST_FOLDS, Calibration, CalibrationQuality
from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.imaging.arrays import Numbers
from hippopt.inference.signal_table import SignalTable
from hippopt.inference.signals import SIGNALS, Signals

PENALTY = 5.0  # of the ridge, on standardised signals: as much as five cases
LEVEL = 0.95  # of the volume interval
LEAST_ERROR = 0.01  # 1 - predicted Dice counts as at least this much


@dataclass(frozen=True)
class _Fit:
    columns: tuple[int, ...]
    centre: dict[str, Numbers]
    dice: dict[str, float]
    scale: Numbers
    weights: Numbers

    def predict(self, label: str, values: Numbers) -> Numbers:
        """(N, S) -> (N,), from 0 to 1; a label that was not fitted gives NaN."""
        if label not in self.centre:
            return np.full(len(values), np.nan)
        return _predict(values[:, self.columns], self.centre[label], self.dice[label], self.scale, self.weights)


def _predict(values: Numbers, centre: Numbers, dice: float, scale: Numbers, weights: Numbers) -> Numbers:
    # a signal that is not known counts as usual
    moved = np.nan_to_num((values - centre) / scale, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(dice + moved @ weights, 0.0, 1.0)


def fit_calibration(table: SignalTable, plan_hash: str, adapters: Mapping[str, str]) -> Calibration | None:
    """None where there are fewer than LEAST_CASES cases or LEAST_FOLDS folds. adapters: fold -> sha256 of
    its adapter.
    """
    count = len(set(table.cases.tolist()))
    if count < LEAST_CASES or len(set(table.folds.tolist())) < LEAST_FOLDS:
        return None
    fit = _fit(table)
    unseen, by_mean = _leave_folds_out(table)
    ratio = np.abs(table.log_ratio) / np.maximum(1 - unseen, LEAST_ERROR)
    factor, level = _conformal(ratio[np.isfinite(ratio)])
    covered = _coverage(table, unseen)
    return Calibration(
        plan_hash=plan_hash,
        adapters=dict(adapters),
        cases=count,
        signals=tuple(SIGNALS[column] for column in fit.columns),
        centre={label: tuple(map(float, values)) for label, values in fit.centre.items()},
        dice=fit.dice,
        scale=tuple(map(float, fit.scale)),
        weights=tuple(map(float, fit.weights)),
        volume_factor=factor,
        volume_level=level,
        quality=tuple(_qualities(table, unseen, by_mean, covered)),
    )


def predicted_dice(calibration: Calibration, label: str, signals: Signals | None) -> float | None:
    """From 0 to 1; 0 where the label was not found, None for a label that the calibration does not know."""
    if label not in calibration.centre:
        return None
    if signals is None:
        return 0.0
    values = np.array([[getattr(signals, name) for name in calibration.signals]])
    found = _predict(
        values,
        np.array(calibration.centre[label]),
        calibration.dice[label],
        np.array(calibration.scale),
        np.array(calibration.weights),
    )
    return float(found[0])


def volume_interval(calibration: Calibration, volume_mm3: float, dice: float | None) -> tuple[float, float] | None:
    """(low, high) in mm3 of the true volume; None where nothing was found or it cannot be told."""
    if calibration.volume_factor is None or dice is None or volume_mm3 <= 0:
        return None
    reach = math.exp(calibration.volume_factor * max(1 - dice, LEAST_ERROR))
    return volume_mm3 / reach, volume_mm3 * reach


def _fit(table: SignalTable) -> _Fit:
    from sklearn.linear_model import Ridge

    columns = tuple(i for i in range(table.values.shape[1]) if np.isfinite(table.values[:, i]).all())
    values = table.values[:, columns]
    labels = [str(label) for label in dict.fromkeys(table.labels.tolist())]
    centre = {label: values[table.labels == label].mean(0) for label in labels}
    dice = {label: float(table.dice[table.labels == label].mean()) for label in labels}
    moved = values - np.array([centre[str(label)] for label in table.labels])
    rest = table.dice - np.array([dice[str(label)] for label in table.labels])
    scale = np.maximum(moved.std(0), 1e-6)
    ridge = Ridge(alpha=PENALTY, fit_intercept=False, positive=True).fit(moved / scale, rest)
    return _Fit(columns, centre, dice, scale, np.maximum(ridge.coef_, 0.0))


def _leave_folds_out(table: SignalTable) -> tuple[Numbers, Numbers]:
    """(N,) Dice predicted by the fit to the other folds, and (N,) the mean Dice of the label in the other folds."""
    unseen, by_mean = np.full(len(table.dice), np.nan), np.full(len(table.dice), np.nan)
    for fold in np.unique(table.folds):
        here = table.folds == fold
        fit = _fit(table.where(~here))
        for label in np.unique(table.labels[here]):
            rows = here & (table.labels == label)
            unseen[rows] = fit.predict(str(label), table.values[rows])
            by_mean[rows] = fit.dice.get(str(label), np.nan)
    return unseen, by_mean


def _conformal(ratio: Numbers) -> tuple[float | None, float | None]:
    """(factor, level): the ceil((n + 1) LEVEL)-th smallest of n;
    with fewer than 19 the largest, whose level is n / (n + 1).
    """
    count = len(ratio)
    if count == 0:
        return None, None
    rank = min(math.ceil((count + 1) * LEVEL), count)
    return float(np.sort(ratio)[rank - 1]), min(LEVEL, count / (count + 1))


def _coverage(table: SignalTable, unseen: Numbers) -> Numbers:
    """(N,) 1 where the true volume lies in the interval that the
    other folds give, 0 where not, NaN where there is none.
    """
    ratio = np.abs(table.log_ratio) / np.maximum(1 - unseen, LEAST_ERROR)
    covered = np.full(len(ratio), np.nan)
    for fold in np.unique(table.folds):
        here, others = table.folds == fold, (table.folds != fold) & np.isfinite(ratio)
        factor, _ = _conformal(ratio[others])
        if factor is not None:
            covered[here] = np.where(np.isfinite(ratio[here]), ratio[here] <= factor, np.nan)
    return covered


def _qualities(table: SignalTable, unseen: Numbers, by_mean: Numbers, covered: Numbers) -> list[CalibrationQuality]:
    found = []
    for label in dict.fromkeys(table.labels.tolist()):
        rows = (table.labels == label) & np.isfinite(unseen)
        if rows.any():
            found.append(_quality(str(label), table.dice[rows], unseen[rows], by_mean[rows], covered[rows]))
    whole: list[tuple[Any, ...]] = []
    for case in dict.fromkeys(table.cases.tolist()):
        rows = (table.cases == case) & np.isfinite(unseen)
        if rows.any():
            whole.append((table.dice[rows].mean(), unseen[rows].mean(), by_mean[rows].mean()))
    if whole and len(found) > 1:
        dice, predicted, mean = np.array(whole).T
        found.append(_quality(MEAN_FOREGROUND, dice, predicted, mean, covered))
    return found


def _quality(label: str, dice: Numbers, predicted: Numbers, by_mean: Numbers, covered: Numbers) -> CalibrationQuality:
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    worst = np.zeros(len(dice), bool)
    worst[np.argsort(dice, kind="stable")[: max(1, round(len(dice) / 10))]] = True
    known = covered[np.isfinite(covered)]
    tells = len(dice) > 1 and np.ptp(dice) > 0 and np.ptp(predicted) > 0
    return CalibrationQuality(
        label=label, cases=len(dice), spearman=float(spearmanr(dice, predicted)[0]) if tells else None,
        mean_absolute_error=float(np.abs(dice - predicted).mean()), error_of_mean=float(np.abs(dice - by_mean).mean()),
        worst_tenth_auc=float(roc_auc_score(worst, -predicted)) if len(dice) > 1 else None,
        volume_coverage=float(known.mean()) if len(known) else None,
    )  # fmt: skip
