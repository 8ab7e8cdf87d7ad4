"""hippopt as a BIDS App: `participant` segments the scans of a BIDS data set, `group` writes one table of
all of them.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hippopt import __version__
from hippopt.artifacts.codec import write_bytes, write_json
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.writable_folder import check_writable
from hippopt.console import Console, counted
from hippopt.errors import HippoptError, OutputError
from hippopt.files.bids_layout import SEGMENTATION, BidsRequest, bids_description, bids_scans
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.label_tables import FILES, bids_table, write_label_tables
from hippopt.inference.request import PredictionRequest
from hippopt.inference.volume_table import (
    FAILURES,
    VOLUMES,
    fields_of,
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
BIDS_VERSION = "1.10.0"
TABLE = "phenotype/hippocampus.tsv"

# columns of volumes.tsv -> (description, unit): of each structure, and of each scan
OF_LABELS = {
    "volume_mm3": ("volume", "mm^3"),
    "volume_low_mm3": ("lower end of the 95 % interval of the true volume", "mm^3"),
    "volume_high_mm3": ("upper end of the 95 % interval of the true volume", "mm^3"),
    "predicted_dice": ("Dice that the mask probably has with a person's outline, from 0 to 1", ""),
    "flag": ("what is odd about the mask, separated by semicolons", ""),
}
OF_SCANS = {
    "head_size_mm3": ("size of the head or of the brain", "mm^3"),
    "head_size_of": ("what head_size_mm3 is the size of", ""),
}


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


def run_participants(workspace: Workspace, dataset: str, run: str, app: BidsApp, console: Console) -> int:
    """Segment the scans. Returns how many failed. Raises HippoptError's kinds before anything is computed."""
    scans = _listed(app)
    chosen = chosen_run(workspace, dataset, run, app.settings.folds, console)
    _write_description(chosen.plan, app)
    # one part, whatever its participants: processes side by side have journals of their own, and `group` joins them
    return segment_batch(chosen, Batch(scans, (1, 1)), app.settings, console)


def run_group(workspace: Workspace, dataset: str, run: str, app: BidsApp, console: Console) -> int:
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
    _write_description(plan, app)
    _write_phenotype(app.output, scans)
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
        console.warn(f"{merged.failed} scans failed, each with its reason in {app.output / FAILURES}")
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


def _write_description(plan: Plan, app: BidsApp) -> None:
    """What BIDS asks of a derivative data set, and what a viewer needs; written where it is not there as it
    should be.
    """
    source = bids_description(app.scans.folder)
    where: dict[str, Any] = {"URL": app.scans.folder.resolve().as_uri()}
    if source.get("DatasetDOI"):
        where["DOI"] = source["DatasetDOI"]
    description = {
        "Name": f"Hippocampus segmentations of {source.get('Name', app.scans.folder.resolve().name)}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "hippopt", "Version": __version__}],
        "SourceDatasets": [where],
    }
    about = {"SpatialReference": "orig", "Manual": False}
    maps = {"SpatialReference": "orig", "Manual": False}
    for name, data in (
        ("dataset_description.json", description),
        (f"seg-{SEGMENTATION}_dseg.json", about),
        (f"seg-{SEGMENTATION}_probseg.json", maps),
    ):
        write_json(app.output / name, data)
    write_bytes(app.output / f"seg-{SEGMENTATION}_dseg.tsv", bids_table(plan.labels).encode())
    write_bytes(
        app.output / ".bidsignore", "".join(f"{name}\n" for name in (*FILES, VOLUMES, FAILURES, "report*")).encode()
    )
    write_bytes(app.output / "README.md", _README.format(version=__version__).encode())
    write_label_tables(plan.labels, app.output)


def _write_phenotype(output: Path, scans: Sequence[ScanFiles]) -> None:
    """A row per participant, as BIDS asks for; a column begins
    with the session, run, ... of its scan, where it has such.
    """
    table = read_volumes(work_folder(output) / VOLUMES)
    rows: dict[str, dict[str, str]] = {}
    about: dict[str, Any] = {"MeasurementToolMetadata": {"Description": "Volumes of the hippocampus, by hippopt"}}
    for files in scans:
        participant, _, others = files.id.partition("_")
        row = rows.setdefault(participant, {})
        for fields in fields_of(table.get(files.id, ())):
            for kinds, beginning in (
                (OF_SCANS, others),
                (OF_LABELS, "_".join(filter(None, (others, fields["label"])))),
            ):
                for column, (meaning, unit) in kinds.items():
                    name = "_".join(filter(None, (beginning, column)))
                    row[name] = fields[column] if fields[column] not in ("", "-") else "n/a"
                    where = ", ".join(filter(None, (fields["label"] if kinds is OF_LABELS else "", others)))
                    about[name] = {
                        "Description": f"{meaning}{f' ({where})' if where else ''}",
                        **({"Units": unit} if unit else {}),
                    }
    columns = [name for name in about if name != "MeasurementToolMetadata"]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["participant_id", *columns])
    writer.writerows(
        [participant, *(row.get(name, "n/a") for name in columns)] for participant, row in sorted(rows.items())
    )
    write_bytes(output / TABLE, text.getvalue().encode())
    write_json(output / Path(TABLE).with_suffix(".json"), about)


_README = """# Hippocampus segmentations

Made by hippopt {version} (`hippopt_bids`). A segmentation `*_seg-hippopt_dseg.nii.gz` lies in the grid of its scan;
`seg-hippopt_dseg.tsv` names its values. Once the level `group` has run, `phenotype/hippocampus.tsv` has the volumes in
a row per participant, and `volumes.tsv` all that is known in a row per scan and structure; `failures.tsv` lists scans
that could not be segmented; `report.html` shows all of them, the most doubtful first. `labels_itksnap.txt`,
`labels.ctbl` and `labels_freesurfer.txt` hold names and colours for ITK-SNAP, 3D Slicer and freeview.
"""
