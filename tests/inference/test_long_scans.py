"""A scan that takes minutes is announced, and ends soon after a signal; one that is nearly done is finished."""

import numpy as np
import pytest
import torch

from hippopt.console import SilentConsole
from hippopt.errors import Interrupted
from hippopt.inference.long_scans import LongScan
from hippopt.inference.windows import WindowSettings, predict_probabilities, window_count


class Clock:
    """Gives the seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def follow(signal: int | None = None) -> tuple[LongScan, Clock, SilentConsole]:
    clock, console = Clock(), SilentConsole()
    return LongScan("head", (160, 200, 160), (48, 64, 48), console, lambda: signal, clock), clock, console


def test_a_long_scan_is_announced_once_and_a_short_one_is_not() -> None:
    watch, clock, console = follow()
    clock.now = 1.0
    watch(1, 600)  # too early to tell
    assert console.warnings == []
    clock.now = 3.0
    watch(3, 600)
    clock.now = 4.0
    watch(4, 600)
    assert len(console.warnings) == 1 and "head: will take about 10 min" in console.warnings[0]
    assert "600 windows of 48 x 64 x 48" in console.warnings[0] and "160 x 200 x 160" in console.warnings[0]
    watch, clock, console = follow()
    clock.now = 3.0
    watch(300, 600)
    assert console.warnings == []


def test_after_a_signal_a_long_rest_is_given_up_and_a_short_one_finished() -> None:
    watch, clock, _ = follow(signal=2)
    clock.now = 10.0
    watch(590, 600)  # a fraction of a second to go
    with pytest.raises(Interrupted, match="window 10 of 600, with about 10 min to go") as stopped:
        watch(10, 600)
    assert stopped.value.exit_code == 130


@pytest.mark.parametrize("shape", [(9, 20, 16), (8, 8, 8), (5, 30, 8)])
@pytest.mark.parametrize(("networks", "flips", "shown"), [(1, ((),), ()), (2, ((), ("x",)), ()), (2, ((),), (("x",),))])
def test_the_windows_are_all_counted(
    shape: tuple[int, int, int],
    networks: int,
    flips: tuple[tuple[str, ...], ...],
    shown: tuple[tuple[str, ...], ...],
) -> None:
    """What is done when the last look ends is what was said to come; an image within one window is not watched."""
    seen: list[tuple[int, int]] = []
    settings = WindowSettings(
        (8, 8, 8), 2, flips, also_shown=shown, shown_networks=1, watch=lambda *now: seen.append(now)
    )
    models = [torch.nn.Conv3d(1, 2, 1) for _ in range(networks)]
    predict_probabilities(
        models, np.zeros((1, *shape), np.float32), settings, torch.device("cpu"), (lambda *_: None) if shown else None
    )
    if all(size <= 8 for size in shape):
        assert seen == []
        return
    looks = networks * len(flips) + len(shown)
    assert seen[-1][0] == seen[-1][1] == looks * window_count(shape, (8, 8, 8))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and len({total for _, total in seen}) == 1
