"""Stage 5: train one fold of a run, from its base to its adapter file."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from hippopt.artifacts.codec import remove_leftovers, write_bytes, write_json
from hippopt.artifacts.part_borders import PartBorders
from hippopt.batches.augmentation import open_batches
from hippopt.console import Console, counted
from hippopt.errors import HippoptError
from hippopt.networks.base_weights import KeyReport
from hippopt.networks.locator import LocatorTraining, read_locator, write_locator
from hippopt.networks.unetr import HEAD
from hippopt.reporting.progress import plot_progress
from hippopt.result_folders import FoldFolder
from hippopt.stop_signals import StopSignals
from hippopt.training.adapter_file import write_adapter
from hippopt.training.checkpoint import LoopState
from hippopt.training.fold import FoldInputs, FoldRequest, settings_of
from hippopt.training.locator import train_locator
from hippopt.training.loop import LoopHooks, Optimisation, train
from hippopt.training.pace import ProgressBar, make_budget
from hippopt.training.part_borders import fit_part_borders
from hippopt.training.quick_validation import QuickValidation, region_windows, windows_around
from hippopt.training.set_up import Begun, StateFiles, set_up
from hippopt.training.start import Progress, check_arrays, check_disk, check_progress, check_settings, check_unseen

SMOOTHING = 0.9  # of the quick validation Dice, as nnU-Net smooths its own


def fold_progress(folder: FoldFolder, validated: bool) -> Progress:
    """How far a fold has come. `validated`: whether it has cases to be validated on."""
    if folder.adapter_card.exists():
        return "finished" if folder.summary.exists() or not validated else "trained"
    return "begun" if folder.resume.exists() or folder.resume_previous.exists() else "new"


def check_start(request: FoldRequest, inputs: FoldInputs, folder: FoldFolder) -> None:
    """All checks before training. Changes nothing; raises HippoptError's kinds."""
    progress = fold_progress(folder, bool(inputs.val))
    check_progress(request, progress, folder.path)
    if request.resume and progress == "begun" and not request.allow_change:
        check_settings(folder.run_settings, settings_of(request, inputs))
    if not request.allow_seen:
        check_unseen(inputs)
    check_arrays([*inputs.train, *inputs.val, *(inputs.unlabelled.cases if inputs.unlabelled else ())], inputs.plan)


def train_fold(
    request: FoldRequest,
    inputs: FoldInputs,
    folder: FoldFolder,
    run_plan: Path,
    console: Console,
    started: float,
    stop: StopSignals,
) -> None:
    """Train and store the adapter, and beside the folds the plan. The caller holds the fold's lock.

    Args:
        request: method, fold, seed, how long to train, and whether to resume or to begin anew.
        inputs: plan, fingerprint, cases as preprocessed, base, initial factors and device.
        folder: where adapter, locator, log and the state for resuming go.
        run_plan: where the plan goes, beside the folds.
        console: progress goes here.
        started: `time.perf_counter()` when the command began: what was done before counts for `--minutes`.
        stop: a stop signal ends the training after the step at hand.

    Raises:
        TrainingError: what was asked does not fit what is there, the settings are others than a resumed fold began
            with, or too many steps in a row are not finite.
        PlanError: the settings that it was begun with cannot be read.
        StaleArtifactError: a preprocessed array is damaged or missing.
        WeightsError: base, initial factors or resumed weights do not fit the network, or the base has seen validation
            cases.
        UsageError: a library that the method needs is not installed, or the method has no factors for the kernels that
            the plan names.
        OutputError: the disk is too small, or nothing can be written.
        Interrupted: after a signal, with the state saved.
    """
    check_start(request, inputs, folder)
    if request.resume and folder.adapter_card.exists():
        if not _ensure_locator(request, inputs, folder, console, stop):
            stop.stop_if_asked("while its locator was trained")
        console.say(f"fold {request.fold}: trained already; validation follows")
        return
    remove_leftovers(folder.path)
    files = StateFiles(folder.resume, folder.resume_previous, folder.initial_factors)
    begun, reports = set_up(request, inputs, files, console)
    tuned, state = begun.tuned, begun.state
    check_disk(tuned, folder.path)
    if request.overwrite:
        clear_fold(folder)
    write_json(run_plan, inputs.plan)
    write_json(folder.run_settings, settings_of(request, inputs))
    _report_base(reports, folder, console)
    left = sorted(name for name in tuned.kept if name.startswith(HEAD))
    if left:
        console.warn(
            f"method {request.method} leaves the head as it was begun, and it had to be made anew for these labels:"
            f" {', '.join(left)}"
        )
    counts = tuned.counts()
    console.say(
        f"fold {request.fold}: {counted(len(inputs.train), 'case')} to train on, {len(inputs.val)} to validate; trains "
        + ", ".join(f"{count:,} {group}" for group, count in counts.items())
        + " parameters"
    )
    inputs = replace(inputs, borders=_part_borders(inputs, console))
    if not _ensure_locator(request, inputs, folder, console, stop):
        begun.save()
        stop.stop_if_asked("while its locator was trained")
    _run_loop(request, inputs, folder, console, begun, started, stop)
    if inputs.earlier is None and state.step < 2 * inputs.plan.schedule.warmup_steps:
        console.warn(
            f"only {state.step} steps, of which {inputs.plan.schedule.warmup_steps} are warm-up: this network is hardly"
            " trained"
        )
    write_adapter(folder.adapter, folder.adapter_card, request, inputs, tuned, state, "last")
    for leftover in (folder.resume, folder.resume_previous):
        leftover.unlink(missing_ok=True)


def clear_fold(folder: FoldFolder) -> None:
    """Remove the results of an earlier training, the card that makes them count first."""
    files = [
        folder.adapter_card,
        folder.best_adapter_card,
        folder.summary,
        folder.metrics,
        folder.signals,
        folder.adapter,
        folder.best_adapter,
        folder.resume,
        folder.resume_previous,
        folder.run_settings,
        folder.log,
        folder.progress,
        folder.base_report,
        folder.locator_card,
        folder.locator,
    ]
    masks = list(folder.validation.iterdir()) if folder.validation.is_dir() else []
    for path in (*files, *masks):
        path.unlink(missing_ok=True)


def _part_borders(inputs: FoldInputs, console: Console) -> PartBorders | None:
    """What the training labels tell of where the parts of the structure meet, where the plan asks for it."""
    plan = inputs.plan
    if not plan.part_borders:
        return None
    found = fit_part_borders([case.label for case in inputs.train], plan.class_names[1:], plan.target_spacing_mm)
    if found is None:
        console.say("no planes part the labels, or too few cases show them all: their borders are left to the network")
        return None
    console.say(
        f"borders of {', '.join(found.parts)} across {'zyx'[found.axis]}: planes in {found.cases} cases but for"
        f" {found.misplaced:.1%} of the voxels; learned from cross-sections"
    )
    return found


def _ensure_locator(
    request: FoldRequest, inputs: FoldInputs, folder: FoldFolder, console: Console, stop: StopSignals
) -> bool:
    """Write or train the fold's locator where the plan has one; a resumed fold keeps one that is whole and of this
    plan, cases and seed.

    False where a signal came.
    """
    plan = inputs.plan
    if plan.locator is None:
        return True
    by_id = {case.id: case.image_hash for case in inputs.fingerprint.cases}
    seen = tuple(sorted({by_id[case.id] for case in inputs.train}))
    if request.resume and folder.locator_card.exists():
        try:
            card = read_locator(folder.locator, folder.locator_card, plan)[1]
            if (card.seen_images, card.seed) == (seen, request.seed):
                return True
        except HippoptError as error:
            console.warn(f"{error} -- the locator is made anew now")
    if inputs.ready is not None:
        taken = LocatorTraining(request.fold, request.seed, seen, 0.0, inputs.ready)
        write_locator(folder.locator, folder.locator_card, inputs.ready.model, plan, taken)
        return True
    trained = train_locator(
        inputs.train,
        plan,
        request.seed,
        lambda steps: console.track(steps, "locator", len(steps)),
        lambda: stop.stopping,
    )
    if trained is None:
        return False
    model, seconds = trained
    made = LocatorTraining(request.fold, request.seed, seen, seconds)
    write_locator(folder.locator, folder.locator_card, model, plan, made)
    console.say(f"fold {request.fold}: locator trained in {seconds:.0f} s")
    return True


def _report_base(reports: list[KeyReport], folder: FoldFolder, console: Console) -> None:
    if not reports:
        return
    write_bytes(folder.base_report, pd.DataFrame(reports).to_csv(index=False).encode())
    counts = {
        status: sum(report.status == status for report in reports)
        for status in dict.fromkeys(r.status for r in reports)
    }
    console.say(
        "base weights: "
        + ", ".join(f"{count} {status}" for status, count in counts.items())
        + f"; each key in {folder.base_report}"
    )


def _run_loop(
    request: FoldRequest,
    inputs: FoldInputs,
    folder: FoldFolder,
    console: Console,
    begun: Begun,
    started: float,
    stop: StopSignals,
) -> None:
    plan, tuned, state = inputs.plan, begun.tuned, begun.state
    looked_at, kind = (inputs.val, "validation") if inputs.val else (inputs.train, "training")
    windows = region_windows(looked_at, plan) if plan.locator else windows_around(looked_at, plan.patch_size)
    quick = QuickValidation(windows, len(plan.network_classes), inputs.device)
    budget = make_budget(request, inputs, tuned, quick, state, started)
    bar = ProgressBar(console, budget, state)

    def on_skip(current: LoopState, cases: list[str]) -> None:
        console.warn(f"step {current.step}: loss or gradient not finite on {', '.join(cases)}; skipped")

    def on_halved(samples: int, batch: int) -> None:
        console.warn(
            f"the GPU's memory is too small for {batch} patches at a time: {samples} at a time from here on, their"
            " gradients added up; hippopt_plan --set batch_size=... plans for less"
        )

    def on_epoch(current: LoopState, row: dict[str, float]) -> None:
        dice = quick.dice(tuned.model, inputs.autocast)
        old = current.smoothed_dice
        current.smoothed_dice = dice if old is None else SMOOTHING * old + (1 - SMOOTHING) * dice
        current.rows.append({**row, "val_dice": dice, "val_dice_smoothed": current.smoothed_dice})
        if current.best_dice is None or current.smoothed_dice > current.best_dice:
            current.best_dice, current.best_step = current.smoothed_dice, current.step
            write_adapter(folder.best_adapter, folder.best_adapter_card, request, inputs, tuned, current, "best")
        write_bytes(folder.log, pd.DataFrame(current.rows).to_csv(index=False).encode())
        plot_progress(current.rows, f"{request.run}, fold {request.fold}", folder.progress, kind)
        begun.save()
        console.say(
            f"step {current.step}: loss {row['train_loss']:.4f}, quick Dice on {kind} cases {dice:.4f} (smoothed"
            f" {current.smoothed_dice:.4f}), {row['seconds_a_step']:.2f} s per step, {row['wait_share']:.1%}"
            " waiting for data"
        )

    with open_batches(inputs.shown, plan, request.seed, state.step, request.workers) as batches:
        hooks = LoopHooks(
            on_epoch, bar.update, on_skip, lambda: stop.stopping, tuned.penalty,
            lambda updates: tuned.after_update(updates, budget.steps), on_halved,
        )  # fmt: skip
        try:
            rate = plan.schedule.rate(request.method, inputs.on_weights)
            optimisation = Optimisation(tuned.trainable(), begun.optimizer, plan.schedule, rate, inputs.autocast)
            done = train(tuned.model, optimisation, batches, budget, state, hooks)
        finally:
            bar.close()
        if not done:
            begun.save()
            stop.stop_if_asked(f"at step {state.step}")
