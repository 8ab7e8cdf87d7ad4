"""The page of a training: curves, out-of-fold scores, agreement of
volumes, the worst cases, gains, and the paragraph for the paper.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippopt.artifacts.best import Best
from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.reporting.best_table import difference_text
from hippopt.reporting.pages import captions
from hippopt.reporting.pages.charts import Chart, VolumeAgreement, bland_altman, line_chart
from hippopt.reporting.pages.cohort_table import Measure
from hippopt.reporting.pages.plots import strip_plot
from hippopt.reporting.pages.rendering import render, write_page
from hippopt.reporting.pages.views import RegionView

if TYPE_CHECKING:
    import pandas as pd

SCRIPTS = ("viewer.js", "training.js")
WORST = 8
SHOWN = {
    "dice": ("Dice", 3),
    "hd95_mm": ("HD95, mm", 2),
    "nsd_1mm": ("NSD at 1 mm", 3),
    "volume_difference_mm3": ("volume error, mm³", 0),
    "volume_difference_percent": ("volume error, %", 1),
}


@dataclass(frozen=True)
class WorstCase:
    """A case with both outlines. remark: why there are no pictures."""

    case: str
    regions: tuple[RegionView, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Gain:
    """What a run is worth beside another on the cases of both: difference in
    mean foreground Dice, with its interval and Wilcoxon's p.
    """

    run: str
    what: str
    dice: float
    difference: float
    low: float
    high: float
    p: float
    subjects: int


@dataclass(frozen=True)
class Training:
    """What the page is made of. scores: case table with a column `fold`; summary: of scoring/tables.py; logs: fold ->
    its log.csv as a table. remarks: what is not shown, and why; best: what hippopt_best chose for the data set.
    """

    title: str
    summary_line: str
    scores: "pd.DataFrame"
    summary: "pd.DataFrame"
    logs: Mapping[str, "pd.DataFrame"]
    labels: Mapping[str, int]
    volumes: Sequence[VolumeAgreement]
    gains: Sequence[Gain]
    facts: Sequence[tuple[str, str]]
    commands: Sequence[str]
    paragraph: str
    references: Sequence[str]
    remarks: Sequence[str] = ()
    best: Best | None = None


def worst_cases(scores: "pd.DataFrame", count: int = WORST) -> list[str]:
    """Cases of the lowest mean foreground Dice, the worst first."""
    foreground = scores[scores.label == MEAN_FOREGROUND].sort_values(["dice", "case"])
    return [str(case) for case in foreground.case[:count]]


def write_training(path: Path, training: Training, worst: Sequence[WorstCase]) -> int:
    """Write the page; its size in bytes."""
    cards = {case.case: f"#case-{number}" for number, case in enumerate(worst, start=1)}
    hrefs = {
        str(case): cards.get(str(case), f"#row-{number}")
        for number, case in enumerate(dict.fromkeys(training.scores.case), start=1)
    }
    context = {
        "title": training.title,
        "summary": training.summary_line,
        "shown": SHOWN,
        "rows": _summary(training.summary),
        "curves": _curves(training.logs),
        "plots": [strip_plot(measure) for measure in _measures(training.scores)],
        "hrefs": hrefs,
        "agreements": [
            {"icc": _number(found.icc, 3), "chart": bland_altman(found), "found": found} for found in training.volumes
        ],
        "cases": _cases(training.scores),
        "worst": _cards(training, worst),
        "planes": captions.PLANES,
        "gains": training.gains,
        "remarks": training.remarks,
        "best": training.best,
        "tidied": _tidied(training.best),
        "labels": [{"name": name, "colour": colour} for name, colour in training.labels.items()],
        "facts": training.facts,
        "commands": training.commands,
        "paragraph": training.paragraph,
        "references": training.references,
    }
    return write_page(path, render("training.html.jinja", context, SCRIPTS))


def _tidied(best: Best | None) -> list[dict[str, Any]]:
    """What hippopt_best tried on the masks of its choice, and whether each is kept."""
    rows = [row for row in best.candidates if row.step == "postprocessing"] if best else []
    found = []
    for row in rows:
        assert row.dice_difference is not None and row.hd95_difference is not None
        cells = [difference_text(row.dice_difference, 4), difference_text(row.hd95_difference, 2)]
        found.append({"name": row.name, "cells": cells, "kept": row.kept, "why": row.why})
    return found


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if value == value else "-"


def _summary(summary: "pd.DataFrame") -> list[dict[str, Any]]:
    rows = summary.set_index(["label", "metric"])
    found = []
    for label in dict.fromkeys(summary.label):
        cells = []
        for metric, (_, digits) in SHOWN.items():
            row = rows.loc[(label, metric)]
            interval = (
                f"{row.ci95_low:.{digits}f} to {row.ci95_high:.{digits}f}" if row.ci95_low == row.ci95_low else ""
            )
            cells.append({"mean": _number(float(row["mean"]), digits), "interval": interval})
        found.append({"label": label, "cells": cells, "cases": int(rows.loc[(label, "dice")].n_cases)})
    return found


def _curves(logs: Mapping[str, "pd.DataFrame"]) -> list[Chart]:
    columns = (("train_loss", "Training loss"), ("val_dice_smoothed", "Quick Dice on validation cases, smoothed"))
    charts = [
        line_chart(
            title,
            "step",
            {
                f"fold {fold}": list(zip(log.step.tolist(), log[column].tolist(), strict=True))
                for fold, log in logs.items()
            },
        )
        for column, title in columns
    ]
    return [chart for chart in charts if chart]


def _measures(scores: "pd.DataFrame") -> list[Measure]:
    found = []
    for label, rows in scores.groupby("label", sort=False):
        wanted = ("dice", "hd95_mm", "nsd_1mm") if label == MEAN_FOREGROUND else ("dice", "volume_difference_mm3")
        for metric in wanted:
            values = {
                str(case): float(value) for case, value in zip(rows.case, rows[metric], strict=True) if value == value
            }
            if values:
                found.append(
                    Measure(f"{metric}:{label}", f"{SHOWN[metric][0]}, {label}", "", values, None, judged=False)
                )
    return found


def _cases(scores: "pd.DataFrame") -> list[dict[str, Any]]:
    rows = []
    for number, (case, part) in enumerate(scores.groupby("case", sort=False), start=1):
        for _, row in part.iterrows():
            cells = [
                {
                    "value": float(row[metric]) if row[metric] == row[metric] else "",
                    "text": _number(float(row[metric]), digits),
                }
                for metric, (_, digits) in SHOWN.items()
            ]
            rows.append(
                {
                    "number": number,
                    "case": case,
                    "subject": row.subject,
                    "fold": row.fold,
                    "label": row.label,
                    "cells": cells,
                    "note": row.note or "",
                }
            )
    return rows


def _cards(training: Training, worst: Sequence[WorstCase]) -> list[dict[str, Any]]:
    cards = []
    for number, case in enumerate(worst, start=1):
        rows = training.scores[training.scores.case == case.case]
        said = [
            f"{row.label}: Dice {row.dice:.3f}, volume {row.volume_difference_mm3:+.0f} mm³"
            for row in rows.itertuples()
        ]
        volumes = [{"name": view.name, **view.volume} for view in case.regions]
        fold = str(rows.fold.iloc[0])
        cards.append(
            {
                "number": number,
                "case": case.case,
                "fold": fold,
                "said": "; ".join(said),
                "regions": case.regions,
                "volumes": volumes,
                "remark": case.remark,
            }
        )
    return cards
