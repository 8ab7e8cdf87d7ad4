"""Labelled scans against Dice: one table of several comparisons that were reported on the same cases."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hippopt.scoring.comparison import compare
from hippopt.scoring.statistics import bootstrap_interval, subject_means

BASE_ROW = "base, no labels"  # the base itself


def joined(cases: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """The cases of comparisons by their number of labelled scans, in one table with a column `scans`.

    Raises ValueError where two were not scored on the same cases.
    """
    tables = [table.assign(scans=scans) for scans, table in sorted(cases.items())]
    named = [set(table.case) for table in tables if len(table)]
    if any(found != named[0] for found in named):
        raise ValueError("comparisons were scored on different cases")
    return pd.concat(tables, ignore_index=True)


def learning_curve(cases: pd.DataFrame, reference: str) -> pd.DataFrame:
    """A row per number of labelled scans and way to fine-tune.

    Args:
        cases: `scans`, `row`, `seed`, `case`, `subject`, `dice`, `hd95_mm`, `nsd_1mm`, `outline_dice`: a row per case
            and training.
        reference: the row that others are compared with, at the same number of scans.

    Returns:
        The columns of `compare` for one number of scans, and `scans`; `dice_seed_low`, `dice_seed_high`: the lowest and
        the highest mean of one seed; `outline`, `outline_low`, `outline_high`, `outline_seed_low`, `outline_seed_high`:
        Dice of all labels as one.
    """
    tables = []
    for scans, part in cases.groupby("scans"):
        table = compare(part, [reference])
        outlines = pd.DataFrame([_spread(own, str(name)) for name, own in part.groupby("row", sort=False)])
        tables.append(table.merge(outlines, on="row").assign(scans=scans))
    return pd.concat(tables, ignore_index=True)


def _spread(own: pd.DataFrame, name: str) -> dict[str, float | str]:
    known = own[own.outline_dice.notna()]
    values, subjects = known.outline_dice.to_numpy(dtype=float), known.subject.to_numpy(dtype=str)
    low, high = bootstrap_interval(values, subjects) if len(known) else (np.nan, np.nan)
    found: dict[str, float | str] = {
        "row": name,
        "outline": _mean(known, "outline_dice"),
        "outline_low": low,
        "outline_high": high,
    }
    for column, text in (("dice", "dice"), ("outline_dice", "outline")):
        seeds = [_mean(one[one[column].notna()], column) for _, one in own.groupby("seed")]
        found |= {f"{text}_seed_low": min(seeds), f"{text}_seed_high": max(seeds)}
    return found


def _mean(cases: pd.DataFrame, column: str) -> float:
    """Over subjects; NaN without any."""
    return (
        float(subject_means(cases[column].to_numpy(dtype=float), cases.subject.to_numpy(dtype=str)).mean())
        if len(cases)
        else float("nan")
    )
