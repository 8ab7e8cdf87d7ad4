"""Whether results can be written, asked before anything is computed."""

import os
import tempfile
from pathlib import Path

from hippopt.errors import OutputError


def check_writable(folder: Path, name: str | None = None) -> None:
    """Raises OutputError where `folder`, or the nearest folder
    above it that exists, takes no new file. Leaves no trace.
    """
    path = folder.absolute()
    nearest = next(place for place in (path, *path.parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise OutputError(
            f"{name or folder}: cannot be written ({error.strerror}); choose another folder or change its permissions"
        ) from None


def longest_name(folder: Path) -> int:
    """Bytes that a file's name may have in `folder`, or in the nearest folder above it that exists."""
    path = folder.absolute()
    try:
        return os.pathconf(next(place for place in (path, *path.parents) if place.exists()), "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):  # not told, or not a POSIX system
        return 255
