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
from hippopt.inference.contrast import UsualContrast, known_contrast
from hippopt.inference.volumes import Standards
from hippopt.recipes.chosen_run import ChosenRun


def side_pairs(plan: Plan) -> Pairs:
    """(left, right) labels of one structure."""
    return tuple((plan.class_names[left], plan.class_names[right]) for left, right in plan.class_sides.pairs)


def _fingerprint(run: ChosenRun) -> Path:
    """Of the run, where the data set has had another one since."""
    kept = run.workspace.run_fingerprint(run.dataset, run.name)
    return kept if kept.exists() else run.workspace.fingerprint(run.dataset)


def load_standards(
    run: ChosenRun, cards: Sequence[AdapterCard], console: Console, calibrated: bool = True
) -> Standards:
    """As far as they are known here.

    calibrated: whether the networks are those whose signals a calibration was fitted to.
    """
    pairs, fingerprint, contrast = side_pairs(run.plan), _fingerprint(run), _contrast(run)
    cohort = run.workspace.run_cohort(run.dataset, run.name)
    return Standards(
        contrast=contrast,
        cohort=known_cohort(cohort, fingerprint, run.plan.fingerprint_hash, pairs),
        calibration=_calibration(run, cards, console) if calibrated else None,
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


def _contrast(run: ChosenRun) -> UsualContrast | None:
    there = run.workspace.run_contrast(run.dataset, run.name)
    return known_contrast(there, _fingerprint(run), run.plan.fingerprint_hash)


def _calibration(run: ChosenRun, cards: Sequence[AdapterCard], console: Console) -> Calibration | None:
    """None, said once, where there is none that fits the networks."""
    path = run.workspace.run_calibration(run.dataset, run.name)
    if not path.exists():
        console.say(
            f"run {run.name} has no calibration (it takes two validated folds of one plan, and ten cases): no predicted"
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
            f"run {run.name}: its calibration is not used, since {found.verdict}: no predicted Dice, no intervals of"
            " volumes"
        )
        return None
    if found.on:
        console.say(f"run {run.name}: its predicted Dice and intervals are calibrated on {found.on}")
    return found


def judging_records(run: ChosenRun, cards: Sequence[AdapterCard], console: Console) -> dict[str, Record]:
    """What a model file takes along of it: file name -> record."""
    standards = load_standards(run, cards, console)
    found: dict[str, Record | None] = {
        "contrast.json": _contrast(run),
        "cohort.json": standards.cohort,
        "calibration.json": standards.calibration,
    }
    return {name: record for name, record in found.items() if record is not None}
