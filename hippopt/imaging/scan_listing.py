"""Which scans a prediction is to segment: files of a folder, grouped into channels."""

import re
from dataclasses import dataclass
from pathlib import Path

from hippopt.artifacts.dataset import image_files, split_ending
from hippopt.errors import DatasetError

CHANNEL = re.compile(r"^(.*)_(\d{4})$")


@dataclass(frozen=True)
class ScanFiles:
    """One scan: its id and a file for each channel."""

    id: str
    channels: tuple[Path, ...]


def list_scans(source: Path, channels: int) -> tuple[list[ScanFiles], list[str]]:
    """(scans, notes) of a folder or of one file. nnU-Net's `ID_0000` names are grouped by ID.

    With one channel, any other name is a scan of its own. Raises DatasetError when there is nothing to do, or when two
    files claim one id.
    """
    notes = []
    if source.is_dir():
        files = image_files(source)
        hidden = [path.name for path in source.iterdir() if path.name.startswith("._")]
        if hidden:
            notes.append(f"{len(hidden)} hidden files ({hidden[0]}, ...) ignored")
        others = [path.name for path in source.iterdir() if path.is_file() and not path.name.startswith(".") and path not in files]
        if others:
            notes.append(f"{len(others)} files that are no images ({sorted(others)[0]}, ...) ignored")
    elif source.exists() or source.is_symlink():
        files = [source]
    else:
        near = [path.name for path in source.parent.iterdir()] if source.parent.is_dir() else []
        import difflib

        close = difflib.get_close_matches(source.name, near, 3)
        raise DatasetError(f"-i {source.absolute()}: not found" + (f"; near matches: {', '.join(close)}" if close else ""))
    if not files:
        raise DatasetError(f"-i {source}: no image files in it (.nii.gz, .nii, .nrrd, .mha, .hdr/.img)")
    found: dict[str, dict[int, Path]] = {}
    for path in files:
        kind = split_ending(path.name)
        stem = kind[0] if kind else path.name
        if kind and kind[1].lower() == ".hdr" and path.with_suffix(".img").exists():
            continue  # the pair is listed by its .img
        match = CHANNEL.match(stem)
        number, name = (int(match[2]), match[1]) if match and (channels > 1 or int(match[2]) == 0) else (0, stem)
        taken = found.setdefault(name, {})
        if number in taken:
            raise DatasetError(f"{path}: ambiguous, {taken[number].name} is the same scan; keep one of them")
        taken[number] = path
    folded: dict[str, str] = {}
    for name in found:
        other = folded.setdefault(name.strip().lower(), name)
        if other != name:
            raise DatasetError(f"{source}: scans {other!r} and {name!r} differ in letter case or blanks only; rename one")
    return [ScanFiles(name, tuple(parts[number] for number in sorted(parts))) for name, parts in sorted(found.items())], notes
