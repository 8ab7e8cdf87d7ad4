"""Calibration: how the signals of a run's networks tell the Dice of
their masks, fitted to its out-of-fold cases. Plain numbers.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from hippopt.artifacts.codec import SCHEMA, Record
from hippopt.errors import PlanError

LEAST_CASES = 10  # out-of-fold cases below which nothing is predicted
LEAST_FOLDS = 2
MARGIN = (
    0.05  # by which a calibration's error must be smaller than that of guessing the mean, as a share of it, to be used
)
SIGNAL_NAMES = ("soft_dice", "certainty_around", "flip_dice")  # hippopt/inference/signals.py says what they are


class CalibrationQuality(Record, frozen=True, kw_only=True):
    """How well Dice is predicted on folds that the fit did not see, for one label or for the mean over the labels of a
    case.

    spearman: rank correlation of predicted and true Dice. mean_absolute_error; error_of_mean: the same error where the
    mean Dice of the other folds is the prediction, which a calibration has to beat. worst_tenth_auc: area under the ROC
    curve of finding the tenth of the cases with the lowest Dice by predicted Dice; .5 is chance. None where it is
    undefined. volume_coverage: share of the true volumes in their 95 % interval; for the mean over labels, over all of
    them.
    """

    label: str
    cases: int
    spearman: float | None
    mean_absolute_error: float
    error_of_mean: float
    worst_tenth_auc: float | None
    volume_coverage: float | None


class Calibration(Record, frozen=True, kw_only=True):
    """Predicted Dice of a label = dice + sum of weights x (signal - centre) / scale, from 0 to 1. No weight is below 0.

    adapters: fold -> sha256 of the adapter tensors whose signals these are. signals: names, in the order of centre,
    scale and weights. centre and dice: means by label; scale: spread within labels. volume_factor: the 95 % interval of
    a volume is volume x exp(-+ volume_factor x (1 - predicted Dice)). volume_level: the share of true volumes it was
    made for. on: what it was fitted to, where that is not a run's own validation cases.
    """

    schema: int = SCHEMA
    plan_hash: str
    adapters: dict[str, str]
    cases: int
    signals: tuple[str, ...]
    centre: dict[str, tuple[float, ...]]
    dice: dict[str, float]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    volume_factor: float | None
    volume_level: float | None
    quality: tuple[CalibrationQuality, ...]
    on: str = ""

    @property
    def useful(self) -> bool:
        """Whether it beats guessing the mean Dice by MARGIN, on folds that its fit did not see; only then
        is it used.
        """
        whole = self.quality[-1] if self.quality else None
        return whole is not None and whole.mean_absolute_error <= (1 - MARGIN) * whole.error_of_mean

    @property
    def verdict(self) -> str:
        """What it is worth, in words."""
        if not self.quality:
            return "nothing is known of its worth, so it is not used"
        error, mean = self.quality[-1].mean_absolute_error, self.quality[-1].error_of_mean
        figures = f"mean error {error:.3f}, guessing the mean {mean:.3f}"
        return (
            f"it tells more than guessing the mean ({figures})"
            if self.useful
            else f"it tells nothing: it does not beat guessing the mean by {MARGIN:.0%} ({figures})"
        )

    def belongs_to(self, plan_hash: str, adapters: Mapping[str, str]) -> bool:
        """Whether it was fitted to networks of this plan, and for
        every fold that both name to this very one (by sha256).
        """
        return self.plan_hash == plan_hash and all(
            self.adapters.get(fold, sha256) == sha256 for fold, sha256 in adapters.items()
        )


def check_calibration(calibration: Calibration, source: Path) -> Calibration:
    """The calibration, if its parts fit together. Raises PlanError."""
    count = len(calibration.signals)
    factor = calibration.volume_factor
    numbers = [
        *calibration.scale,
        *calibration.weights,
        *calibration.dice.values(),
        *(v for row in calibration.centre.values() for v in row),
    ]
    sound = (
        set(calibration.signals) <= set(SIGNAL_NAMES)
        and len(calibration.scale) == len(calibration.weights) == count
        and all(len(row) == count for row in calibration.centre.values())
        and set(calibration.dice) == set(calibration.centre)
        and all(map(math.isfinite, numbers))
        and all(value > 0 for value in calibration.scale)
        and all(value >= 0 for value in calibration.weights)
        and (factor is None or 0 <= factor < 1000)
    )
    if not sound:
        raise PlanError(
            f"{source}: no sound calibration (its signals, weights and labels do not fit together); remake it with"
            " hippopt_train"
        )
    return calibration
