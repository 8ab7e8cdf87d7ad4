"""hippopt as a BIDS App: `participant` segments the scans of a BIDS data set, `group` writes one table of
all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hippopt.artifacts.writable_folder import check_writable
from hippopt.console import Console, counted
from hippopt.errors import HippoptError, OutputError
from hippopt.files.bids_layout import BidsRequest, bids_scans
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.bids_tables import TABLE, write_description, write_phenotype
from hippopt.inference.request import PredictionRequest
from hippopt.inference.volume_table import (
    FAILURES,
    VOLUMES,
    read_failures,
    read_volumes,
    write_failures,
    write_volumes,
)
from hippopt.recipes.chosen_run import chosen_run
from hippopt.recipes.cohort_report import CohortReportRequest, report_on
from hippopt.recipes.prediction import (
    Batch,
    check_identity,
    run_identity,
    segment_batch,
)
from hippopt.recipes.standards import load_standards, with_head_sizes
from hippopt.stages.merge_parts import MergeRequest, merge_parts
from hippopt.workspace import Workspace

WORK = ".hippopt"  # journals and tables of the work itself, hidden from BIDS


@dataclass(frozen=True)
class BidsApp:
    """What a BIDS App is called with. settings: how to predict; its source is the data set, its output the
    work folder.
    """

    scans: BidsRequest
    output: Path
    settings: PredictionRequest


def work_folder(output: Path) -> Path:
    """Where journals and prediction.json lie."""
    return output / WORK


def run_participants(workspace: Workspace, dataset: str, run: str | None, app: BidsApp, console: Console) -> int:
    """Segment the scans. Returns how many failed. Raises HippoptError's kinds before anything is computed."""
    scans = _listed(app)
    chosen = chosen_run(workspace, dataset, run, app.settings.folds, console)
    write_description(chosen.plan, app.scans.folder, app.output)
    # one part, whatever its participants: processes side by side have journals of their own, and `group` joins them
    return segment_batch(chosen, Batch(scans, (1, 1)), app.settings, console)


def run_group(workspace: Workspace, dataset: str, run: str | None, app: BidsApp, console: Console) -> int:
    """Write the table of all scans. Returns how many are missing. Raises HippoptError's kinds."""
    scans = _listed(app)
    chosen = chosen_run(workspace, dataset, run, app.settings.folds, console)
    plan = chosen.plan
    if not check_identity(app.settings, run_identity(chosen, app.settings)):
        raise OutputError(f"{app.output}: nothing is segmented there yet; run hippopt_bids with participant first")
    standards = load_standards(chosen, chosen.cards(), console)
    standards = with_head_sizes(standards, app.settings.head_size, scans, console)
    work = work_folder(app.output)
    merged = merge_parts(
        scans, plan, MergeRequest(app.scans.folder, work, standards, app.settings.volume, app.settings.verify), console
    )
    write_description(plan, app.scans.folder, app.output)
    write_phenotype(work / VOLUMES, app.output, scans)
    write_failures(read_failures(work / FAILURES), app.output / FAILURES)
    write_volumes(read_volumes(work / VOLUMES), app.output / VOLUMES)
    _draw_page(app, scans, console)
    missing = [scans[position].id for position in merged.missing]
    for scan in missing[:20]:
        console.warn(f"{scan}: missing; run hippopt_bids with participant for it")
    if missing[20:]:
        console.warn(f"and {len(missing) - 20} more are missing")
    console.say(
        f"{counted(merged.masks, 'scan')} segmented, {merged.failed} failed, {len(missing)} missing:"
        f" {app.output / TABLE}"
    )
    if merged.failed:
        console.warn(f"{counted(merged.failed, 'scan')} failed, each with its reason in {app.output / FAILURES}")
    return len(missing)


def _draw_page(app: BidsApp, scans: Sequence[ScanFiles], console: Console) -> None:
    """The cohort page of what is segmented. The tables are what counts: where it cannot be drawn, it is said."""
    masks = {files.id: files.target for files in scans if files.target is not None and files.target.exists()}
    if not masks:
        return
    request = CohortReportRequest(app.scans.folder, app.output, overwrite=True)
    try:
        report_on({files.id: files.channels[0] for files in scans}, masks, request, console)
    except HippoptError as error:
        console.warn(f"{error}; no page of the cohort")


def _listed(app: BidsApp) -> list[ScanFiles]:
    if app.output.resolve() == app.scans.folder.resolve():
        raise OutputError(
            f"{app.output}: the data set itself; give a folder of its own, such as"
            f" {app.output / 'derivatives' / 'hippopt'}"
        )
    scans = bids_scans(app.scans, app.output)
    check_writable(app.output, str(app.output))
    return scans
