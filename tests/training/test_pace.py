"""How long a fold will take is said once, after some steps."""

import pytest

from hippopt.console import SilentConsole
from hippopt.training import pace
from hippopt.training.checkpoint import LoopState
from hippopt.training.loop import Budget
from hippopt.training.pace import ProgressBar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Stands in for time.perf_counter: seconds since the start."""
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    return now


def run(clock: list[float], budget: Budget, steps: int, first: int = 0) -> list[str]:
    """What is said over so many steps of two seconds each, the first of which takes a minute."""
    console, state = SilentConsole(), LoopState(initial_sha256=None)
    state.step = first
    bar = ProgressBar(console, budget, state)
    for number in range(steps):
        clock[0] += 60.0 if not number else 2.0
        state.step += 1
        state.elapsed_s = clock[0]
        bar.update(state, 0.0)
    bar.close()
    return [line for line in console.lines if "to go" in line]


def test_the_duration_is_told_once_without_the_first_step(clock: list[float]) -> None:
    assert run(clock, Budget(1511), 40) == ["1500 steps to go: about 50 min, at 2 s per step; validation comes on top"]


def test_a_resumed_fold_tells_what_is_left(clock: list[float]) -> None:
    assert run(clock, Budget(1511), 40, first=1200) == [
        "300 steps to go: about 10 min, at 2 s per step; validation comes on top"
    ]


def test_a_budget_of_time_or_a_few_steps_need_no_estimate(clock: list[float]) -> None:
    assert run(clock, Budget(0, 600.0), 40) == []
    assert run(clock, Budget(11), 11) == []
