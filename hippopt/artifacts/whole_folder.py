"""A folder that appears whole or not at all: built beside its place under a hidden name, then renamed."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from hippopt.artifacts.this_host import this_host
from hippopt.errors import OutputError

# .building.PID.HOST.NAME and .replaced.PID.HOST.NAME; no NAME holds a dot
LEFTOVER = re.compile(r"^\.(building|replaced)\.(\d+)\.(.+)\.([^.]+)$")


@contextlib.contextmanager
def whole_folder(final: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it becomes `final`, else it is removed.

    With `overwrite`, an older `final` stays in its place until the new one is whole. What killed processes of this host
    left behind is cleaned up first. Raises OutputError where nothing can be written, or where `final` exists.
    """
    mine = f"{os.getpid()}.{this_host()}.{final.name}"
    building, replaced = final.with_name(f".building.{mine}"), final.with_name(f".replaced.{mine}")
    with _clear_faults(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(final.parent)
        building.mkdir()
    try:
        yield building
        with _clear_faults(final):
            if final.exists() and not overwrite:
                raise OutputError(f"{final}: another process made it meanwhile; nothing was replaced")
            if final.exists():
                final.rename(replaced)
            building.rename(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        if replaced.exists() and not final.exists():  # stopped between the two renames
            replaced.rename(final)
        shutil.rmtree(replaced, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Remove what processes of this host that are gone left in
    `parent`; a folder killed between its two renames is put back.
    """
    for path in sorted(parent.iterdir()):
        match = LEFTOVER.match(path.name)
        if match is None or match[3] != this_host() or is_alive(int(match[2])):
            continue
        if match[1] == "replaced" and not (parent / match[4]).exists():
            path.rename(parent / match[4])
        else:
            shutil.rmtree(path, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Whether another process of this host has this id."""
    if pid == os.getpid():  # a number used again, as containers do: what bears it was left by another
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextlib.contextmanager
def _clear_faults(final: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"{final}: cannot be made in {final.parent} ({reason}); free space, mend permissions or choose another"
            " --root"
        ) from error
