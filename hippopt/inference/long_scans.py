"""Scans that take minutes: says beforehand how long one will take, and ends one soon after a stop signal.

So it is where a network of crops is shown a whole head, which it can only look through in hundreds of windows.
"""

import time
from collections.abc import Callable, Sequence

from hippopt.console import Console
from hippopt.errors import Interrupted

SAY_FROM_S = 60.0  # a scan that takes less is soon done
MEASURED_S = 2.0  # of windows, before the rest is estimated from them
FINISH_WITHIN_S = 5.0  # what is nearly done is finished after a signal


class LongScan:
    """Follows the windows of one scan, as `WindowSettings.watch`."""

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        patch_size: Sequence[int],
        console: Console,
        stopped_by: Callable[[], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin the clock.

        Args:
            name: of the scan.
            shape: (Z, Y, X) voxels of the prepared scan.
            patch_size: (Z, Y, X) voxels of a window.
            console: gets the estimate.
            stopped_by: the number of the signal that came, or None.
            clock: seconds.
        """
        self._name, self._shape, self._patch = name, tuple(shape), tuple(patch_size)
        self._console, self._stopped_by, self._clock = console, stopped_by, clock
        self._started, self._said = clock(), False

    def __call__(self, done: int, of_all: int) -> None:
        """Note that so many windows were seen. Raises Interrupted where a signal came and the rest would take long."""
        spent = self._clock() - self._started
        left = spent / max(1, done) * (of_all - done)
        number = self._stopped_by()
        if number is not None and left > FINISH_WITHIN_S:
            raise Interrupted(
                f"{self._name}: stopped at window {done} of {of_all}, with about {_minutes(left)} to go; nothing of it"
                " is kept",
                128 + number,
            )
        if not self._said and spent >= MEASURED_S:
            self._said = True
            if spent + left > SAY_FROM_S:
                self._console.warn(
                    f"{self._name}: will take about {_minutes(spent + left)}: its {_by(self._shape)} voxels are seen in"
                    f" {of_all} windows of {_by(self._patch)}, since these networks were trained on crops; cut it"
                    " around the hippocampus, or train on whole scans (docs/whole_brain.md); Ctrl-C stops within"
                    " seconds"
                )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))
