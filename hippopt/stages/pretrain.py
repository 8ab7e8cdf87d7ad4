"""Stage: train a whole UNETR on a source domain, and store it as a base with its card."""

import platform
import time
from importlib.metadata import version

import msgspec
import pandas as pd
import torch
from torch import nn

from hippopt import __version__
from hippopt.artifacts.codec import remove_leftovers, write_bytes, write_json
from hippopt.artifacts.weights import BaseCard
from hippopt.console import Console
from hippopt.errors import TrainingError, WeightsError
from hippopt.networks.base_weights import load_base
from hippopt.networks.tensor_files import check_space, file_sha256, tensor_bytes, to_bytes
from hippopt.networks.unetr import UNUSED, build_unetr
from hippopt.reporting.progress import plot_progress
from hippopt.result_folders import PretrainingFolder
from hippopt.stop_signals import StopSignals
from hippopt.training.checkpoint import LoopState, load_resume, restore_optimizer, save_resume
from hippopt.training.loop import Budget, LoopHooks, Optimisation, train
from hippopt.training.pace import ProgressBar
from hippopt.training.pretraining import PretrainInputs, PretrainRequest, peak_rate, settings_of
from hippopt.training.processes import ProcessGroup
from hippopt.training.quick_validation import QuickValidation, mean_present
from hippopt.training.start import check_settings

SMOOTHING = 0.9
RESUME_EVERY_S = 60.0  # a whole network with its optimiser is large: not after every epoch


def check_pretraining(request: PretrainRequest, folder: PretrainingFolder) -> None:
    """Raises TrainingError where what was asked does not fit what is there."""
    begun = folder.resume.exists() or folder.resume_previous.exists()
    if request.resume and not begun:
        raise TrainingError(f"{folder.path}: nothing to resume; start without --resume")
    if (begun or folder.card.exists()) and not (request.resume or request.overwrite):
        state = "finished" if folder.card.exists() else "begun"
        remedy = "--overwrite to train it anew" + ("" if folder.card.exists() else ", or --resume to continue it")
        raise TrainingError(
            f"{folder.path}: this pre-training is {state} already; choose another --name, or add {remedy}"
        )


def pretrain(
    request: PretrainRequest,
    inputs: PretrainInputs,
    folder: PretrainingFolder,
    group: ProcessGroup,
    console: Console,
    signals: StopSignals,
) -> BaseCard:
    """Train a base, stored as `folder.base` with `folder.card` beside it by the first process.

    The caller holds the folder's lock.

    Args:
        request: how long to train, and whether to resume or to begin anew.
        inputs: card, schedule, batches (B, C, Z, Y, X), and fixed windows (N, C, Z, Y, X) to validate on.
        folder: where base, card, log and the state for resuming go.
        group: the processes that train together.
        console: progress goes here.
        signals: a stop signal ends the training after the step at hand.

    Returns:
        The card of the base, with the Dice of the weights as they are stored.

    Raises:
        TrainingError: what was asked does not fit what is there, too many steps in a row are not finite, a weight does
            not fit half precision, or another process of the group was stopped.
        PlanError: the settings that it was begun with cannot be read.
        WeightsError: the weights to begin with, or those of the resume file, do not fit the network.
        OutputError: the disk is too small, or nothing can be written.
        Interrupted: after a signal, with the state saved.
    """
    check_pretraining(request, folder)
    # each takes scans of its own: another number goes through others
    settings = settings_of(request, inputs) | {"processes": group.size}
    if request.resume:
        check_settings(folder.run_settings, settings, "train anew with --overwrite", ("processes",))
    model, state, optimizer = _set_up(request, inputs, folder, console)
    parameters = dict(model.named_parameters())
    # two or three resume files with the optimiser's moments, and the base
    check_space(folder.path, 8 * tensor_bytes(parameters))
    if group.first:
        remove_leftovers(folder.path)
        # the resume files too: a killed run must not go on from those of the run before
        earlier = (folder.card, folder.base, folder.resume, folder.resume_previous, folder.log, folder.progress)
        for old in earlier if request.overwrite else ():
            old.unlink(missing_ok=True)
        write_json(folder.run_settings, settings)
    quick = QuickValidation(inputs.windows, inputs.card.out_channels, inputs.device)
    trained = {name: parameter for name, parameter in parameters.items() if UNUSED not in name}
    by_time = Budget(0, request.minutes * 60) if request.minutes else None
    budget = by_time or Budget(request.steps or inputs.schedule.steps)
    bar = ProgressBar(console, budget, state)
    names = list(trained)
    saved = time.perf_counter()

    def save() -> None:
        save_resume(folder.resume, folder.resume_previous, trained, optimizer, names, state)

    def on_epoch(current: LoopState, row: dict[str, float]) -> None:
        nonlocal saved
        if not group.first:
            return
        classes = inputs.card.class_names or ()
        found = dict(zip(classes, quick.dice_by_class(model, inputs.autocast).tolist(), strict=True))
        dice = mean_present(found.values())
        current.smoothed_dice = (
            dice if current.smoothed_dice is None else SMOOTHING * current.smoothed_dice + (1 - SMOOTHING) * dice
        )
        by_class = {f"dice_{name}": value for name, value in found.items() if name != "background"}
        current.rows.append({**row, "val_dice": dice, "val_dice_smoothed": current.smoothed_dice, **by_class})
        write_bytes(folder.log, pd.DataFrame(current.rows).to_csv(index=False).encode())
        plot_progress(current.rows, f"pre-training {request.name}", folder.progress)
        if time.perf_counter() - saved > RESUME_EVERY_S:
            save()
            saved = time.perf_counter()
        console.say(
            f"step {current.step}: loss {row['train_loss']:.4f}, Dice on unseen {dice:.4f} ("
            + ", ".join(f"{name.removeprefix('dice_')} {value:.3f}" for name, value in by_class.items())
            + f"), {row['seconds_a_step']:.2f} s per step, {row['wait_share']:.1%} making data"
        )

    def on_skip(current: LoopState, cases: list[str]) -> None:
        console.warn(f"step {current.step}: loss or gradient not finite on {', '.join(cases)}; skipped")

    hooks = LoopHooks(on_epoch, bar.update, on_skip, lambda: signals.stopping)
    with inputs.batches(state.step * group.size + group.rank, group.size) as batches:
        try:
            optimisation = Optimisation(
                trained, optimizer, inputs.schedule, peak_rate(request, inputs), inputs.autocast
            )
            done = train(model, optimisation, batches, budget, state, hooks, group)
        finally:
            bar.close()
    if not done:
        if group.first:
            save()
        signals.stop_if_asked(f"at step {state.step}")
        raise TrainingError("another process of the group was stopped by a signal; continue with --resume")
    return _store(request, inputs, folder, group, model, state, quick)


def _set_up(
    request: PretrainRequest, inputs: PretrainInputs, folder: PretrainingFolder, console: Console
) -> tuple[nn.Module, LoopState, torch.optim.Optimizer]:
    card = inputs.card
    torch.manual_seed(request.seed)
    model = build_unetr(card.in_channels, card.out_channels, card.patch_size, card.network)
    if inputs.start is not None:
        state_dict, start = inputs.start
        load_base(model, state_dict, start.patch_size, card.patch_size, start.name)
    tensors: dict[str, torch.Tensor] = {}
    state = LoopState()
    if request.resume:
        tensors, state, warnings = load_resume(folder.resume, folder.resume_previous)
        for warning in warnings:
            console.warn(warning)
        console.say(f"resumed at step {state.step}")
    trained = {name: parameter for name, parameter in model.named_parameters() if UNUSED not in name}
    if request.resume:
        wrong = [
            name for name, parameter in trained.items() if name not in tensors or tensors[name].shape != parameter.shape
        ]
        if wrong:
            raise WeightsError(f"{folder.resume}: {wrong[0]} does not fit this network; train anew with --overwrite")
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(tensors[name])
    model.to(inputs.device)
    optimizer = torch.optim.AdamW(
        trained.values(), lr=peak_rate(request, inputs), weight_decay=inputs.schedule.weight_decay
    )
    restore_optimizer(optimizer, tensors, list(trained), state.step - state.skipped)
    return model, state, optimizer


def _store(
    request: PretrainRequest,
    inputs: PretrainInputs,
    folder: PretrainingFolder,
    group: ProcessGroup,
    model: nn.Module,
    state: LoopState,
    quick: QuickValidation,
) -> BaseCard:
    """Write the weights in the precision asked for, then the card, whose Dice is that of the stored weights."""
    kind = torch.float16 if request.precision == "half" else torch.float32
    tensors = {name: value.detach().cpu().to(kind) for name, value in model.state_dict().items()}
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise TrainingError(f"{folder.path}: a weight is too large for half precision; store it with --precision float")
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(tensors[name])
    found = quick.dice_by_class(model, inputs.autocast).tolist()
    classes = inputs.card.class_names or ()
    card = msgspec.structs.replace(
        inputs.card,
        steps=state.step,
        validation={name: round(value, 4) for name, value in zip(classes, found, strict=True) if value == value},
        versions={
            "hippopt": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "monai")},
        },
    )
    if group.first:
        write_bytes(folder.base, to_bytes(tensors))  # the very bytes that results/bases will hold
        card = msgspec.structs.replace(card, sha256=file_sha256(folder.base))
        write_json(folder.card, card)
        for leftover in (folder.resume, folder.resume_previous):
            leftover.unlink(missing_ok=True)
    return card
