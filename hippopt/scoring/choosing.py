"""Choose among runs, ensembles and post-processing by paired out-of-fold scores, so that noise chooses nothing.

Tables hold one row per case: `case`, `subject`, `dice`, `hd95_mm`, `nsd_1mm` of the mean foreground.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from hippopt.scoring.comparison import mean_dice
from hippopt.scoring.statistics import PairedDifference, holm, paired_difference

LEAST_GAIN = 0.001  # of Dice: what differs by less is tied
LEAST_HD95_MM = 0.05
SIGNIFICANT = 0.05  # of p after Holm

RULE = (
    f"runs: the highest mean Dice; of those within {LEAST_GAIN:g} of it, the one that trained the fewest parameters",
    (
        "ensembles, held against that run: kept where the mean Dice rises by at least"
        f" {LEAST_GAIN:g}, its 95 % interval lies above 0, and Wilcoxon's p is below {SIGNIFICANT:g} after Holm over"
        " all ensembles; of several, the one of the fewest runs within the same margin of the highest"
    ),
    (
        "post-processing, held against the masks as they are: kept where Dice rises as above, or where HD95 falls by at"
        f" least {LEAST_HD95_MM:g} mm (interval below 0, p below {SIGNIFICANT:g}) and the interval of Dice stays above"
        f" -{LEAST_GAIN:g}; Holm over all tests of Dice and HD95. Filled holes come on top of kept parts"
    ),
    "the mean foreground, cases of a subject averaged first, every case by networks that had not seen it",
)


@dataclass(frozen=True)
class Weighed:
    """A candidate held against another one. hd95 is None where only Dice counts; p values are adjusted by Holm."""

    name: str
    dice: PairedDifference
    dice_p: float
    hd95: PairedDifference | None = None
    hd95_p: float = math.nan

    @property
    def raises_dice(self) -> bool:
        return self.dice.mean >= LEAST_GAIN and self.dice.low > 0 and self.dice_p < SIGNIFICANT

    @property
    def lowers_distance(self) -> bool:
        """By the rule, without harm to Dice."""
        found = self.hd95
        return (
            found is not None
            and found.mean <= -LEAST_HD95_MM
            and found.high < 0
            and self.hd95_p < SIGNIFICANT
            and self.dice.low > -LEAST_GAIN
        )

    @property
    def passes(self) -> bool:
        return self.raises_dice or self.lowers_distance

    @property
    def why(self) -> str:
        """Why it passes or does not, in words."""
        if self.raises_dice:
            return "Dice rises"
        if self.lowers_distance:
            return "HD95 falls, Dice does not"
        if self.dice.mean < -LEAST_GAIN and self.dice.high < 0:
            return "Dice falls"
        if self.hd95 is not None and self.hd95.high < 0 and self.hd95_p < SIGNIFICANT:
            return "HD95 falls, but Dice may fall too, or it falls too little"
        if self.dice.mean == 0 and (self.hd95 is None or not self.hd95.mean):
            return "changes nothing"
        return "no gain that chance does not explain"


def simplest(tables: Mapping[str, pd.DataFrame], size: Mapping[str, float]) -> str:
    """The name of the smallest of those whose mean Dice lies within LEAST_GAIN of the highest; of equally small ones
    the best. size: by name, what counts as simple.

    Raises ValueError where they were not scored on the same cases.
    """
    check_same_cases(tables)
    means = {name: mean_dice(table) for name, table in tables.items()}
    highest = max(means.values())
    tied = [name for name, mean in means.items() if mean > highest - LEAST_GAIN]
    return min(tied, key=lambda name: (size[name], -means[name], name))


def check_same_cases(tables: Mapping[str, pd.DataFrame]) -> None:
    """Raises ValueError where two tables hold other cases."""
    cases = [sorted(table.case) for table in tables.values()]
    if any(found != cases[0] for found in cases):
        raise ValueError("candidates were scored on different cases")


def weigh(candidates: Mapping[str, pd.DataFrame], reference: pd.DataFrame, distances: bool = False) -> list[Weighed]:
    """Hold each candidate against the reference, paired by subject. distances: whether HD95 counts as well as Dice.

    Holm's adjustment runs over all tests that are made here.
    """
    found = []
    for name, table in candidates.items():
        check_same_cases({"reference": reference, name: table})
        both = table.merge(reference, on=["case", "subject"], suffixes=("", "_reference"))
        subjects = both.subject.to_numpy(dtype=str)
        dice = paired_difference(both.dice, both.dice_reference, subjects)
        hd95 = paired_difference(both.hd95_mm, both.hd95_mm_reference, subjects) if distances else None
        found.append(Weighed(name, dice, dice.p_value, hd95, hd95.p_value if hd95 else math.nan))
    return _adjusted(found)


def _adjusted(found: Sequence[Weighed]) -> list[Weighed]:
    every = [each.dice_p for each in found] + [each.hd95_p for each in found]
    known = [p for p in every if not math.isnan(p)]
    adjusted = iter(holm(known).tolist()) if known else iter(())
    p = [math.nan if math.isnan(value) else next(adjusted) for value in every]
    return [replace(each, dice_p=p[i], hd95_p=p[len(found) + i]) for i, each in enumerate(found)]


def can_pass(subjects: int, tests: int) -> bool:
    """Whether so many subjects could pass at all: with n of them Wilcoxon's p is at least 2^(1 - n)."""
    return subjects > 1 and tests * 2.0 ** (1 - subjects) < SIGNIFICANT
