"""Scores as tables: one row per case and label, and a summary over subjects. Written atomically as CSV and JSON."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippopt.artifacts.codec import atomic_path
from hippopt.artifacts.codec import write_json as write_plain_json
from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.errors import DatasetError
from hippopt.scoring.metrics import EMPTY_RULE, LabelScore
from hippopt.scoring.statistics import N_RESAMPLES, bootstrap_interval, subject_means

METRICS = tuple(field.name for field in fields(LabelScore) if field.name not in ("label", "note"))
CASE_COLUMNS = ("case", "subject", "label", *METRICS, "note")
SUMMARY_COLUMNS = (
    "label", "metric", "mean", "median", "ci95_low", "ci95_high", "n_cases", "n_subjects", "n_without_distance", "seed",
)  # fmt: skip
SUMMARY_RULE = (
    "The cases of a subject are averaged first; mean and median are over subjects. The 95 % interval is that of the"
    " mean: percentile bootstrap, subjects resampled with replacement."
)


@dataclass(frozen=True)
class ScoredCase:
    """The scores of one case, and whose scan it is."""

    case: str
    subject: str
    scores: tuple[LabelScore, ...]


def case_table(cases: Iterable[ScoredCase]) -> pd.DataFrame:
    """One row per case and label, then a row "mean foreground" per case; columns CASE_COLUMNS. Order is kept.

    Raises DatasetError where a case comes twice.
    """
    rows, seen = [], set()
    for item in cases:
        if item.case in seen:
            raise DatasetError(f"case {item.case} is scored twice; give every case its own id")
        seen.add(item.case)
        if any(score.label == MEAN_FOREGROUND for score in item.scores):
            raise DatasetError(f"case {item.case}: {MEAN_FOREGROUND!r} is no name for a label; rename it")
        whole = (mean_foreground(item.scores),) if item.scores else ()
        rows += [{"case": item.case, "subject": item.subject, **asdict(score)} for score in (*item.scores, *whole)]
    return pd.DataFrame(rows, columns=list(CASE_COLUMNS))


def mean_foreground(scores: Sequence[LabelScore]) -> LabelScore:
    """The plain mean over a case's labels; NaN where one of them is (EMPTY_RULE).

    Its note names the labels at fault.
    """
    means = np.mean([[getattr(score, metric) for metric in METRICS] for score in scores], axis=0)
    note = "; ".join(f"{score.label}: {score.note}" for score in scores if score.note)
    return LabelScore(MEAN_FOREGROUND, **dict(zip(METRICS, means.tolist(), strict=True)), note=note)


def summarise(table: pd.DataFrame, n_resamples: int = N_RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """One row per label (and the mean foreground) and metric; columns SUMMARY_COLUMNS. Follows SUMMARY_RULE and
    EMPTY_RULE.

    n_cases and n_subjects count those that entered the row, n_without_distance the cases of the label without
    distances.
    """
    rows = []
    for label, part in table.groupby("label", sort=False):
        without = int(part["hd95_mm"].isna().sum())
        for metric in METRICS:
            known = part[part[metric].notna()]
            values, subjects = known[metric].to_numpy(dtype=float), known["subject"].to_numpy(dtype=str)
            means = subject_means(values, subjects)
            low, high = bootstrap_interval(values, subjects, n_resamples=n_resamples, seed=seed)
            middle = (means.mean(), np.median(means)) if len(means) else (np.nan, np.nan)
            rows.append((label, metric, *map(float, middle), low, high, len(known), len(means), without, seed))
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, atomically; numbers in full, NaN as an empty field."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")


def write_json(path: Path, table: pd.DataFrame, about: Mapping[str, Any] | None = None) -> None:
    """Write a table as JSON, atomically: the rules, `about`, and the rows; NaN as null, which every reader accepts."""
    rows = [
        {str(key): None if isinstance(value, float) and np.isnan(value) else value for key, value in row.items()}
        for row in table.to_dict(orient="records")
    ]
    write_plain_json(path, {"empty_rule": EMPTY_RULE, "summary_rule": SUMMARY_RULE, **(about or {}), "rows": rows})


def read_case_table(path: Path) -> pd.DataFrame:
    """Read back a case table written with `write_csv`, equal to the last bit; ids such as 001 or NA stay text.

    Raises DatasetError naming the file and what is wrong with it.
    """
    remedy = "score the predictions again with `hippopt_evaluate`"
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream, strict=True)
    except FileNotFoundError:
        raise DatasetError(f"{path}: not found; {remedy}") from None
    except (ValueError, csv.Error) as error:
        raise DatasetError(f"{path}: not a readable CSV table ({error}); {remedy}") from error
    if header != list(CASE_COLUMNS):
        raise DatasetError(f"{path}: columns {header}, expected {list(CASE_COLUMNS)}; {remedy}")
    for number, row in enumerate(rows, start=1):  # pandas would fill up a cut row without a word
        if len(row) != len(header):
            raise DatasetError(f"{path}: row {number} has {len(row)} fields, expected {len(header)}; {remedy}")
    table = pd.DataFrame(rows, columns=header)
    for metric in METRICS:
        try:
            table[metric] = [float(text) if text else np.nan for text in table[metric]]
        except ValueError as error:
            raise DatasetError(f"{path}: column {metric}: {error}; {remedy}") from error
    return table
