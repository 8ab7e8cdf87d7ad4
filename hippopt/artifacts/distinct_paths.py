"""Whether what a command writes is something that it reads, or written twice: told by the files, not by their names."""

import os
from collections.abc import Iterable
from pathlib import Path

MOST_LINKS = 40


def overwritten(outputs: Iterable[Path], inputs: Iterable[Path]) -> tuple[Path, Path] | None:
    """(output, input) of the first output that would replace an
    input, a link on the way to one, or another name of its file.
    """
    entries: dict[str, Path] = {}
    files: dict[tuple[int, int], Path] = {}
    for path in inputs:
        entries |= dict.fromkeys(_entries(path), path)
        try:
            stat = path.stat()
            files[(stat.st_dev, stat.st_ino)] = path
        except OSError:  # the reading of it will say so
            continue
    for path in outputs:
        entry = _entry(path)
        if entry in entries:
            return path, entries[entry]
        try:
            stat = path.stat()
        except OSError:
            continue
        if (stat.st_dev, stat.st_ino) in files:
            return path, files[(stat.st_dev, stat.st_ino)]
    return None


def lies_in(path: Path, folder: Path) -> bool:
    """Whether any file on the way of a path's links lies in the folder."""
    whole = os.path.realpath(folder)
    return any(os.path.commonpath((entry, whole)) == whole for entry in _entries(path))


def written_twice(outputs: Iterable[Path]) -> Path | None:
    """The first output that another one has the name of, as also disks see it that know no letter case."""
    seen: set[str] = set()
    for path in outputs:
        entry = _entry(path).casefold()
        if entry in seen:
            return path
        seen.add(entry)
    return None


def _entry(path: Path) -> str:
    """The path with links of its folders resolved, but not the last name: what a renamed file would replace."""
    return os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118


def _entries(path: Path) -> list[str]:
    """Every name that leads to a file, from the path over its links to the file itself."""
    found = []
    for _ in range(MOST_LINKS):
        found.append(_entry(path))
        try:
            target = Path(found[-1]).readlink()
        except OSError:
            break
        path = Path(found[-1]).parent / target
    return found
