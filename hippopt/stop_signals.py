"""Stop signals: Ctrl-C, SIGTERM and the end of the terminal ask the work to end at the next safe place."""

import os
import signal
import threading
from types import FrameType

from hippopt.errors import Interrupted


class StopSignals:
    """While active, notes the first SIGINT, SIGTERM or SIGHUP; a second Ctrl-C interrupts at once.

    SIGHUP tells that the terminal is gone, as when an SSH connection drops. Under nohup it stays ignored.
    """

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
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that inherited this handler; the main process ends it
            return
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
