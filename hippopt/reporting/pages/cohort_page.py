"""The page of a cohort: one file, or, of many scans, an index and parts that are opened one at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hippopt.artifacts.cohort import LEAST_SCANS
from hippopt.console import counted
from hippopt.reporting.pages import captions
from hippopt.reporting.pages.cohort_table import CORRECT, Measure, ScanRow
from hippopt.reporting.pages.plots import strip_plot
from hippopt.reporting.pages.rendering import render, write_page
from hippopt.reporting.pages.views import RegionView, Tile

SCANS_A_FILE = 300
SCRIPTS = ("ratings.js", "viewer.js", "cohort.js")


@dataclass(frozen=True)
class ScanCard:
    """The pictures of one scan. mask: short hash of its mask;
    remarks: lines on what could not be shown, or does not agree.
    """

    name: str
    mask: str = ""
    regions: tuple[RegionView, ...] = ()
    overview: Tile | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cohort:
    """What a page is made of. scans: in the order in which to look at them; labels:
    name -> number of its colour; id: under which a browser keeps ratings.
    """

    title: str
    summary: str
    id: str
    scans: Sequence[ScanRow]
    measures: Sequence[Measure]
    labels: Mapping[str, int]
    failures: Sequence[Mapping[str, str]] = field(default_factory=list)


def write_cohort(path: Path, cohort: Cohort, draw: Callable[[Sequence[ScanRow]], Iterable[ScanCard]]) -> list[Path]:
    """Write the page, parts first, and remove parts of an earlier one.

    `draw` gives one card per scan, in order. Returns the files, the first to open first.
    """
    scans = cohort.scans
    if len(scans) <= SCANS_A_FILE:
        cards = list(draw(scans))
        write_page(path, _page(cohort, scans, 1, {card.name: card.mask for card in cards}, cards, _anchors(scans, 1)))
        _remove_parts(path, 0)
        return [path]
    firsts = range(0, len(scans), SCANS_A_FILE)
    parts = [path.with_name(f"{path.stem}_parts") / f"part_{number + 1:03d}.html" for number in range(len(firsts))]
    masks: dict[str, str] = {}
    hrefs: dict[str, str] = {}
    for number, (first, part) in enumerate(zip(firsts, parts, strict=True)):
        own = scans[first : first + SCANS_A_FILE]
        cards = list(draw(own))
        found = {card.name: card.mask for card in cards}
        anchors = _anchors(own, first + 1)
        write_page(
            part,
            _page(cohort, own, first + 1, found, cards, anchors, parts=_links(path, parts, firsts, len(scans), number)),
        )
        masks |= found
        hrefs |= {name: quote(f"{part.parent.name}/{part.name}") + anchor for name, anchor in anchors.items()}
    write_page(path, _page(cohort, scans, 1, masks, (), hrefs, parts=_links(path, parts, firsts, len(scans), None)))
    _remove_parts(path, len(parts))
    return [path, *parts]


def _anchors(scans: Sequence[ScanRow], first: int) -> dict[str, str]:
    return {scan.name: f"#scan-{number}" for number, scan in enumerate(scans, start=first)}


def _links(
    path: Path, parts: Sequence[Path], firsts: Sequence[int], count: int, here: int | None
) -> list[dict[str, Any]]:
    """Of the index (here: None) or of a part to all parts, and of a part back to the index."""
    links = [
        {
            "href": quote(part.name if here is not None else f"{part.parent.name}/{part.name}"),
            "text": f"{first + 1} to {min(first + SCANS_A_FILE, count)}", "here": number == here,
        }
        for number, (first, part) in enumerate(zip(firsts, parts, strict=True))
    ]  # fmt: skip
    return links if here is None else [{"href": quote(f"../{path.name}"), "text": "all scans", "here": False}, *links]


def _page(
    cohort: Cohort,
    scans: Sequence[ScanRow],
    first: int,
    masks: Mapping[str, str],
    cards: Sequence[ScanCard],
    hrefs: Mapping[str, str],
    parts: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    names = {scan.name: (number, scan) for number, scan in enumerate(scans, start=first)}
    whole = len(scans) == len(cohort.scans)
    apart = {measure.key: set(measure.apart) for measure in cohort.measures}
    context = {
        "title": cohort.title,
        "summary": cohort.summary,
        "parts": parts,
        "index_of": bool(parts) and not cards,
        "flags": sorted({flag for scan in scans for flag in scan.flags}),
        "failures": cohort.failures if whole else [],
        "plots": [strip_plot(measure) for measure in cohort.measures] if whole else [],
        "hrefs": hrefs,
        "least": LEAST_SCANS,
        "fenced": any(measure.fences for measure in cohort.measures),
        "columns": cohort.measures,
        "rows": [_row(number, scan, cohort.measures, apart) for number, scan in names.values()],
        "labels": [{"name": name, "colour": colour} for name, colour in cohort.labels.items()],
        "planes": captions.PLANES,
        "strip_asks": captions.STRIP,
        "cards": [_card(*names[card.name], card) for card in cards],
        "page": {"id": cohort.id, "masks": dict(masks)},
    }
    return render("cohort.html.jinja", context, SCRIPTS)


def _row(number: int, scan: ScanRow, found: Sequence[Measure], apart: Mapping[str, set[str]]) -> dict[str, Any]:
    cells = []
    for measure in found:
        value = measure.values.get(scan.name)
        text = "" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
        cells.append({"value": value, "text": text, "apart": scan.name in apart[measure.key]})
    return {"number": number, "name": scan.name, "flags": scan.flags, "cells": cells}


def _card(number: int, scan: ScanRow, card: ScanCard) -> dict[str, Any]:
    asks = [{"flag": flag, "text": captions.of_flag(flag)} for flag in scan.flags]
    if scan.apart:
        asks[-1]["text"] += f" ({'; '.join(scan.apart)})"
    volumes = [{"name": view.name, **view.volume} for view in card.regions]
    return {
        "number": number,
        "name": scan.name,
        "flags": scan.flags,
        "facts": _facts(scan),
        "asks": asks,
        "remarks": card.remarks,
        "regions": card.regions,
        "overview": card.overview,
        "volumes": volumes,
    }


def _facts(scan: ScanRow) -> str:
    """Predicted Dice, and the volume of each label with its interval."""
    dice = f"predicted Dice {scan.dice:.2f}" if scan.dice is not None else ""
    volumes = [
        f"{row.label} {row.volume_mm3:.0f} mm³"
        + (
            f" ({row.low_mm3:.0f} to {row.high_mm3:.0f})"
            if row.low_mm3 is not None and row.high_mm3 is not None
            else ""
        )
        for row in scan.labels
    ]
    return "; ".join(filter(None, (dice, *volumes)))


def _remove_parts(path: Path, kept: int) -> None:
    """Parts of an earlier page with more scans."""
    for part in path.with_name(f"{path.stem}_parts").glob("part_*.html"):
        number = part.stem.removeprefix("part_")
        if number.isdigit() and int(number) > kept:
            part.unlink()


def counts_line(scans: Sequence[ScanRow], failed: int) -> str:
    """Say how many scans there are, and how many of them ask for a look."""
    flagged, first = sum(bool(scan.odd) for scan in scans), sum(CORRECT in scan.flags for scan in scans)
    correct = f", {first} to correct first" if first else ""
    failures = f", {failed} not segmented" if failed else ""
    return f"{counted(len(scans), 'scan')}, {flagged} flagged{correct}{failures}"
