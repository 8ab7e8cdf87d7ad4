"""Processes that another one started for its work: they end with it, however it ended.

A process that is killed tells its children nothing. Each child therefore looks several times in ten seconds whether its
parent is still the one that started it; the kernel gives an orphan another.
"""

import os
import signal
import threading
import time
from collections.abc import Callable

PARENT = "HIPPOPT_PARENT"  # environment of a child process: the id of the process that started it
LOOK_EVERY_S = 1.0
GRACE_S = 600.0  # for saving what there is, after which an orphan that has not ended is killed


def watch_parent() -> None:
    """Let a command that another command started stop, as by SIGTERM, once that one is gone.

    Does nothing in a command of a user's.
    """
    started_by = os.environ.pop(PARENT, "")  # children of this process have this one as their parent
    if started_by.isdigit():
        end_with_parent(int(started_by), _stop_saving)


def end_with_parent(parent: int, end: Callable[[], object]) -> None:
    """Call `end` in a thread of its own once the process `parent` is no more this process's parent."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        end()

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def _stop_saving() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)
