"""Folds in processes of their own, some at a time.

A small network on a CPU gains little from a second thread: two folds on one core each are done sooner than one after
the other on two (docs/experiments.md).
"""

import contextlib
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hippopt.console import Console, counted
from hippopt.errors import TrainingError
from hippopt.jobs.child_processes import Job, run_jobs, threads_each
from hippopt.recipes.training_inputs import FoldJob
from hippopt.scoring.comparison import foreground, mean_dice
from hippopt.scoring.tables import read_case_table
from hippopt.stop_signals import StopSignals
from hippopt.training.request import TrainingRequest

TOLD_AT, TOLD_AFTER_S = 0.04, 10.0  # share of all training, and seconds, by which its duration is told
LOG = "output.log"  # in a fold's folder: what its process said


@dataclass(frozen=True)
class SideBySide:
    """at_once: processes at a time. command: hippopt_train of a fold, as a child process is given it."""

    at_once: int
    command: Callable[[str, TrainingRequest], tuple[str, ...]]


def train_side_by_side(
    folds: Sequence[FoldJob], request: TrainingRequest, how: SideBySide, signals: StopSignals, console: Console
) -> dict[str, float]:
    """Mean foreground Dice of each fold that is validated. A fold that fails stops no other.

    Raises TrainingError at the end where some failed, naming the reason of each; Interrupted after a signal, with all
    states saved.
    """
    threads = threads_each(how.at_once)
    console.say(
        f"{counted(min(how.at_once, len(folds)), 'fold')} side by side, {counted(threads, 'thread')}"
        f" each; their words: {LOG} in each fold's folder"
    )
    by_name = {f"fold {fold.request.fold}": fold for fold in folds}
    jobs = [
        Job(
            name,
            (how.command(fold.request.fold, replace(request, resume=fold.request.resume)),),
            fold.folder.path / LOG,
        )
        for name, fold in by_name.items()
    ]
    dice: dict[str, float] = {}
    failed: list[str] = []
    pace = _Pace(console, len(folds), sum(map(_share, folds)))
    bar, shown = iter(console.track(range(100 * len(folds)), "train (%)", 100 * len(folds))), 0

    def on_done(job: Job, reason: str | None, seconds: float) -> None:
        fold = by_name[job.name]
        if reason is not None:
            failed.append(f"{job.name}: {reason} (all it said: {job.log})")
            console.warn(failed[-1])
            return
        words = ""
        if fold.inputs.val:
            table = foreground(read_case_table(fold.folder.metrics))
            dice[fold.request.fold] = mean_dice(table)
            words = f", mean foreground Dice {dice[fold.request.fold]:.4f} on {counted(len(table), 'case')}"
        console.say(f"{job.name} done in {seconds / 60:.1f} min{words}: {fold.folder.path}")

    def on_wait() -> None:
        nonlocal shown
        shares = [1.0 if fold.request.fold in dice else _share(fold) for fold in folds]
        pace.look(sum(shares))
        reached = sum(int(100 * share) for share in shares)
        while shown < reached:
            next(bar, None)
            shown += 1

    try:
        run_jobs(jobs, how.at_once, signals, on_done, on_wait)
    finally:
        for _ in bar:
            pass
    if failed:
        raise TrainingError("\n".join(failed))
    return dice


class _Pace:
    """Says once, when some of the training is done, how long all of it will take."""

    def __init__(self, console: Console, folds: int, begun: float, clock: Callable[[], float] = time.monotonic) -> None:
        """folds: how many; begun: how much of them was done before, in folds."""
        self._console, self._folds, self._begun, self._clock = console, folds, begun, clock
        self._started, self._said = clock(), False

    def look(self, done: float) -> None:
        """Note how much is done, in folds."""
        gained, spent = done - self._begun, self._clock() - self._started
        if self._said or gained < TOLD_AT * self._folds or spent < TOLD_AFTER_S:
            return
        self._said = True
        left = (self._folds - done) * spent / gained
        if left > 0:
            self._console.say(
                f"training of the {self._folds} folds: about {max(1, round(left / 60))} min to go; validation comes on"
                " top"
            )


def _share(fold: FoldJob) -> float:
    """How much of a fold's training is done, by the last line of its log."""
    request, steps = (
        fold.request,
        fold.request.steps or fold.inputs.planned_steps,
    )
    with contextlib.suppress(OSError, ValueError, KeyError, csv.Error), fold.folder.log.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
        if rows:
            last = rows[-1]
            return min(
                1.0, float(last["elapsed_s"]) / (60 * request.minutes) if request.minutes else int(last["step"]) / steps
            )
    return 0.0
