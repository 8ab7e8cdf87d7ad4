"""The rows of volumes.tsv as scans, the cohort's own fences, and which scan to look at first."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hippopt.artifacts.cohort import FENCE, LEAST_SCANS
from hippopt.errors import DatasetError

NEEDED = ("scan", "label", "value", "volume_mm3")
APART = "apart from this cohort"  # the page's own flag; the others come from volumes.tsv
CORRECT = "correct first"  # there too: see hippopt.inference.correct_first


@dataclass(frozen=True)
class LabelRow:
    """One label of one scan; None where volumes.tsv is blank."""

    label: str
    value: int
    side: str
    voxels: int | None
    volume_mm3: float
    low_mm3: float | None
    high_mm3: float | None
    dice: float | None
    agreement: float | None
    asymmetry: float | None
    head_of: str
    ratio: float | None


@dataclass(frozen=True)
class ScanRow:
    """One scan. flags: each once, as volumes.tsv has them and the
    page's own; apart: measures beyond the cohort's fences.
    """

    name: str
    labels: tuple[LabelRow, ...]
    flags: tuple[str, ...]
    apart: tuple[str, ...] = ()

    @property
    def odd(self) -> tuple[str, ...]:
        """The flags of the scan itself: what to correct first is said of it beside the others."""
        return tuple(flag for flag in self.flags if flag != CORRECT)

    @property
    def dice(self) -> float | None:
        """The lowest predicted Dice of its labels."""
        return min((row.dice for row in self.labels if row.dice is not None), default=None)

    @property
    def disagreement(self) -> float | None:
        """1 - the lowest agreement of the folds."""
        lowest = min((row.agreement for row in self.labels if row.agreement is not None), default=None)
        return None if lowest is None else 1 - lowest


@dataclass(frozen=True)
class Fences:
    """Quartiles of one measure over the scans of the page, and the limits beyond which a scan is apart."""

    low: float
    first_quartile: float
    median: float
    third_quartile: float
    high: float


@dataclass(frozen=True)
class Measure:
    """One figure per scan. fences: None with fewer than LEAST_SCANS scans; values: by scan, those that are known."""

    key: str
    title: str
    unit: str
    values: Mapping[str, float]
    fences: Fences | None
    judged: bool = True

    @property
    def apart(self) -> tuple[str, ...]:
        """Scans beyond the fences, where scans are judged by this measure."""
        if self.fences is None or not self.judged:
            return ()
        return tuple(name for name, value in self.values.items() if not self.fences.low <= value <= self.fences.high)


def read_scans(path: Path) -> list[ScanRow]:
    """The scans of a volumes.tsv, in its order. Columns beyond NEEDED may be missing, and unknown ones are left alone.

    Raises DatasetError naming the file and what is wrong with it.
    """
    import pandas as pd

    remedy = "write it anew with `hippopt_predict`"
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not a readable table ({str(error).splitlines()[0]}); {remedy}") from None
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        raise DatasetError(f"{path}: no column {', '.join(missing)}; {remedy}")
    rows: dict[str, list[LabelRow]] = {}
    flags: dict[str, dict[str, None]] = {}
    for number, record in enumerate(table.to_dict(orient="records"), start=2):
        fields = {str(key): str(value) for key, value in record.items()}
        try:
            row = _label_row(fields)
        except ValueError as error:
            raise DatasetError(f"{path}: line {number}: {error}; {remedy}") from None
        rows.setdefault(fields["scan"], []).append(row)
        flags.setdefault(fields["scan"], {}).update(dict.fromkeys(filter(None, fields.get("flag", "").split("; "))))
    return [ScanRow(name, tuple(found), tuple(flags[name])) for name, found in rows.items()]


def _label_row(fields: Mapping[str, str]) -> LabelRow:
    def number(name: str) -> float | None:
        text = fields.get(name, "")
        value = float(text) if text else None
        return value if value is not None and math.isfinite(value) else None

    volume, voxels = number("volume_mm3"), number("voxels")
    return LabelRow(
        label=fields["label"],
        value=int(fields["value"]),
        side=fields.get("side", ""),
        voxels=None if voxels is None else int(voxels),
        volume_mm3=volume or 0.0,
        low_mm3=number("volume_low_mm3"),
        high_mm3=number("volume_high_mm3"),
        dice=number("predicted_dice"),
        agreement=number("fold_agreement"),
        asymmetry=number("asymmetry_percent"),
        head_of=fields.get("head_size_of", ""),
        ratio=number("volume_per_head"),
    )


def measures(scans: Sequence[ScanRow]) -> list[Measure]:
    """What the page plots: volume per label and of a side's labels together,
    asymmetry, volume over head size, predicted Dice, disagreement.
    """
    labels = list(dict.fromkeys(row.label for scan in scans for row in scan.labels))
    found = [
        _measure(f"volume:{label}", f"Volume, {label}", "mm³", _by_label(scans, label, "volume_mm3", above=0))
        for label in labels
    ]
    for side in dict.fromkeys(row.side for scan in scans for row in scan.labels):
        whole = {scan.name: [row.volume_mm3 for row in scan.labels if row.side == side] for scan in scans}
        if max(map(len, whole.values())) > 1:
            sums = {name: sum(parts) for name, parts in whole.items() if sum(parts) > 0}
            found.append(
                _measure(
                    f"whole:{side}",
                    f"Volume, {side} labels together".replace("  ", " ").replace(",  ", ", "),
                    "mm³",
                    sums,
                )
            )
    for label in labels:
        if any(row.side == "left" for scan in scans for row in scan.labels if row.label == label):
            found.append(
                _measure(
                    f"asymmetry:{label}",
                    f"Asymmetry, {_without_side(label)}",
                    "% (left larger: +)",
                    _by_label(scans, label, "asymmetry"),
                )
            )
    kinds = [row.head_of for scan in scans for row in scan.labels if row.ratio is not None]
    kind = max(set(kinds), key=kinds.count) if kinds else ""
    for label in labels:
        ratios = {name: 1000 * value for name, value in _by_label(scans, label, "ratio", kind).items()}
        found.append(_measure(f"ratio:{label}", f"{label} over {kind} size", "‰", ratios))
    dice = {scan.name: scan.dice for scan in scans if scan.dice is not None}
    found.append(_measure("dice", "Predicted Dice, lowest label", "", dice, judged=False))
    split = {scan.name: scan.disagreement for scan in scans if scan.disagreement is not None}
    found.append(_measure("disagreement", "Disagreement of the folds (1 - Dice)", "", split, judged=False))
    return [measure for measure in found if measure.values]


def _by_label(
    scans: Iterable[ScanRow], label: str, name: str, kind: str | None = None, above: float | None = None
) -> dict[str, float]:
    found = {}
    for scan in scans:
        for row in scan.labels:
            value = getattr(row, name)
            if (
                row.label == label
                and value is not None
                and kind in (None, row.head_of)
                and (above is None or value > above)
            ):
                found[scan.name] = float(value)
    return found


def _without_side(label: str) -> str:
    for word in ("_left", "left_", " left", "left "):
        label = label.replace(word, "")
    return label


def _measure(key: str, title: str, unit: str, values: dict[str, float], judged: bool = True) -> Measure:
    return Measure(key, title, unit, values, fences_of(list(values.values())), judged)


def fences_of(values: Sequence[float]) -> Fences | None:
    """Tukey's inner fences of a cohort: 1.5 interquartile ranges
    beyond its quartiles; None with fewer than LEAST_SCANS values.
    """
    if len(values) < LEAST_SCANS:
        return None
    first, median, third = (float(value) for value in np.percentile(values, (25, 50, 75)))
    return Fences(first - FENCE * (third - first), first, median, third, third + FENCE * (third - first))


def worst_first(scans: Sequence[ScanRow], found: Sequence[Measure], severe: Sequence[str]) -> list[ScanRow]:
    """The scans with the cohort's flag where it applies, in the order in which to look at them.

    First those with one of the `severe` flags, then those to correct first, then the other flagged ones; of the first
    and the last, those with more flags. Within each by predicted Dice, or by the agreement of the folds where no scan
    has one: the lowest first, scans without a figure last.
    """
    apart: dict[str, list[str]] = {}
    for measure in found:
        for name in measure.apart:
            apart.setdefault(name, []).append(measure.title)
    marked = [
        replace(scan, apart=tuple(apart[scan.name]), flags=(*scan.flags, APART)) if scan.name in apart else scan
        for scan in scans
    ]

    predicted = any(scan.dice is not None for scan in scans)

    def key(scan: ScanRow) -> tuple[int, int, float, str]:
        lowest = scan.dice if predicted else None if scan.disagreement is None else 1 - scan.disagreement
        figure = math.inf if lowest is None else lowest
        if CORRECT in scan.flags and not any(flag in severe for flag in scan.flags):
            return -2, 0, figure, scan.name
        grade = 3 if any(flag in severe for flag in scan.flags) else 1 if scan.flags else 0
        return -grade, -len(scan.odd), figure, scan.name

    return sorted(marked, key=key)
