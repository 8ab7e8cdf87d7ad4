"""What the tables beside masks say of a cohort, for its page and for programs."""

import csv
from pathlib import Path

from hippopt.reporting.pages.cohort_table import ScanRow, read_scans

VOLUMES = "volumes.tsv"  # of that name in hippopt.inference.volume_table


def tables_for_programs(predictions: Path) -> dict[str, object]:
    """What the tables beside masks say, as plain data: each scan's
    flags, predicted Dice and volumes, and the scans that failed.
    """
    table = predictions / VOLUMES
    rows = read_scans(table) if table.is_file() else []
    scans = [
        {
            "scan": row.name, "predicted_dice": row.dice, "flags": list(row.flags),
            "volumes_mm3": {label.label: label.volume_mm3 for label in row.labels},
        }
        for row in rows
    ]  # fmt: skip
    return {"scans": scans, "failures": failures_listed(predictions)}


def colours_of_labels(rows: list[ScanRow]) -> dict[str, int]:
    """Number the labels by rising value, as their colours are numbered."""
    labels = {row.value: row.label for scan in rows for row in scan.labels}
    return {labels[value]: number for number, value in enumerate(sorted(labels), start=1)}


def made_by(made: dict[str, object]) -> str:
    """Say which run made the masks; empty where it is not known."""
    if not made:
        return ""
    folds = made.get("folds")
    named = " ".join(map(str, folds)) if isinstance(folds, list) else ""
    return f"Data set {made.get('dataset')}, run {made.get('run')}, fold {named}; hippopt {made.get('hippopt')}."


def failures_listed(predictions: Path) -> list[dict[str, str]]:
    """Read the scans that failed, each with its reason; none where there is no such table."""
    path = predictions / "failures.tsv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return [{"scan": row.get("scan") or "", "reason": row.get("reason") or ""} for row in rows]
