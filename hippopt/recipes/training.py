"""Train and validate folds: adopt the base, check what belongs together, run the stages for each fold in turn."""

import time
from collections.abc import Sequence
from dataclasses import replace

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.dataset import Dataset
from hippopt.artifacts.fold_names import fit_number
from hippopt.artifacts.methods import METHODS, check_package
from hippopt.console import Console
from hippopt.errors import PlanError, TrainingError, UsageError
from hippopt.networks.device import choose_device
from hippopt.networks.locator import ReadyLocator
from hippopt.networks.restoring import read_card
from hippopt.planned_dataset import PlannedDataset
from hippopt.planning.run_plan import run_name
from hippopt.recipes.continued_run import check_origin, starting_points
from hippopt.recipes.folds_side_by_side import SideBySide, train_side_by_side
from hippopt.recipes.ready_models import ready_locator
from hippopt.recipes.requested_plan import requested_plan
from hippopt.recipes.training_inputs import FoldJob, check_cache, check_run_plan, load_unchanged, training_cases
from hippopt.recipes.unlabelled import learn_from_unlabelled
from hippopt.stages.adopt_base import adopt_base, load_known_base
from hippopt.stages.calibrate_run import calibrate_run
from hippopt.stages.decompose_base import carry_factors, decompose_base
from hippopt.stages.score_run import score_run
from hippopt.stages.take_locator import take_locator
from hippopt.stages.train_fold import check_start, clear_fold, fold_progress, train_fold
from hippopt.stages.validate_fold import ValidationInputs, validate_fold
from hippopt.stop_signals import StopSignals
from hippopt.training.fold import FoldInputs, FoldRequest, fold_cases, request_of_fold
from hippopt.training.lock import fold_lock
from hippopt.training.machine_limits import check_memory, default_workers
from hippopt.training.precision import use_bfloat16
from hippopt.training.request import TrainingRequest
from hippopt.training.start import with_earlier_settings


def train_folds(
    planned: PlannedDataset,
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
    check_package(request.method)
    if METHODS[request.method].known_steps and request.minutes is not None:
        raise UsageError(
            f"--minutes {request.minutes:g}: {request.method} plans its ranks over all its steps; give --steps instead"
        )
    plan = requested_plan(planned.plan, request, folds)
    if request.seed is not None and request.seed < 0:
        raise PlanError(f"--seed {request.seed}: not below 0")
    run = run_name(request.method, plan.adapter.rank, request.name)
    with StopSignals() as signals:
        planned = planned.with_plan(plan)
        dataset, jobs = _prepare(planned, run, folds, request, console)
        jobs = _with_unlabelled(planned, run, jobs, request, console, signals)
        if request.unlabelled is not None:
            started = time.perf_counter()  # --minutes are those of training
        jobs = _with_initial(planned, run, jobs, console)
        dice: dict[str, float] = {}
        if side_by_side is not None and len(jobs) > 1:
            _clear_all([job for job in jobs if request.overwrite and not job.request.resume], console)
            dice = train_side_by_side(jobs, request, side_by_side, signals, console)
            jobs = []
        ready = ready_locator(plan) if jobs else None
        for job in jobs:
            signals.stop_if_asked(f"before fold {job.request.fold}")
            with fold_lock(job.folder.lock) as stale:
                if stale:
                    console.warn(f"{job.folder.lock}: left by a process that is gone; taken over")
                train_fold(
                    job.request,
                    _with_locator(job, ready, console),
                    job.folder,
                    planned.workspace.run_plan(planned.name, run),
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
    score_run(planned, run, console)
    calibrate_run(planned.workspace, planned.name, run, plan, console)
    return dice


def _with_locator(job: FoldJob, ready: ReadyLocator | None, console: Console) -> FoldInputs:
    """The fold's inputs, with a ready model's locator where that serves it and the fold has none of its own yet."""
    kept = job.request.resume and job.folder.locator_card.exists()
    if ready is None or kept:
        return job.inputs
    found = take_locator(ready, job.inputs.train, job.inputs.plan, job.request.fold, console)
    return replace(job.inputs, ready=found)


def _clear_all(jobs: Sequence[FoldJob], console: Console) -> None:
    """Before folds are trained anew side by side: a process of one
    fold would find the others finished, by another plan perhaps.
    """
    for job in jobs:
        with fold_lock(job.folder.lock) as stale:
            if stale:
                console.warn(f"{job.folder.lock}: left by a process that is gone; taken over")
            clear_fold(job.folder)


def _with_initial(planned: PlannedDataset, run: str, jobs: list[FoldJob], console: Console) -> list[FoldJob]:
    """The jobs with the run's initial factors, where their method has such."""
    if not jobs:
        return jobs
    method, earlier, base = jobs[0].request.method, jobs[0].request.continue_from, jobs[0].inputs.base
    if not METHODS[method].decomposes or base is None:
        return jobs
    anew = [job.request.fold for job in jobs if not job.request.resume]
    if earlier is not None:
        initial = carry_factors(planned, earlier, run, anew, console)
    else:
        initial = decompose_base(planned, run, method, base, anew, console)
    return [replace(job, inputs=replace(job.inputs, initial=initial)) for job in jobs]


def _with_unlabelled(
    planned: PlannedDataset,
    run: str,
    jobs: list[FoldJob],
    request: TrainingRequest,
    console: Console,
    signals: StopSignals,
) -> list[FoldJob]:
    """The jobs with scans without labels, where the user has such."""
    if request.unlabelled is None or not jobs:
        return jobs
    found = learn_from_unlabelled(planned, run, request, console, signals)
    return [replace(job, inputs=replace(job.inputs, unlabelled=found)) for job in jobs]


def _prepare(
    planned: PlannedDataset, run: str, folds: list[str], request: TrainingRequest, console: Console
) -> tuple[Dataset, list[FoldJob]]:
    """Every input, checked. Nothing is written but a base that is new."""
    plan = planned.plan
    device, note = choose_device(request.device)
    autocast, precision = use_bfloat16(device, plan.patch_size, plan.network)
    check_run_plan(planned, run, folds, request)
    check_origin(planned, run, request.continue_from, folds if request.overwrite else ())
    dataset = load_unchanged(planned.workspace, planned.name, planned.fingerprint)
    entries = check_cache(planned)
    base = None
    if request.base is not None:
        _, card = adopt_base(request.base, plan, planned.workspace, console)
        base = load_known_base(card.sha256, planned.workspace)
    points = starting_points(planned, request.continue_from, folds, base)
    workers = request.workers if request.workers is not None else default_workers(device.type)
    jobs: list[FoldJob] = []
    for fold, resume in _folds_to_do(planned, run, folds, request, console):
        train, val = (training_cases(planned, cases) for cases in fold_cases(plan, planned.fingerprint, fold))
        inputs = FoldInputs(plan, planned.fingerprint, train, val, base, device, autocast, earlier=points.get(fold))
        seed = (plan.seed if request.seed is None else request.seed) + (fit_number(fold) or 1) - 1
        asked = request_of_fold(request, run, fold, seed, workers, resume)
        _check_seed(planned, run, asked, folds)
        folder = planned.fold(run, fold)
        if resume:
            asked = with_earlier_settings(asked, folder.run_settings, request.seed is not None)
        jobs.append(FoldJob(asked, inputs, folder, [entries[case.id] for case in val]))
    for job in jobs:
        check_start(job.request, job.inputs, job.folder)
    check_memory(plan, device.type, console)
    console.say(f"run {run}: {note}, {precision}, {plan.network.size} network")
    return dataset, jobs


def _check_seed(planned: PlannedDataset, run: str, request: FoldRequest, folds: Sequence[str]) -> None:
    """Raises TrainingError where a fit on all cases would be one that is there already, under another name."""
    others = [
        fold
        for fold in planned.workspace.trained_folds(planned.name, run)
        if fit_number(fold) and fold not in (request.fold, *folds)
    ]
    for other in others if fit_number(request.fold) else ():
        if read_card(planned.fold(run, other).adapter_card).settings.get("seed") == request.seed:
            raise TrainingError(
                f"fold {request.fold}: seed {request.seed} is that of {other}, so both would be the same fit; give"
                " another --seed"
            )


def _folds_to_do(
    planned: PlannedDataset, run: str, folds: Sequence[str], request: TrainingRequest, console: Console
) -> list[tuple[str, bool]]:
    """(fold, whether to resume it).

    With --resume finished folds are kept, begun ones go on and the others are started.
    """
    if not request.resume:
        return [(fold, False) for fold in folds]
    progress = {fold: fold_progress(planned.fold(run, fold), fold.isdigit()) for fold in folds}
    finished = [fold for fold in folds if progress[fold] == "finished"]
    stale = [
        fold
        for fold in finished
        if read_card(planned.fold(run, fold).adapter_card).plan_hash != content_hash(planned.plan)
    ]
    if stale:
        raise TrainingError(
            f"{planned.workspace.run(planned.name, run)}: fold {' '.join(stale)} was trained with"
            " another plan; train it anew with --overwrite"
        )
    if finished:
        console.say(f"finished and kept: fold {' '.join(finished)}")
    return [(fold, progress[fold] != "new") for fold in folds if progress[fold] != "finished"]
