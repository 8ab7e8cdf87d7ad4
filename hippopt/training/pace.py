"""How far training has come, and how much time validation will take."""

import time

from hippopt.console import Console, counted
from hippopt.networks.tuning import Tuned
from hippopt.training.checkpoint import LoopState
from hippopt.training.fold import FoldInputs, FoldRequest
from hippopt.training.loop import Budget
from hippopt.training.quick_validation import QuickValidation


def make_budget(
    request: FoldRequest, inputs: FoldInputs, tuned: Tuned, quick: QuickValidation, state: LoopState, started: float
) -> Budget:
    """Steps, or under --minutes the seconds left once validation is set aside.

    `started`: time.perf_counter() of the command.
    """
    if request.minutes is None:
        return Budget(request.steps or inputs.planned_steps)
    reserve = _validation_seconds(tuned, quick, inputs)
    return Budget(0, max(1.0, request.minutes * 60 - reserve - (time.perf_counter() - started) + state.elapsed_s))


def _validation_seconds(tuned: Tuned, quick: QuickValidation, inputs: FoldInputs) -> float:
    """Time to set aside for whole-case validation, from one timed quick look."""
    before = time.perf_counter()
    quick.dice(tuned.model, False)
    per_window = (time.perf_counter() - before) / len(quick.images)
    patch = inputs.plan.patch_size
    windows = 0.0
    if inputs.plan.locator is not None:  # a window or two per region
        return 5 + 1.3 * 2 * inputs.plan.locator.regions * len(inputs.val) * per_window + len(inputs.val)
    for case in inputs.val:
        steps = [
            max(1, -(-(size - side) // (side // 2)) + 1) if size > side else 1
            for size, side in zip(case.label.shape, patch, strict=True)
        ]
        windows += steps[0] * steps[1] * steps[2]
    return 5 + 1.3 * windows * per_window + 0.15 * len(inputs.val)


TIMED_STEPS = 10  # by which the duration is told, once the first step has paid for what is set up once


class ProgressBar:
    """Feeds the console's bar: steps, or seconds under a time budget.

    Where steps count, says after some of them how long the rest will take.
    """

    def __init__(self, console: Console, budget: Budget, state: LoopState) -> None:
        self.by_time = budget.seconds is not None
        total = int(budget.seconds) if budget.seconds is not None else budget.steps
        self.done = int(state.elapsed_s) if self.by_time else state.step
        self.console, self.budget = console, budget
        self.first: tuple[int, float] | None = None  # the step from which the duration is told, and when it was done
        self.bar = iter(
            console.track(range(self.done, total), "train (s)" if self.by_time else "train", total - self.done)
        )

    def update(self, state: LoopState, _: float) -> None:
        """Move to where `state` stands."""
        self._tell_duration(state.step)
        reached = int(state.elapsed_s) if self.by_time else state.step
        while self.done < reached:
            next(self.bar, None)
            self.done += 1

    def _tell_duration(self, step: int) -> None:
        now = time.perf_counter()
        if self.first is None:
            self.first = (step, now)
        elif not self.by_time and step == self.first[0] + TIMED_STEPS and self.budget.steps > step:
            each = (now - self.first[1]) / TIMED_STEPS
            left = self.budget.steps - step
            self.console.say(
                f"{counted(left, 'step')} to go: about {max(1, round(left * each / 60))} min, at {each:.2g} s per step;"
                " validation comes on top"
            )

    def close(self) -> None:
        """Run the bar to its end, so that the console takes it away."""
        for _ in self.bar:
            pass
