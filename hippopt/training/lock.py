"""One process a fold: a locked file that names process and host. The kernel frees the lock of a process that dies."""

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from hippopt.errors import OutputError, TrainingError

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some network file systems


@contextlib.contextmanager
def fold_lock(path: Path) -> Iterator[bool]:
    """Hold the lock; yields whether a stale one was taken over. Raises TrainingError when another process holds it.

    A POSIX record lock: workers forked while it is held do not keep it, and a process id that is given out anew does not
    pass for the holder's. Another host's file counts as held, since its lock may not be seen from here.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, locked = _open_locked(path)
        try:
            # through the same handle: closing another one of this file would free the lock
            holder = _parse(os.pread(handle, 10_000, 0))
            if holder and (holder.get("host") != socket.gethostname() or not (locked or _gone(holder.get("pid")))):
                raise _held(path, holder)
            _write(handle, path)
        except BaseException:
            os.close(handle)
            raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); free space, mend its permissions or choose another --root"
        ) from None
    try:
        yield bool(holder)
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _open_locked(path: Path) -> tuple[int, bool]:
    """(handle, whether the file system gave a lock)."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:
                return handle, True
        except (BlockingIOError, PermissionError):
            text = os.pread(handle, 10_000, 0)
            os.close(handle)
            raise _held(path, _parse(text)) from None
        except OSError as error:
            if error.errno in NO_LOCKS:
                return handle, False
            os.close(handle)
            raise
        os.close(handle)  # its holder removed the file meanwhile: open the new one


def _write(handle: int, path: Path) -> None:
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
    except OSError:
        path.unlink()
        raise


def _held(path: Path, holder: dict[str, object]) -> TrainingError:
    return TrainingError(
        f"{path}: process {holder.get('pid', '?')} on {holder.get('host', '?')} is at work on this; wait for it, "
        "or remove the file if that process is gone"
    )


def _parse(text: bytes) -> dict[str, object]:
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _gone(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except (ProcessLookupError, ValueError):
        return True
    except PermissionError:
        return False
    return False
