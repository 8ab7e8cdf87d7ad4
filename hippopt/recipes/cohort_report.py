"""The cohort page: find table, masks and scans, check that they belong together, order them, draw."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hippopt.artifacts.codec import parse_json
from hippopt.artifacts.dataset import image_files, split_ending
from hippopt.console import Console, counted
from hippopt.errors import DatasetError, HippoptError
from hippopt.files.scan_listing import list_scans
from hippopt.inference.flags import CONSTANT, EMPTY, LOCATING
from hippopt.inference.volume_table import VOLUMES
from hippopt.reporting.pages.cohort_facts import colours_of_labels, failures_listed, made_by
from hippopt.reporting.pages.cohort_page import Cohort, counts_line
from hippopt.reporting.pages.cohort_table import measures, read_scans, worst_first
from hippopt.reporting.pages.rendering import check_page
from hippopt.stages.predict import PROBABILITIES, UNCERTAINTY
from hippopt.stages.report_cohort import CohortFiles, report_cohort, rows_from_masks
from hippopt.workspace import PROVENANCE

REPORT = "report.html"
SEVERE = (CONSTANT, EMPTY, *LOCATING)  # what puts a scan before all others


@dataclass(frozen=True)
class CohortReportRequest:
    """What was asked of hippopt_report. output: None for PREDICTIONS/report.html."""

    source: Path
    predictions: Path
    output: Path | None = None
    overwrite: bool = False
    jobs: int = 1

    @property
    def path(self) -> Path:
        return self.output or self.predictions / REPORT


def cohort_report(request: CohortReportRequest, console: Console) -> int:
    """Write the page. Returns how many scans have no pictures. Raises HippoptError's kinds before anything is drawn."""
    masks = mask_files(request.predictions)
    images = {files.id: files.channels[0] for files in list_scans(request.source, ("image",))[0]}
    return report_on(images, masks, request, console)


def report_on(
    images: Mapping[str, Path], masks: Mapping[str, Path], request: CohortReportRequest, console: Console
) -> int:
    """Write the page of scans and masks that are known.

    Returns how many have no pictures. Raises HippoptError's kinds before anything is drawn.
    """
    check_page(request.path, request.overwrite)
    table = request.predictions / VOLUMES
    if table.is_file():
        rows = read_scans(table)
    else:
        console.warn(
            f"{table}: not there, so volumes are measured here, and there is no predicted Dice; labels are named by"
            " their values"
        )
        rows = rows_from_masks(masks, request.jobs, console)
    if not rows:
        raise DatasetError(f"{table}: holds no scan; predict with `hippopt_predict` first")
    if not any(row.name in images for row in rows):
        raise DatasetError(
            f"-i {request.source} and -p {request.predictions}: no scan in common; masks are named as their scans"
        )
    provenance = _provenance(request.predictions)
    found = measures(rows)
    failures = failures_listed(request.predictions)
    ordered = worst_first(rows, found, SEVERE)
    counts = counts_line(ordered, len(failures))
    cohort = Cohort(
        title=f"Segmentations in {request.predictions.resolve().name}",
        summary=f"{counts}. {made_by(provenance)}".strip(),
        id=hashlib.sha256(str(request.predictions.resolve()).encode(errors="surrogateescape")).hexdigest()[:12],
        scans=ordered,
        measures=found,
        labels=colours_of_labels(rows),
        failures=failures,
    )
    volume = provenance.get("volume")
    files = CohortFiles(images, masks, volume if isinstance(volume, int) else None, request.jobs)
    pages, without = report_cohort(request.path, cohort, files, console)
    size = sum(page.stat().st_size for page in pages) / 1e6
    console.say(f"{counts}, {without} without pictures")
    odd = next((row for row in ordered if row.flags), None)
    if odd:
        console.say(f"look at {odd.name} first: {', '.join(odd.flags)}")
    more = f" and {counted(len(pages) - 1, 'part')} in {pages[1].parent}" if len(pages) > 1 else ""
    console.result(report=pages[0])
    console.say(f"open {pages[0]} in a browser ({size:.1f} MB{more})")
    return without


def mask_files(predictions: Path) -> dict[str, Path]:
    """Scan -> its mask, of a folder of hippopt_predict or another program. Raises DatasetError where there is none."""
    found = masks_in(predictions)
    if not found:
        raise DatasetError(f"-p {predictions}: no masks in it; give the folder that hippopt_predict wrote with -o")
    return found


def masks_in(predictions: Path) -> dict[str, Path]:
    """Scan -> its mask. Raises DatasetError where the folder is not there, or two masks have one name."""
    if not predictions.is_dir():
        raise DatasetError(f"-p {predictions.absolute()}: no such folder")
    maps = tuple(f"_{kind}.nii.gz" for kind in (UNCERTAINTY, PROBABILITIES))
    found: dict[str, Path] = {}
    for path in image_files(predictions):
        kind = split_ending(path.name)
        if not path.name.endswith(maps) and not (
            kind and kind[1].lower() == ".hdr" and path.with_suffix(".img").exists()
        ):
            name = kind[0] if kind else path.name
            if name in found:
                raise DatasetError(f"{path}: ambiguous, {found[name].name} has the same name; keep one of them")
            found[name] = path
    return found


def _provenance(predictions: Path) -> dict[str, object]:
    path = predictions / PROVENANCE
    try:
        found = parse_json(path.read_bytes(), path)
    except (OSError, HippoptError):
        return {}  # masks of another program
    return found if isinstance(found, dict) else {}
