"""Stage: train the locator of a model made from label maps, once for its settings; resumed where it was interrupted."""

from pathlib import Path

import pandas as pd
from torch import nn

from hippopt.artifacts.codec import parse_json, write_bytes, write_json
from hippopt.console import Console
from hippopt.errors import TrainingError
from hippopt.result_folders import TrainingFolder
from hippopt.stop_signals import StopSignals
from hippopt.training.head_locator import HeadLocatorHooks, HeadLocatorInputs, locator_settings, train_head_locator
from hippopt.training.lock import fold_lock
from hippopt.training.start import check_settings


def _same_settings(path: Path, inputs: HeadLocatorInputs) -> bool:
    return path.exists() and parse_json(path.read_bytes(), path) == locator_settings(inputs)


def head_locator(
    inputs: HeadLocatorInputs,
    folder: TrainingFolder,
    resume: bool,
    overwrite: bool,
    console: Console,
    signals: StopSignals,
) -> tuple[nn.Module, float]:
    """Train the locator of a model, or take one that is finished as it is.

    Args:
        inputs: maps, how scans are made of them, the plan with its locator, seed and device.
        folder: where settings, log and the state for resuming go.
        resume: go on with one that is begun.
        overwrite: train one anew that is unfinished, or had other settings.
        console: progress goes here.
        signals: a stop signal ends the training after the step at hand.

    Returns:
        The locator, from images (B, C, Z, Y, X) at its own spacing to logits of the regions; and the seconds that its
        training took.

    Raises:
        TrainingError: one is begun and neither `resume` nor `overwrite` is given, it had other settings, there is
            nothing to resume, or another process trains it.
        PlanError: the settings that it was begun with cannot be read.
        OutputError: nothing can be written.
        Interrupted: after a signal, with the state kept.
    """
    assert inputs.plan.locator is not None
    steps = inputs.plan.locator.steps
    with fold_lock(folder.lock) as stale:
        if stale:
            console.warn(f"{folder.lock}: left by a process that is gone; taken over")
        begun = folder.resume.exists() or folder.resume_previous.exists()
        finished = begun and folder.finished.exists()
        if overwrite and not (finished and _same_settings(folder.run_settings, inputs)):
            for old in (folder.resume, folder.resume_previous, folder.finished, folder.log):
                old.unlink(missing_ok=True)
            begun = finished = False
        if begun and not (resume or finished):
            raise TrainingError(f"{folder.path}: this locator is begun already; add --resume, or --overwrite for anew")
        if begun:
            check_settings(folder.run_settings, locator_settings(inputs), "train it anew with --overwrite")
        elif resume:
            raise TrainingError(f"{folder.path}: nothing to resume; start without --resume")
        write_json(folder.run_settings, locator_settings(inputs))
        bar = iter(console.track(range(steps), "train locator", steps))

        def on_check(row: dict[str, float]) -> None:
            console.say(
                f"step {row['step']}: loss {row['train_loss']:.4f}, on heads of unseen maps {row['found']:.1%} of the"
                f" sides found, median distance {row['median_mm']:.1f} mm"
            )

        def on_step(step: int, loss: float) -> None:
            next(bar, None)

        hooks = HeadLocatorHooks(lambda: signals.stopping, on_step, on_check)
        found = train_head_locator(inputs, (folder.resume, folder.resume_previous), begun, hooks)
        for _ in bar:
            pass
        if found is None:
            signals.stop_if_asked("while the locator was trained")
            raise TrainingError(f"{folder.path}: stopped; continue with --resume")
        model, state = found
        write_bytes(folder.log, pd.DataFrame(state.rows).to_csv(index=False).encode())
        write_json(folder.finished, {"step": state.step, **state.rows[-1]})
        return model, state.elapsed_s
