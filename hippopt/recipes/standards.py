"""What the masks of a run are judged by: contrast and volumes of its training scans, and its calibration."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hippopt.artifacts.calibration import Calibration, check_calibration
from hippopt.artifacts.codec import Record, load_record
from hippopt.artifacts.head_sizes import read_head_sizes
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import AdapterCard
from hippopt.console import Console, counted
from hippopt.errors import PlanError
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.cohort import Pairs, known_cohort
from hippopt.inference.contrast import known_contrast
from hippopt.inference.volumes import Standards
from hippopt.workspace import Workspace


def side_pairs(plan: Plan) -> Pairs:
    """(left, right) labels of one structure."""
    return tuple((plan.class_names[left], plan.class_names[right]) for left, right in plan.class_sides.pairs)


def _fingerprint(workspace: Workspace, dataset: str, run: str) -> Path:
    """Of the run, where the data set has had another one since."""
    kept = workspace.run_fingerprint(dataset, run)
    return kept if kept.exists() else workspace.fingerprint(dataset)


def load_standards(
    workspace: Workspace,
    dataset: str,
    run: str,
    plan: Plan,
    cards: Sequence[AdapterCard],
    console: Console,
    calibrated: bool = True,
) -> Standards:
    """As far as they are known here. calibrated: whether the
    networks are those whose signals a calibration was fitted to.
    """
    pairs = side_pairs(plan)
    fingerprint = _fingerprint(workspace, dataset, run)
    contrast = known_contrast(workspace.run_contrast(dataset, run), fingerprint, plan.fingerprint_hash)
    return Standards(
        contrast=(contrast.low, contrast.high) if contrast else None,
        cohort=known_cohort(workspace.run_cohort(dataset, run), fingerprint, plan.fingerprint_hash, pairs),
        calibration=_calibration(workspace, dataset, run, cards, console) if calibrated else None,
        pairs=pairs,
        seen=frozenset(seen for card in cards for seen in card.seen_images),
    )


def with_head_sizes(
    standards: Standards, table: Path | None, scans: Sequence[ScanFiles], console: Console
) -> Standards:
    """The standards with head sizes from outside, where a table of them is given. Raises DatasetError."""
    if table is None:
        return standards
    sizes = read_head_sizes(table)
    without = [files.id for files in scans if sizes.of(files.id) is None]
    if without:
        console.warn(
            f"{table}: no row for {counted(len(without), 'scan')} ({without[0]}{', ...' if without[1:] else ''}), whose"
            " head sizes stay blank"
        )
    return replace(standards, head_sizes=sizes)


def _calibration(
    workspace: Workspace, dataset: str, run: str, cards: Sequence[AdapterCard], console: Console
) -> Calibration | None:
    """None, said once, where there is none that fits the networks."""
    path = workspace.run_calibration(dataset, run)
    if not path.exists():
        console.say(
            f"run {run} has no calibration (it takes two validated folds of one plan, and ten cases): no predicted"
            " Dice, no intervals of volumes"
        )
        return None
    try:
        found = check_calibration(load_record(path, Calibration, "hippopt_train"), path)
    except PlanError as error:
        console.warn(f"{error}; no predicted Dice, no intervals of volumes")
        return None
    if not all(found.belongs_to(card.plan_hash, {card.fold: card.sha256}) for card in cards):
        console.warn(
            f"{path}: made of other networks than those that are here; no predicted Dice, until hippopt_train has"
            " validated them"
        )
        return None
    if not found.useful:
        console.say(
            f"run {run}: its calibration is not used, since {found.verdict}: no predicted Dice, no intervals of volumes"
        )
        return None
    return found


def judging_records(
    workspace: Workspace, dataset: str, run: str, plan: Plan, cards: Sequence[AdapterCard], console: Console
) -> dict[str, Record]:
    """What a model file takes along of it: file name -> record."""
    standards = load_standards(workspace, dataset, run, plan, cards, console)
    contrast = known_contrast(
        workspace.run_contrast(dataset, run), _fingerprint(workspace, dataset, run), plan.fingerprint_hash
    )
    found: dict[str, Record | None] = {
        "contrast.json": contrast,
        "cohort.json": standards.cohort,
        "calibration.json": standards.calibration,
    }
    return {name: record for name, record in found.items() if record is not None}
