"""The console of the command line: lines to standard output, warnings and progress bars to standard error."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from hippopt.console import SilentConsole

T = TypeVar("T")


class TerminalConsole(SilentConsole):
    """Prints. A closed pipe (`hippopt_plan | head`) silences it instead of stopping the work."""

    def say(self, text: str) -> None:
        super().say(text)
        self._print(text, sys.stdout)

    def warn(self, text: str) -> None:
        super().warn(text)
        self._print(f"warning: {text}", sys.stderr)

    def _print(self, text: str, stream: TextIO) -> None:
        from tqdm import tqdm

        try:
            with tqdm.external_write_mode(file=stream):
                print(text, file=stream, flush=True)
        except BrokenPipeError:
            pass

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        from tqdm import tqdm

        # disable=None: a bar in a terminal only, so that logs stay readable
        quiet = True if sys.stderr is None else None
        try:
            bar = tqdm(total=total, desc=label, file=sys.stderr, dynamic_ncols=True, mininterval=0.5, leave=False, disable=quiet)
        except BrokenPipeError:
            bar = tqdm(disable=True)
        for item in items:
            yield item
            with contextlib.suppress(BrokenPipeError):
                bar.update()
        with contextlib.suppress(BrokenPipeError):
            bar.close()
