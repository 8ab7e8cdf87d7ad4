"""The console of the command line: lines to standard output, warnings and progress bars to standard error."""

import contextlib
import json
import math
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from hippopt.console import SilentConsole

T = TypeVar("T")


class TerminalConsole(SilentConsole):
    """Prints. A closed pipe (`hippopt_plan | head`) or a terminal that is gone silences it instead of stopping the
    work.

    as_json: standard output is for `show_results` alone, and lines for people go to standard error.
    """

    def __init__(self, as_json: bool = False) -> None:
        super().__init__()
        self.as_json = as_json

    def say(self, text: str) -> None:
        super().say(text)
        self._print(text, sys.stderr if self.as_json else sys.stdout)

    def warn(self, text: str) -> None:
        super().warn(text)
        self._print(f"warning: {text}", sys.stderr)

    def show_results(self, **more: object) -> None:
        """Print the figures that stages gave, and `more`, as one line of JSON; numbers that are not finite as null."""
        print(json.dumps(_plain(self.results | more), allow_nan=False), flush=True)

    def _print(self, text: str, stream: TextIO) -> None:
        from tqdm import tqdm

        try:
            with tqdm.external_write_mode(file=stream):
                print(text, file=stream, flush=True)
        except OSError:
            pass

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        from tqdm import tqdm

        # disable=None: a bar in a terminal only, so that logs stay readable
        quiet = True if sys.stderr is None else None
        try:
            bar = tqdm(
                total=total,
                desc=label,
                file=sys.stderr,
                dynamic_ncols=True,
                mininterval=0.5,
                leave=False,
                disable=quiet,
            )
        except OSError:
            bar = tqdm(disable=True)
        for item in items:
            yield item
            with contextlib.suppress(OSError):
                bar.update()
        with contextlib.suppress(OSError):
            bar.close()


def _plain(value: object) -> object:
    """With what JSON can hold: paths as text, NaN and infinities as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float) else str(value)
