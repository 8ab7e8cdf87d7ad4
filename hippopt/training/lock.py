"""At most one process per fold: a locked file that names process
and host. The kernel frees the lock of a process that dies.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from hippopt.artifacts.this_host import this_host
from hippopt.errors import OutputError, TrainingError
from hippopt.training.slurm_job import job_has_ended

JOB_ID, RESTARTS, CLUSTER = "SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_CLUSTER_NAME"
ARRAY, TASK = "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"
JOB_NAMES = (CLUSTER, JOB_ID, ARRAY, TASK, RESTARTS)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some network file systems


@contextlib.contextmanager
def fold_lock(path: Path) -> Iterator[bool]:
    """Hold the lock; yields whether a stale one was taken over. Raises TrainingError when another process holds it.

    A POSIX record lock: workers forked while it is held do not keep it, and a process id that is given out anew does
    not pass for the holder's. Another host's file counts as held, since its lock may not be seen from here, unless it
    is this job's own from before SLURM requeued it, or of a job that has ended, as SLURM says.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, locked = _open_locked(path)
        try:
            # through the same handle: closing another one of this file would free the lock
            holder = _parse(os.pread(handle, 10_000, 0))
            if _foreign(holder):
                free = _own_earlier(holder) or (locked and _of_ended_job(holder, handle))
            else:
                free = locked or _gone(holder)
            if holder and not free:
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


def check_free(locks: Iterable[Path], what: str) -> None:
    """Raise OutputError where another process holds one of the locks:
    `what` names what it is at work on, and must not be replaced.
    """
    for path in locks:
        holder = _holder(path)
        if holder is not None:
            raise OutputError(
                f"{what}: process {holder.get('pid', '?')} on {holder.get('host', '?')} trains on it ({path}); wait for"
                " it, stop it first, or remove the file if that process is gone"
            )


def _holder(path: Path) -> dict[str, object] | None:
    """What the lock says of the process that holds it; None where none does.

    Not for a lock of this process: it would be let go.
    """
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        text = _parse(os.pread(handle, 10_000, 0))
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return text
    except OSError:
        return text if _foreign(text) or not _gone(text) else None
    else:
        return text if text and _foreign(text) and not (_own_earlier(text) or _of_ended_job(text, handle)) else None
    finally:
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
            holder = _parse(os.pread(handle, 10_000, 0))
            if not _own_earlier(holder):
                os.close(handle)
                raise _held(path, holder) from None
            path.unlink(missing_ok=True)  # a node that is gone may hold its lock for a while on a network file system
        except OSError as error:
            if error.errno in NO_LOCKS:
                return handle, False
            os.close(handle)
            raise
        os.close(handle)  # its holder removed the file meanwhile: open the new one


def _job() -> dict[str, str]:
    """The scheduler's names of the job that this process belongs to; empty outside of one."""
    return {name: os.environ[name] for name in JOB_NAMES if os.environ.get(name)} if os.environ.get(JOB_ID) else {}


def _foreign(holder: dict[str, object]) -> bool:
    """Whether the holder was on another host."""
    return holder.get("host") != socket.gethostname()


def _own_earlier(holder: dict[str, object]) -> bool:
    """Whether the holder is this very job before it was requeued, which SLURM does only once the job's processes have
    ended.

    A job keeps its number then, and its restarts are counted. On one host the kernel knows better who is alive.
    """
    mine, theirs = _job(), holder.get("job")
    if not mine or not isinstance(theirs, dict) or not _foreign(holder):
        return False
    same = all(mine.get(name) == theirs.get(name) for name in JOB_NAMES if name != RESTARTS)
    return same and _count(mine.get(RESTARTS)) > _count(theirs.get(RESTARTS))


def _of_ended_job(holder: dict[str, object], handle: int) -> bool:
    """Whether the holder is another job of this cluster and user, and has ended.

    A job that is killed for its memory or its time leaves its lock. To be asked only by who has locked the file, so
    that of two jobs that take it over the second finds the first one's name. Other users' jobs are not asked for: a
    cluster may hide them, as if they had ended.
    """
    mine, theirs = _job(), holder.get("job")
    if not isinstance(theirs, dict) or not mine.get(CLUSTER) or mine[CLUSTER] != theirs.get(CLUSTER):
        return False
    if mine[JOB_ID] == theirs.get(JOB_ID) or os.fstat(handle).st_uid != os.geteuid():
        return False
    array, task = theirs.get(ARRAY), theirs.get(TASK)
    return job_has_ended(f"{array}_{task}" if array and task else str(theirs.get(JOB_ID)))


def _count(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isdigit() else 0


def _write(handle: int, path: Path) -> None:
    try:
        os.ftruncate(handle, 0)
        more: dict[str, object] = {"job": _job()} if _job() else {}
        if this_host() != socket.gethostname():
            more["processes"] = this_host()
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), **more}).encode(), 0)
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


def _gone(holder: dict[str, object]) -> bool:
    """Whether the holder's process, of this host, has ended; False where its id means nothing here (a container)."""
    if holder.get("processes", socket.gethostname()) != this_host():
        return False
    try:
        os.kill(int(str(holder.get("pid"))), 0)
    except (ProcessLookupError, ValueError):
        return True
    except PermissionError:
        return False
    return False
