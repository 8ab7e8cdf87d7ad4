"""Stage 5: train one fold, and validate it on whole cases in the scan's own grid."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import torch

from hippopt import __version__
from hippopt.artifacts.codec import content_hash, parse_json, write_bytes, write_json
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import AdapterCard, BaseCard, Method
from hippopt.console import Console
from hippopt.errors import Interrupted, TrainingError, WeightsError
from hippopt.imaging.augmentation import open_batches
from hippopt.imaging.patches import TrainingCase
from hippopt.networks.base_weights import KeyReport
from hippopt.networks.restoring import build_with_base
from hippopt.networks.tensor_files import save_tensors, tensors_sha256
from hippopt.networks.tuning import Tuned, tune
from hippopt.reporting.progress import plot_progress
from hippopt.training.checkpoint import LoopState, load_resume, restore_optimizer, save_resume
from hippopt.training.lock import fold_lock
from hippopt.training.loop import Budget, LoopHooks, train
from hippopt.training.quick_validation import QuickValidation
from hippopt.training.signals import StopSignals
from hippopt.workspace import FoldFolder

SMOOTHING = 0.9  # of the quick validation Dice, as nnU-Net smooths its own


@dataclass(frozen=True)
class FoldRequest:
    """What to train. `steps` or `minutes` (whole wall time of the fold) replace the plan's number of steps."""

    run: str
    fold: str
    method: Method
    seed: int
    steps: int | None = None
    minutes: float | None = None
    workers: int = 0
    resume: bool = False
    overwrite: bool = False
    allow_seen: bool = False
    allow_change: bool = False


@dataclass(frozen=True)
class FoldInputs:
    """What the stage works on: cases of the fold on disk, and the base's tensors with its card, or None."""

    plan: Plan
    fingerprint: Fingerprint
    train: list[TrainingCase]
    val: list[TrainingCase]
    base: tuple[Mapping[str, torch.Tensor], BaseCard] | None
    device: torch.device
    autocast: bool


def settings_of(request: FoldRequest, inputs: FoldInputs) -> dict[str, Any]:
    """What must stay the same for a resumed run to be the same run."""
    return {
        "plan_hash": content_hash(inputs.plan), "method": request.method, "seed": request.seed, "fold": request.fold,
        "steps": request.steps or inputs.plan.schedule.steps, "minutes": request.minutes,
        "base_sha256": inputs.base[1].sha256 if inputs.base else None,
    }  # fmt: skip


def train_fold(request: FoldRequest, inputs: FoldInputs, folder: FoldFolder, console: Console, started: float) -> None:
    """Train and store the adapter. `started`: time.perf_counter() when the command began, for --minutes.

    Raises TrainingError, WeightsError, OutputError in one line; Interrupted after a signal, with the state saved.
    """
    with fold_lock(folder.lock) as stale:
        if stale:
            console.warn(f"{folder.lock}: left by a process that is gone; taken over")
        if request.resume and folder.adapter_card.exists() and inputs.val and not folder.summary.exists():
            console.say(f"fold {request.fold}: trained already; validation follows")
            return
        _check_start(request, inputs, folder)
        write_json(folder.run_settings, settings_of(request, inputs))
        tuned, state, names, optimizer, reports = _set_up(request, inputs, folder, console)
        _report_base(reports, folder, console)
        counts = tuned.counts()
        console.say(
            f"fold {request.fold}: {len(inputs.train)} cases to train on, {len(inputs.val)} to validate; trains "
            + ", ".join(f"{count:,} {group}" for group, count in counts.items())
        )
        _run_loop(request, inputs, folder, console, tuned, state, names, optimizer, started)
        _write_adapter(request, inputs, folder, tuned, state, "last")


def _check_start(request: FoldRequest, inputs: FoldInputs, folder: FoldFolder) -> None:
    finished, begun = folder.adapter_card.exists(), folder.resume.exists() or folder.resume_previous.exists()
    if request.resume:
        if finished:
            raise TrainingError(f"{folder.path}: this fold is finished; add --overwrite (without --resume) to train it anew")
        if not begun:
            raise TrainingError(f"{folder.path}: nothing to resume; start without --resume")
        if folder.run_settings.exists():
            old, new = parse_json(folder.run_settings.read_bytes(), folder.run_settings), settings_of(request, inputs)
            changed = [f"{key} {old.get(key)} -> {new[key]}" for key in new if old.get(key) != new[key]]
            if changed and not request.allow_change:
                raise TrainingError(f"{folder.path}: started with other settings ({'; '.join(changed)}); give the old ones, or --allow-change")
    elif (finished or begun) and not request.overwrite:
        kind = "finished" if finished else "begun"
        raise TrainingError(f"{folder.path}: this fold is {kind} already; add --resume to continue it or --overwrite to train it anew")
    elif request.overwrite:
        for stale in (folder.resume, folder.resume_previous, folder.adapter_card, folder.summary, folder.metrics):
            stale.unlink(missing_ok=True)
    if inputs.base is not None and inputs.base[1].seen_images and not request.allow_seen:
        seen = set(inputs.base[1].seen_images)
        by_id = {case.id: case.image_hash for case in inputs.fingerprint.cases}
        known = [case.id for case in inputs.val if by_id[case.id] in seen]
        if known:
            raise WeightsError(
                f"base {inputs.base[1].name} was trained on {len(known)} validation cases of this fold ({known[0]}, ...), so its figures "
                "would flatter; use another base or fold, or add --allow-seen"
            )


def _set_up(
    request: FoldRequest, inputs: FoldInputs, folder: FoldFolder, console: Console
) -> tuple[Tuned, LoopState, list[str], torch.optim.Optimizer, list[KeyReport]]:
    plan = inputs.plan
    source = inputs.base[1].name if inputs.base else "none"
    model, reports, remade = build_with_base(plan, inputs.base, request.seed, source)
    stored, state = None, LoopState()
    if request.resume:
        stored, state, warnings = load_resume(folder.resume, folder.resume_previous)
        for warning in warnings:
            console.warn(warning)
        console.say(f"resumed at step {state.step}")
    moments = {name: value for name, value in (stored or {}).items() if name.startswith("optimizer.")}
    values = {name: value for name, value in stored.items() if name not in moments} if stored is not None else None
    tuned = tune(model, request.method, plan.network, plan.adapter, remade, values)
    tuned.model.to(inputs.device)
    parameters = tuned.trainable()
    names = list(parameters)
    optimizer = torch.optim.AdamW(parameters.values(), lr=plan.schedule.learning_rate[request.method], weight_decay=plan.schedule.weight_decay)
    restore_optimizer(optimizer, moments, names, state.step - state.skipped)
    return tuned, state, names, optimizer, reports


def _report_base(reports: list[KeyReport], folder: FoldFolder, console: Console) -> None:
    if not reports:
        return
    import pandas as pd

    write_bytes(folder.base_report, pd.DataFrame(reports).to_csv(index=False).encode())
    counts = {status: sum(report.status == status for report in reports) for status in dict.fromkeys(r.status for r in reports)}
    console.say("base weights: " + ", ".join(f"{count} {status}" for status, count in counts.items()) + f"; each key in {folder.base_report}")


def _run_loop(
    request: FoldRequest, inputs: FoldInputs, folder: FoldFolder, console: Console, tuned: Tuned, state: LoopState,
    names: list[str], optimizer: torch.optim.Optimizer, started: float,
) -> None:  # fmt: skip
    import time

    import pandas as pd

    plan = inputs.plan
    quick = QuickValidation(inputs.val or inputs.train, plan.patch_size, len(plan.class_names), inputs.device)
    budget = Budget(request.steps or plan.schedule.steps)
    if request.minutes is not None:
        reserve = _validation_seconds(tuned, quick, inputs)
        budget = Budget(0, max(1.0, request.minutes * 60 - reserve - (time.perf_counter() - started) + state.elapsed_s))
    bar = _ProgressBar(console, budget, state)

    def save() -> None:
        save_resume(folder.resume, folder.resume_previous, tuned.adapter_tensors(), optimizer, names, state)

    def on_epoch(current: LoopState, row: dict[str, float]) -> None:
        dice = quick.dice(tuned.model, inputs.autocast)
        old = current.smoothed_dice
        current.smoothed_dice = dice if old is None else SMOOTHING * old + (1 - SMOOTHING) * dice
        current.rows.append({**row, "val_dice": dice, "val_dice_smoothed": current.smoothed_dice})
        if current.best_dice is None or current.smoothed_dice > current.best_dice:
            current.best_dice, current.best_step = current.smoothed_dice, current.step
            _write_adapter(request, inputs, folder, tuned, current, "best")
        write_bytes(folder.log, pd.DataFrame(current.rows).to_csv(index=False).encode())
        plot_progress(current.rows, f"{request.run}, fold {request.fold}", folder.progress)
        save()
        console.say(
            f"step {current.step}: loss {row['train_loss']:.4f}, quick Dice {dice:.4f} (smoothed {current.smoothed_dice:.4f}), "
            f"{row['seconds_a_step']:.2f} s a step, {row['wait_share']:.1%} waiting for data"
        )

    with StopSignals() as signals, open_batches(inputs.train, plan, request.seed, state.step, request.workers) as batches:
        hooks = LoopHooks(on_epoch, bar.update, lambda: signals.number is not None)
        try:
            done = train(
                tuned.model, tuned.trainable(), optimizer, batches, plan.schedule, plan.schedule.learning_rate[request.method],
                budget, state, hooks, inputs.autocast,
            )  # fmt: skip
        finally:
            bar.close()
        if not done:
            save()
            assert signals.number is not None
            raise Interrupted(f"stopped by a signal at step {state.step}; continue with --resume", 128 + signals.number)


def _validation_seconds(tuned: Tuned, quick: QuickValidation, inputs: FoldInputs) -> float:
    """Time to set aside for whole-case validation, from one timed quick look."""
    import time

    before = time.perf_counter()
    quick.dice(tuned.model, False)
    per_window = (time.perf_counter() - before) / len(quick.images)
    patch = inputs.plan.patch_size
    windows = 0.0
    for case in inputs.val:
        steps = [max(1, -(-(size - side) // (side // 2)) + 1) if size > side else 1 for size, side in zip(case.label.shape, patch, strict=True)]
        windows += steps[0] * steps[1] * steps[2]
    return 5 + 1.3 * windows * per_window + 0.15 * len(inputs.val)


class _ProgressBar:
    """Feeds the console's bar: steps, or seconds under a time budget."""

    def __init__(self, console: Console, budget: Budget, state: LoopState) -> None:
        self.by_time = budget.seconds is not None
        total = int(budget.seconds) if budget.seconds is not None else budget.steps
        self.done = int(state.elapsed_s) if self.by_time else state.step
        self.bar = iter(console.track(range(self.done, total), "train (s)" if self.by_time else "train", total - self.done))

    def update(self, state: LoopState, _: float) -> None:
        reached = int(state.elapsed_s) if self.by_time else state.step
        while self.done < reached:
            next(self.bar, None)
            self.done += 1

    def close(self) -> None:
        for _ in self.bar:
            pass


def _write_adapter(
    request: FoldRequest, inputs: FoldInputs, folder: FoldFolder, tuned: Tuned, state: LoopState, which: Literal["last", "best"]
) -> None:
    plan, tensors = inputs.plan, tuned.adapter_tensors()
    by_id = {case.id: case for case in inputs.fingerprint.cases}
    own = [by_id[case.id].image_hash for case in inputs.train]
    inherited = (inputs.base[1].seen_images or ()) if inputs.base else ()
    adapted = tuned.adaptation is not None
    card = AdapterCard(
        method=request.method, run=request.run, fold=request.fold, plan_hash=content_hash(plan),
        base_sha256=inputs.base[1].sha256 if inputs.base else None, base_name=inputs.base[1].name if inputs.base else None,
        network=plan.network, in_channels=len(plan.channel_names), out_channels=len(plan.class_names), patch_size=plan.patch_size,
        rank=plan.adapter.rank if adapted else None, core=plan.adapter.core if adapted else None,
        balance=plan.adapter.balance if adapted else None, stacks=tuned.stacks,
        remade=tuple(name for name in tuned.rest if not name.startswith(tuple(plan.adapter.also_trained))) if request.method != "full" else (),
        trained_parameters=tuned.counts(), seen_images=tuple(sorted({*own, *inherited})), checkpoint=which, step=state.step,
        sha256=tensors_sha256(tensors),
        versions={"hippopt": __version__, "python": platform.python_version(), **{name: version(name) for name in ("torch", "monai")}},
        settings={**settings_of(request, inputs), "also_trained": list(plan.adapter.also_trained), "label_values": list(plan.label_values),
                  "seconds": round(state.elapsed_s, 1), "best_step": state.best_step, "skipped_steps": state.skipped},
    )  # fmt: skip
    if which == "best":
        save_tensors(folder.best_adapter, tensors)
        write_json(folder.best_adapter_card, card)
        return
    save_tensors(folder.adapter, tensors)
    write_json(folder.adapter_card, card)
    for leftover in (folder.resume, folder.resume_previous):
        leftover.unlink(missing_ok=True)


def fold_cases(plan: Plan, fingerprint: Fingerprint, fold: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(train, val) case ids of a fold's name."""
    if fold == "full-data":
        return tuple(case.id for case in fingerprint.cases), ()
    return plan.folds[int(fold)].train, plan.folds[int(fold)].val
