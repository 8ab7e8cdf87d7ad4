"""Verify, fingerprint, plan and preprocess a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from hippopt.artifacts.codec import load_record, write_json
from hippopt.artifacts.corrections import read_corrections
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.writable_folder import check_writable
from hippopt.console import Console, counted
from hippopt.errors import HippoptError, TrainingError
from hippopt.planning.fold_coverage import uncovered_labels
from hippopt.planning.growth import grew_by_corrections, joined_folds, where_joined
from hippopt.planning.plan_in_words import say_decisions
from hippopt.planning.splits import SPLITS
from hippopt.stages.extract_fingerprint import extract_fingerprint
from hippopt.stages.verify_dataset import verify_dataset
from hippopt.training.lock import check_free
from hippopt.workspace import Workspace

if TYPE_CHECKING:
    import torch

    from hippopt.planning.decisions import Machine


@dataclass(frozen=True)
class PlanningRequest:
    """What the user asked of hippopt_plan. memory_gb: None for what the
    machine has. splits: a file of folds; reset: keys to decide again.
    """

    jobs: int
    settings: tuple[str, ...] = ()
    memory_gb: float | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    verify_only: bool = False
    preprocess: bool = True
    fix_headers: bool = False
    overwrite: bool = False
    reset: tuple[str, ...] = ()
    splits: Path | None = None


def plan_dataset(workspace: Workspace, name: str, request: PlanningRequest, console: Console) -> Plan | None:
    """The plan, written and said aloud, with the cases preprocessed; None after `verify_only`.

    Raises HippoptError's kinds.
    """
    if not request.verify_only:
        check_writable(workspace.plan(name).parent)
    if request.preprocess and not request.verify_only:
        check_writable(workspace.preprocessed(name))
        if request.overwrite:
            check_free(workspace.locks(name), str(workspace.preprocessed(name)))
    dataset = load_dataset(workspace.dataset_folder(name))
    surveys = verify_dataset(dataset, request.jobs, console, request.fix_headers)
    console.say(
        f"{name}: {counted(len(dataset.cases), 'case')} of"
        f" {counted(len({c.subject for c in dataset.cases}), 'subject')} verified, no faults"
    )
    if request.verify_only:
        return None
    fingerprint = extract_fingerprint(dataset, surveys)
    for warning in fingerprint.warnings:
        console.warn(warning)
    # torch is only needed from here on
    from hippopt.stages.make_plan import PlanEdits, make_plan
    from hippopt.stages.preprocess import preprocess
    from hippopt.training.duration import say_duration

    machine, device, note = planned_for(request)
    grown = None if request.overwrite else _grown(workspace, name, fingerprint, console)
    edits = PlanEdits(request.settings, request.reset, request.splits, grown)
    earlier = _earlier_fingerprint(workspace, name)
    plan = make_plan(fingerprint, workspace.plan(name), machine, edits, console, request.overwrite, earlier)
    _keep_for_runs(workspace, name, earlier, fingerprint, console)
    write_json(workspace.fingerprint(name), fingerprint)
    lying = workspace.dataset_folder(name) / SPLITS
    if request.splits is None and lying.is_file() and not plan.reasons.get("folds", "").startswith("as in "):
        console.say(f"{lying}: folds of nnU-Net, not used; to take them: hippopt_plan {name} --splits {lying}")
    for warning in uncovered_labels(plan.folds, fingerprint):
        console.warn(warning)
    console.say(f"plan for {machine.memory_gb:.1f} GB {note}: {workspace.plan(name)}")
    say_decisions(plan, console)
    if device is not None:
        say_duration(plan, device, console)
    if request.preprocess:
        made, kept = preprocess(
            dataset, fingerprint, plan, workspace.preprocessed(name), request.jobs, console, request.overwrite
        )
        console.say(f"preprocessed {counted(made, 'case')}, kept {kept}: {workspace.preprocessed(name)}")
    return plan


def planned_for(request: PlanningRequest) -> "tuple[Machine, torch.device | None, str]":
    """Tell which machine is planned for: this one, or another one's GPU (as from a cluster's login node).

    Args:
        request: its device, and the memory to plan for.

    Returns:
        The machine; this machine's device, None where the GPU is another machine's; and a few words on it.

    Raises:
        TrainingError: a GPU is asked for that this machine does not have, and nobody says how much memory it has.
    """
    from hippopt.networks.device import choose_device, memory_gb
    from hippopt.planning.decisions import Machine

    try:
        device, note = choose_device(request.device)
    except TrainingError as error:
        if request.memory_gb is None:
            line = f"{error}; to plan for another machine's GPU, say how much memory it has: --memory-gb"
            raise TrainingError(line) from error
        return Machine("cuda", request.memory_gb), None, "of another machine's GPU (none is usable here)"
    return Machine("cuda" if device.type == "cuda" else "cpu", request.memory_gb or memory_gb(device)), device, note


def _grown(workspace: Workspace, name: str, fingerprint: Fingerprint, console: Console) -> Plan | None:
    """The data set's plan with the cases of hippopt_correct in its folds;
    None where there is no plan, or other changes than corrections.
    """
    if not workspace.plan(name).exists() or not workspace.fingerprint(name).exists():
        return None
    try:
        plan = load_plan(workspace.plan(name))
        old = load_record(workspace.fingerprint(name), Fingerprint, f"hippopt_plan {name}")
    except HippoptError:
        return None  # `make_plan` says what is wrong with a plan; a fingerprint is taken anew
    if plan.fingerprint_hash != old.dataset_hash or old.dataset_hash == fingerprint.dataset_hash:
        return None
    if not grew_by_corrections(old, fingerprint, read_corrections(workspace.dataset_folder(name))):
        return None
    known = [case.id for case in old.cases]
    folds = joined_folds(plan.folds, known, fingerprint, plan.seed)
    new = len(fingerprint.cases) - len(known)
    before = {case.id: (case.image_hash, case.label_hash) for case in old.cases}
    changed = sum(
        before.get(case.id, (case.image_hash, case.label_hash)) != (case.image_hash, case.label_hash)
        for case in fingerprint.cases
    )
    joined = ", ".join(f"{len(cases)} to fold {number}" for number, cases in where_joined(plan.folds, folds).items())
    console.say(
        f"{counted(new, 'new case')}{f' ({joined})' if joined else ''} and {counted(changed, 'corrected case')}: old"
        f" cases keep their folds and the plan its decisions, made for {counted(len(known), 'case')};"
        " --overwrite decides anew and draws new folds"
    )
    runs = workspace.runs(name)
    if runs:
        console.say(
            f"{', '.join(runs)}: trained before, and kept with the plan of that time; hippopt_train --continue-from RUN"
            " goes on from one with all cases, or train anew with --name"
        )
    return msgspec.structs.replace(plan, fingerprint_hash=fingerprint.dataset_hash, folds=folds)


def _earlier_fingerprint(workspace: Workspace, name: str) -> Fingerprint | None:
    try:
        return load_record(workspace.fingerprint(name), Fingerprint, "hippopt_plan")
    except HippoptError:
        return None


def _keep_for_runs(
    workspace: Workspace, name: str, earlier: Fingerprint | None, now: Fingerprint, console: Console
) -> None:
    """Leave the runs of a data set that changed the fingerprint by which they judge scans and masks."""
    from hippopt.artifacts.plan_rules import load_plan

    if earlier is None or earlier.dataset_hash == now.dataset_hash:
        return
    kept = []
    for run in workspace.runs(name):
        try:
            belongs = load_plan(workspace.run_plan(name, run)).fingerprint_hash == earlier.dataset_hash
        except HippoptError:
            continue
        if belongs and not workspace.run_fingerprint(name, run).exists():
            write_json(workspace.run_fingerprint(name, run), earlier)
            kept.append(run)
    if kept:
        console.say(
            f"the data set changed: its earlier fingerprint stays with run {', '.join(kept)}, which can go on"
            " predicting"
        )
