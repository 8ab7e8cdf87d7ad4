"""Compare ways to fine-tune on the same cases: which learning rate, what each reaches, and what separates two of them.

Tables here hold one row per case: `case`, `subject`, `dice`, `hd95_mm`, `nsd_1mm` of the mean foreground. Seeds, and
the scans and sides of a subject, are averaged before subjects are resampled or ranked (statistics.py).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.scoring.statistics import bootstrap_interval, holm, paired_difference, subject_means

SCORES = ("dice", "hd95_mm", "nsd_1mm")
CASE_SCORES = ("case", "subject", *SCORES)


def foreground(table: pd.DataFrame) -> pd.DataFrame:
    """The mean-foreground rows of a case table (scoring/tables.py); columns CASE_SCORES."""
    return table.loc[table.label == MEAN_FOREGROUND, list(CASE_SCORES)].reset_index(drop=True)


def mean_dice(cases: pd.DataFrame) -> float:
    """Over subjects; NaN without any."""
    known = cases[cases.dice.notna()]
    means = subject_means(known.dice.to_numpy(dtype=float), known.subject.to_numpy(dtype=str))
    return float(means.mean()) if len(means) else float("nan")


def choose_rate(scores: Mapping[float, pd.DataFrame]) -> float:
    """The rate of the highest mean Dice on the cases that choose; of equal ones the smallest. scores: cases by rate, at
    least one.

    Raises ValueError where the rates were not scored on the same cases.
    """
    cases = {rate: sorted(found.case) for rate, found in scores.items()}
    if any(found != next(iter(cases.values())) for found in cases.values()):
        raise ValueError("rates were scored on different cases")
    return max(sorted(scores), key=lambda rate: np.nan_to_num(mean_dice(scores[rate]), nan=-1.0))


def at_edge(chosen: float, rates: Sequence[float]) -> bool:
    """Whether a rate was chosen beyond which none was tried, so that a better one may lie there."""
    return len(rates) > 1 and chosen in (min(rates), max(rates))


def compare(cases: pd.DataFrame, references: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """One row a value of `row`, in order. cases: CASE_SCORES with `row` and `seed`.

    Means of SCORES over subjects with 95 % intervals; `SCORE_left_out`: scores that are undefined. For each reference
    that is there the mean difference in Dice to it on the cases of both, with its interval, and Wilcoxon's p, adjusted
    by Holm over all rows compared with that reference.
    """
    rows = []
    for name, part in cases.groupby("row", sort=False):
        row = {
            "row": name,
            "seeds": part.seed.nunique(),
            "cases": part.case.nunique(),
            "subjects": part.subject.nunique(),
        }
        for score in SCORES:
            known = part[part[score].notna()]
            values, subjects = known[score].to_numpy(dtype=float), known.subject.to_numpy(dtype=str)
            low, high = bootstrap_interval(values, subjects, seed=seed)
            mean = float(subject_means(values, subjects).mean()) if len(known) else float("nan")
            row |= {
                score: mean,
                f"{score}_low": low,
                f"{score}_high": high,
                f"{score}_left_out": len(part) - len(known),
            }
        rows.append(row)
    table = pd.DataFrame(rows)
    for reference in references:
        if reference in set(table.row):
            table = table.merge(_differences(cases, reference, seed), on="row", how="left")
    return table


def _differences(cases: pd.DataFrame, reference: str, seed: int) -> pd.DataFrame:
    by_case = cases.groupby(["row", "case", "subject"], sort=False).dice.mean().reset_index()
    other = by_case[by_case.row == reference][["case", "subject", "dice"]]
    rows = []
    for name, part in by_case[by_case.row != reference].groupby("row", sort=False):
        both = part.merge(other, on=["case", "subject"], suffixes=("", "_reference"))
        found = paired_difference(both.dice, both.dice_reference, both.subject.to_numpy(dtype=str), seed=seed)
        rows.append(
            {
                "row": name,
                f"to_{reference}": found.mean,
                f"to_{reference}_low": found.low,
                f"to_{reference}_high": found.high,
                f"to_{reference}_subjects": found.n_subjects,
                f"to_{reference}_p": found.p_value,
            }
        )
    columns = [f"to_{reference}{ending}" for ending in ("", "_low", "_high", "_subjects", "_p")]
    table = pd.DataFrame(rows, columns=["row", *columns])
    known = table[columns[-1]].notna()
    adjusted = pd.Series(np.nan, index=table.index)
    if known.any():
        adjusted[known] = holm(table.loc[known, columns[-1]].to_numpy(dtype=float))
    table[f"to_{reference}_p_holm"] = adjusted
    return table
