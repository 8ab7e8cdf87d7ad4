"""hippopt as a BIDS App: `participant` segments the scans of a BIDS data set, `group` writes one table of all of them."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hippopt import __version__
from hippopt.artifacts.codec import write_bytes, write_json
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.writable_folder import check_writable
from hippopt.console import Console, counted
from hippopt.errors import OutputError
from hippopt.files.bids_layout import SEGMENTATION, BidsRequest, bids_description, bids_scans
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.label_tables import FILES, bids_table, write_label_tables
from hippopt.inference.volume_table import FAILURES, VOLUMES, fields_of, read_failures, read_volumes, write_failures
from hippopt.inference.volumes import COLUMNS
from hippopt.networks.restoring import read_card
from hippopt.recipes.prediction import Batch, PredictionRequest, check_identity, choose_folds, run_identity, segment_batch
from hippopt.recipes.standards import load_standards, with_head_sizes
from hippopt.stages.merge_parts import MergeRequest, merge_parts
from hippopt.workspace import Workspace

WORK = ".hippopt"  # journals and tables of the work itself, hidden from BIDS
BIDS_VERSION = "1.10.0"
TABLE = "phenotype/hippocampus.tsv"
ENTITY = re.compile(r"(?:^|_)(sub|ses)-([A-Za-z0-9]+)")

# column of volumes.tsv -> (description, unit)
MEANING = {
    "scan": ("Name of the scan in the source data set, without suffix and ending", ""),
    "label": ("Name of the structure", ""),
    "value": ("Its value in the segmentation", ""),
    "side": ("Side of the structure, where it has one", ""),
    "voxels": ("Voxels of the structure in the segmentation", ""),
    "volume_mm3": ("Volume of the structure", "mm^3"),
    "volume_low_mm3": ("Lower end of the 95 % interval of the true volume", "mm^3"),
    "volume_high_mm3": ("Upper end of the 95 % interval of the true volume", "mm^3"),
    "predicted_dice": ("Dice that the mask probably has with a person's outline, from 0 to 1", ""),
    "fold_agreement": ("Mean Dice of each network's own mask with the common one", ""),
    "components": ("Parts that touch nowhere", ""),
    "asymmetry_percent": ("200 (left - right) / (left + right)", "percent"),
    "head_size_mm3": ("Size of the head or of the brain", "mm^3"),
    "head_size_of": ("What head_size_mm3 is the size of", ""),
    "volume_per_head": ("Volume over head size", ""),
    "flag": ("What is odd about the mask, separated by semicolons", ""),
}


@dataclass(frozen=True)
class BidsApp:
    """What a BIDS App is called with. settings: how to predict; its source is the data set, its output the work folder."""

    scans: BidsRequest
    output: Path
    settings: PredictionRequest


def work_folder(output: Path) -> Path:
    """Where journals and prediction.json lie."""
    return output / WORK


def run_participants(workspace: Workspace, dataset: str, run: str, app: BidsApp, console: Console) -> int:
    """Segment the scans. Returns how many failed. Raises HippoptError's kinds before anything is computed."""
    scans = _listed(app)
    plan = load_plan(workspace.run_plan(dataset, run))
    _write_description(plan, app)
    # one part, whatever its participants: processes side by side have journals of their own, and `group` joins them
    return segment_batch(workspace, dataset, run, Batch(scans, (1, 1)), app.settings, console)


def run_group(workspace: Workspace, dataset: str, run: str, app: BidsApp, console: Console) -> int:
    """Write the table of all scans. Returns how many are missing. Raises HippoptError's kinds."""
    scans = _listed(app)
    plan = load_plan(workspace.run_plan(dataset, run))
    folds = choose_folds(workspace, dataset, run, app.settings.folds, len(plan.folds), console)
    if not check_identity(app.settings, run_identity(workspace, dataset, run, folds, app.settings)):
        raise OutputError(f"{app.output}: nothing is segmented there yet; run hippopt_bids with participant first")
    cards = [read_card(workspace.fold(dataset, run, fold).adapter_card) for fold in folds]
    standards = load_standards(workspace, dataset, run, plan, cards, console)
    standards = with_head_sizes(standards, app.settings.head_size, scans, console)
    work = work_folder(app.output)
    merged = merge_parts(scans, plan, MergeRequest(app.scans.folder, work, standards, app.settings.volume, app.settings.verify), console)
    _write_description(plan, app)
    _write_phenotype(app.output, scans)
    failed = read_failures(work / FAILURES)
    write_failures(failed, app.output / FAILURES)
    missing = [scans[position].id for position in merged.missing]
    for scan in missing[:20]:
        console.warn(f"{scan}: missing; run hippopt_bids with participant for it")
    if missing[20:]:
        console.warn(f"and {len(missing) - 20} more are missing")
    console.say(f"{counted(merged.masks, 'scan')} segmented, {merged.failed} failed, {len(missing)} missing: {app.output / TABLE}")
    if merged.failed:
        console.warn(f"{merged.failed} scans failed, each with its reason in {app.output / FAILURES}")
    return len(missing)


def _listed(app: BidsApp) -> list[ScanFiles]:
    if app.output.resolve() == app.scans.folder.resolve():
        raise OutputError(f"{app.output}: the data set itself; give a folder of its own, such as {app.output / 'derivatives' / 'hippopt'}")
    scans = bids_scans(app.scans, app.output)
    check_writable(app.output, str(app.output))
    return scans


def _write_description(plan: Plan, app: BidsApp) -> None:
    """What BIDS asks of a derivative data set, and what a viewer needs; written where it is not there as it should be."""
    source = bids_description(app.scans.folder)
    where: dict[str, Any] = {"URL": app.scans.folder.resolve().as_uri()}
    if source.get("DatasetDOI"):
        where["DOI"] = source["DatasetDOI"]
    description = {
        "Name": f"Hippocampus segmentations of {source.get('Name', app.scans.folder.resolve().name)}", "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative", "GeneratedBy": [{"Name": "hippopt", "Version": __version__}], "SourceDatasets": [where],
    }  # fmt: skip
    about = {"SpatialReference": "orig", "Manual": False}
    maps = {"SpatialReference": "orig", "Manual": False}
    for name, data in (
        ("dataset_description.json", description), (f"seg-{SEGMENTATION}_dseg.json", about), (f"seg-{SEGMENTATION}_probseg.json", maps),
    ):  # fmt: skip
        write_json(app.output / name, data)
    write_bytes(app.output / f"seg-{SEGMENTATION}_dseg.tsv", bids_table(plan.labels).encode())
    write_bytes(app.output / ".bidsignore", "".join(f"{name}\n" for name in (*FILES, FAILURES)).encode())
    write_bytes(app.output / "README.md", _README.format(version=__version__).encode())
    write_label_tables(plan.labels, app.output)


def _write_phenotype(output: Path, scans: Sequence[ScanFiles]) -> None:
    """A row a scan and label, with the participant's label and the session's."""
    table = read_volumes(work_folder(output) / VOLUMES)
    columns = ["participant_id", "session_id", *COLUMNS]
    rows = []
    for files in scans:
        entities = dict(ENTITY.findall(files.id))
        session = f"ses-{entities['ses']}" if "ses" in entities else "n/a"
        rows += [
            [f"sub-{entities['sub']}", session, *(_known(fields[name]) for name in COLUMNS)]
            for fields in fields_of(table.get(files.id, ()))
        ]
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows([columns, *rows])
    write_bytes(output / TABLE, text.getvalue().encode())
    described = {name: {"Description": MEANING[name][0], **({"Units": MEANING[name][1]} if MEANING[name][1] else {})} for name in COLUMNS}
    about = {"Description": "Volumes of the hippocampus, by hippopt"}
    write_json(output / Path(TABLE).with_suffix(".json"), {"MeasurementToolMetadata": about, **described})


def _known(value: str) -> str:
    return value if value not in ("", "-") else "n/a"


_README = """# Hippocampus segmentations

Made by hippopt {version} (`hippopt_bids`). A segmentation `*_seg-hippopt_dseg.nii.gz` lies in the grid of its scan; `seg-hippopt_dseg.tsv` names its values.
Volumes of all scans are in `phenotype/hippocampus.tsv` once the level `group` has run; `failures.tsv` lists scans that could not be segmented.
`labels_itksnap.txt`, `labels.ctbl` and `labels_freesurfer.txt` hold names and colours for ITK-SNAP, 3D Slicer and freeview.
"""
