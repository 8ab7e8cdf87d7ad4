"""Train and validate folds: adopt the base, check what belongs together, run the stages for each fold in turn."""

import time
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pandas as pd

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.dataset import Dataset
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.fold_names import fit_number
from hippopt.artifacts.methods import METHODS, Method, check_library
from hippopt.artifacts.plan import STACKS, Plan
from hippopt.artifacts.plan_rules import check_adaptable, check_plan
from hippopt.console import Console
from hippopt.errors import PlanError, TrainingError, UsageError
from hippopt.machine import core_count, machine_bytes, threads_asked
from hippopt.networks.device import choose_device
from hippopt.networks.memory import training_bytes
from hippopt.networks.restoring import read_card
from hippopt.recipes.folds_side_by_side import SideBySide, train_side_by_side
from hippopt.recipes.training_inputs import FoldJob, check_cache, check_run_plan, load_unchanged, training_cases
from hippopt.reporting.scores import say_summary
from hippopt.scoring.tables import read_case_table, summarise, write_csv, write_json
from hippopt.stages.adopt_base import adopt_base, load_known_base
from hippopt.stages.calibrate_run import calibrate_run
from hippopt.stages.decompose_base import decompose_base
from hippopt.stages.train_fold import check_start, clear_fold, fold_progress, train_fold
from hippopt.stages.validate_fold import ValidationInputs, validate_fold
from hippopt.stop_signals import StopSignals
from hippopt.training.fold import FoldInputs, FoldRequest, fold_cases, request_of_fold
from hippopt.training.lock import fold_lock
from hippopt.training.precision import use_bfloat16
from hippopt.training.request import TrainingRequest
from hippopt.training.start import with_earlier_settings
from hippopt.workspace import Workspace

PROCESS_BYTES = 0.8e9  # of a process that has torch and monai loaded
SURELY_NEEDED = (
    0.4  # of the estimate for full training: it doubles what autograd saves, and methods with frozen layers save less
)
MEMORY_SHARE = 0.6  # of the machine's, for all folds that are trained side by side


def run_name(method: Method, rank: int | dict[str, int], name: str) -> str:
    """Method, rank where there is one (`r4`, or `r1-4-8` by stack), and the user's own name."""
    ranks = str(rank) if isinstance(rank, int) else "-".join(str(rank[stack]) for stack in STACKS if stack in rank)
    return "-".join(part for part in (method, f"r{ranks}" if METHODS[method].ranked else "", name) if part)


def train_folds(
    workspace: Workspace,
    dataset_name: str,
    plan: Plan,
    fingerprint: Fingerprint,
    folds: list[str],
    request: TrainingRequest,
    console: Console,
    started: float,
    side_by_side: SideBySide | None = None,
) -> dict[str, float]:
    """Mean foreground Dice of each fold that has validation cases. Everything is checked before the first fold is
    trained.

    Raises HippoptError's kinds in one line; Interrupted after a signal.
    """
    check_library(request.method)
    if METHODS[request.method].known_steps and request.minutes is not None:
        raise UsageError(
            f"--minutes {request.minutes:g}: {request.method} plans its ranks over all its steps; give --steps instead"
        )
    plan = adjusted_plan(plan, request.method, request.rank, request.learning_rate, request.no_transformer)
    if request.seed is not None and request.seed < 0:
        raise PlanError(f"--seed {request.seed}: not below 0")
    run = run_name(request.method, plan.adapter.rank, request.name)
    with StopSignals() as signals:
        dataset, jobs = _prepare(workspace, dataset_name, run, plan, fingerprint, folds, request, console)
        jobs = _with_initial(workspace, dataset_name, run, plan, jobs, console)
        dice: dict[str, float] = {}
        if side_by_side is not None and len(jobs) > 1:
            _clear_all([job for job in jobs if request.overwrite and not job.request.resume], console)
            dice = train_side_by_side(jobs, request, side_by_side, signals, console)
            jobs = []
        for job in jobs:
            signals.stop_if_asked(f"before fold {job.request.fold}")
            with fold_lock(job.folder.lock) as stale:
                if stale:
                    console.warn(f"{job.folder.lock}: left by a process that is gone; taken over")
                train_fold(
                    job.request,
                    job.inputs,
                    job.folder,
                    workspace.run_plan(dataset_name, run),
                    console,
                    started,
                    signals,
                )
                if job.inputs.val:
                    cases = list(zip(job.inputs.val, job.entries, strict=True))
                    judged = ValidationInputs(plan, dataset, cases, job.inputs.base, job.inputs.device)
                    dice[job.request.fold] = validate_fold(judged, job.folder, console, signals)
            console.say(
                f"fold {job.request.fold} done in {(time.perf_counter() - started) / 60:.1f} min: {job.folder.path}"
            )
            started = time.perf_counter()
    _say_out_of_fold(workspace, dataset_name, run, plan, console)
    calibrate_run(workspace, dataset_name, run, plan, console)
    return dice


def _clear_all(jobs: Sequence[FoldJob], console: Console) -> None:
    """Before folds are trained anew side by side: a process of one
    fold would find the others finished, by another plan perhaps.
    """
    for job in jobs:
        with fold_lock(job.folder.lock) as stale:
            if stale:
                console.warn(f"{job.folder.lock}: left by a process that is gone; taken over")
            clear_fold(job.folder)


def _with_initial(
    workspace: Workspace, dataset: str, run: str, plan: Plan, jobs: list[FoldJob], console: Console
) -> list[FoldJob]:
    """The jobs with the run's initial factors, where their method has such."""
    if not jobs or not METHODS[jobs[0].request.method].decomposes or jobs[0].inputs.base is None:
        return jobs
    anew = [job.request.fold for job in jobs if not job.request.resume]
    initial = decompose_base(workspace, dataset, run, jobs[0].request.method, plan, jobs[0].inputs.base, anew, console)
    return [replace(job, inputs=replace(job.inputs, initial=initial)) for job in jobs]


def _say_out_of_fold(workspace: Workspace, dataset: str, run: str, plan: Plan, console: Console) -> None:
    """Scores of every finished fold of the run together: written beside the folds, and said where there are several."""
    folds = [workspace.fold(dataset, run, str(number)) for number in range(len(plan.folds))]
    tables = [
        read_case_table(folder.metrics) for folder in folds if folder.summary.exists() and folder.metrics.exists()
    ]
    if len(tables) < 2:
        return
    table = pd.concat(tables, ignore_index=True)
    summary = summarise(table)
    path = workspace.out_of_fold(dataset, run)
    write_csv(path, table)
    write_json(path.with_suffix(".json"), summary, {"folds": len(tables), "of": len(plan.folds), "checkpoint": "last"})
    console.say(f"out of fold, {len(tables)} of {len(plan.folds)} folds, {table.case.nunique()} cases: {path}")
    say_summary(summary, console)


def adjusted_plan(
    plan: Plan, method: Method, rank: int | None, learning_rate: float | None, no_transformer: bool = False
) -> Plan:
    """The plan of a run: with the rank and the method's learning rate that
    the user asked for, or without a transformer. Raises PlanError.
    """
    if no_transformer:
        plan = msgspec.structs.replace(plan, network=msgspec.structs.replace(plan.network, transformer=False))
    if rank is not None:
        plan = check_plan(
            msgspec.structs.replace(plan, adapter=msgspec.structs.replace(plan.adapter, rank=rank)), f"--rank {rank}"
        )
    if learning_rate is not None:
        rates = {**plan.schedule.learning_rate, method: learning_rate}
        schedule = msgspec.structs.replace(plan.schedule, learning_rate=rates)
        if method == "full":
            schedule = msgspec.structs.replace(schedule, full_rate_on_base=None)
        plan = check_plan(msgspec.structs.replace(plan, schedule=schedule), f"--learning-rate {learning_rate}")
    check_adaptable(plan, method)
    if method == "adalora" and not isinstance(plan.adapter.rank, int):
        raise PlanError(
            f"adapter.rank: {plan.adapter.rank}; adalora shares one budget over all layers: give one number with --rank"
        )
    return plan


def _prepare(
    workspace: Workspace,
    dataset_name: str,
    run: str,
    plan: Plan,
    fingerprint: Fingerprint,
    folds: list[str],
    request: TrainingRequest,
    console: Console,
) -> tuple[Dataset, list[FoldJob]]:
    """Every input, checked. Nothing is written but a base that is new."""
    device, note = choose_device(request.device)
    autocast, precision = use_bfloat16(device, plan.patch_size, plan.network)
    check_run_plan(workspace, dataset_name, run, plan, folds, request.resume, request.overwrite, request.allow_change)
    dataset = load_unchanged(workspace, dataset_name, fingerprint)
    entries = check_cache(workspace, dataset_name, plan, fingerprint)
    base = None
    if request.base is not None:
        _, card = adopt_base(request.base, plan, workspace, console)
        base = load_known_base(card.sha256, workspace)
    workers = request.workers if request.workers is not None else _default_workers(device.type)
    jobs: list[FoldJob] = []
    for fold, resume in _folds_to_do(workspace, dataset_name, run, plan, folds, request, console):
        train, val = fold_cases(plan, fingerprint, fold)
        inputs = FoldInputs(
            plan,
            fingerprint,
            training_cases(workspace, dataset_name, train),
            training_cases(workspace, dataset_name, val),
            base,
            device,
            autocast,
        )
        seed = (plan.seed if request.seed is None else request.seed) + (fit_number(fold) or 1) - 1
        asked = request_of_fold(request, run, fold, seed, workers, resume)
        _check_seed(workspace, dataset_name, run, asked, folds)
        folder = workspace.fold(dataset_name, run, fold)
        if resume:
            asked = with_earlier_settings(asked, folder.run_settings, request.seed is not None)
        jobs.append(FoldJob(asked, inputs, folder, [entries[case] for case in val]))
    for job in jobs:
        check_start(job.request, job.inputs, job.folder)
    _check_memory(plan, device.type, console)
    console.say(f"run {run}: {note}, {precision}, {plan.network.size} network")
    return dataset, jobs


def _check_memory(plan: Plan, device: str, console: Console) -> None:
    """Hold the plan against the memory before anything is trained. Raises PlanError where it cannot fit, warns where it
    may not.

    A GPU takes a batch in pieces where it must, so it is not asked here.
    """
    if device != "cpu":
        return
    needed, there = (
        training_bytes(
            plan.network, len(plan.channel_names), len(plan.network_classes), plan.patch_size, plan.batch_size
        ),
        machine_bytes(),
    )
    words = (
        f"batch_size {plan.batch_size} and patch_size {' x '.join(map(str, plan.patch_size))} need about"
        f" {needed / 1e9:.1f} GB, and there are {there / 1e9:.1f}"
    )
    if SURELY_NEEDED * needed > there:
        raise PlanError(
            f"memory: {words}; train on a larger machine, or plan for this one with `hippopt_plan {plan.dataset}"
            " --overwrite`"
        )
    if needed > there:
        console.warn(f"memory: {words}; it may run out")


def _check_seed(workspace: Workspace, dataset: str, run: str, request: FoldRequest, folds: Sequence[str]) -> None:
    """Raises TrainingError where a fit on all cases would be one that is there already, under another name."""
    others = [
        fold
        for fold in workspace.trained_folds(dataset, run)
        if fit_number(fold) and fold not in (request.fold, *folds)
    ]
    for other in others if fit_number(request.fold) else ():
        if read_card(workspace.fold(dataset, run, other).adapter_card).settings.get("seed") == request.seed:
            raise TrainingError(
                f"fold {request.fold}: seed {request.seed} is that of {other}, so both would be the same fit; give"
                " another --seed"
            )


def _folds_to_do(
    workspace: Workspace,
    dataset: str,
    run: str,
    plan: Plan,
    folds: Sequence[str],
    request: TrainingRequest,
    console: Console,
) -> list[tuple[str, bool]]:
    """(fold, whether to resume it).

    With --resume finished folds are kept, begun ones go on and the others are started.
    """
    if not request.resume:
        return [(fold, False) for fold in folds]
    progress = {fold: fold_progress(workspace.fold(dataset, run, fold), fold.isdigit()) for fold in folds}
    finished = [fold for fold in folds if progress[fold] == "finished"]
    stale = [
        fold
        for fold in finished
        if read_card(workspace.fold(dataset, run, fold).adapter_card).plan_hash != content_hash(plan)
    ]
    if stale:
        raise TrainingError(
            f"{workspace.run(dataset, run)}: fold {' '.join(stale)} was trained with another plan; train it anew with"
            " --overwrite"
        )
    if finished:
        console.say(f"finished and kept: fold {' '.join(finished)}")
    return [(fold, progress[fold] != "new") for fold in folds if progress[fold] != "finished"]


def folds_at_once(plan: Plan, folds: int, device: str) -> int:
    """How many folds to train side by side: on a CPU as many as there are cores and memory for, else one."""
    if choose_device(device)[0].type != "cpu":  # type: ignore[arg-type]
        return 1
    each = PROCESS_BYTES + training_bytes(
        plan.network, len(plan.channel_names), len(plan.class_names), plan.patch_size, plan.batch_size
    )
    return max(1, min(folds, core_count() // (threads_asked() or 1), int(MEMORY_SHARE * machine_bytes() / each)))


def _default_workers(device: str) -> int:
    """On a CPU, training itself wants all cores; beside a GPU, up to eight processes."""
    return 0 if device == "cpu" else max(1, min(8, core_count() - 1))
