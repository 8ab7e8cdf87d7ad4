"""One process a fold: a lock file with process id and host. A lock whose process is gone is taken over."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from hippopt.errors import OutputError, TrainingError


@contextlib.contextmanager
def fold_lock(path: Path) -> Iterator[bool]:
    """Hold the lock; yields whether a stale one was taken over. Raises TrainingError when another process holds it."""
    mine = {"pid": os.getpid(), "host": socket.gethostname()}
    stale = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            holder = _holder(path)
            if holder is not None and (holder.get("host") != mine["host"] or _alive(int(holder.get("pid", 0)))):
                raise TrainingError(
                    f"{path}: process {holder.get('pid')} on {holder.get('host')} trains this fold; wait for it, "
                    "or remove the file if that process is gone"
                ) from None
            stale = True
            path.unlink(missing_ok=True)
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        with os.fdopen(handle, "w") as stream:
            json.dump(mine, stream)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another --root or its permissions") from None
    try:
        yield stale
    finally:
        path.unlink(missing_ok=True)


def _holder(path: Path) -> dict[str, object] | None:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
