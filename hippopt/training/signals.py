"""Stop signals: Ctrl-C and SIGTERM ask the work to end at the next safe place."""

import os
import signal
import threading
from types import FrameType

from hippopt.errors import Interrupted


class StopSignals:
    """While active, notes the first SIGINT or SIGTERM; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._previous: dict[int, object] = {}
        self._process = os.getpid()

    @property
    def stopping(self) -> bool:
        """Whether a signal came."""
        return self.number is not None

    def stop_if_asked(self, where: str) -> None:
        """Raises Interrupted, saying `where` the work ended, if a signal came."""
        if self.number is not None:
            raise Interrupted(f"stopped by a signal {where}; continue with --resume", 128 + self.number)

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that inherited this handler
            if os.getppid() != self._process:
                os._exit(128 + number)
            return  # the main process ends it: one that died while it hands a batch over would leave the main one waiting
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
