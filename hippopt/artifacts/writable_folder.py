"""Whether results can be written, asked before anything is computed."""

import os
import tempfile
from pathlib import Path

from hippopt.errors import OutputError


def check_writable(folder: Path, name: str | None = None) -> None:
    """Raises OutputError where `folder`, or the nearest folder above it that exists, takes no new file. Leaves no trace."""
    path = folder.absolute()
    nearest = next(place for place in (path, *path.parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise OutputError(
            f"{name or folder}: cannot be written ({error.strerror}); choose another folder or change its permissions"
        ) from None
