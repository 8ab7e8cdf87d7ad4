"""Which scans a prediction is to segment: files of a folder, grouped into channels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hippopt.artifacts.dataset import KINDS, hidden_names_note, is_text, split_channel, split_ending
from hippopt.errors import DatasetError
from hippopt.files.file_kind import irregular_kind, near_matches
from hippopt.files.passed_over import passed_over


@dataclass(frozen=True)
class ScanFiles:
    """One scan: its id and a file for each channel. fault: why it cannot be segmented, known from the names alone;
    gone: since it was listed.

    target: where its mask goes, None where the output folder and the id tell.
    """

    id: str
    channels: tuple[Path, ...]
    fault: str | None = None
    gone: bool = False
    target: Path | None = None


def list_scans(source: Path, channel_names: Sequence[str]) -> tuple[list[ScanFiles], list[str]]:
    """(scans, notes) of a folder or of one file. nnU-Net's `ID_0000` names are grouped by ID.

    With one channel, any other name is a scan of its own. Raises DatasetError when there is nothing to do, or when two
    files claim one id.
    """
    files, notes = _files(source)
    names = {path.name for path in files}
    found: dict[str, dict[int, Path]] = {}
    further: list[Path] = []
    for path in files:
        kind = split_ending(path.name)
        stem = kind[0] if kind else path.name
        if kind and kind[1].lower() == ".hdr" and len(files) > 1 and path.with_suffix(".img").name in names:
            continue  # the pair is listed by its .img
        split = split_channel(stem)
        name, number = split if split and (len(channel_names) > 1 or split[1] == 0) else (stem, 0)
        further += [path] if split and split[0] in found and name == stem else []
        taken = found.setdefault(name, {})
        if number in taken:
            raise DatasetError(f"{path}: ambiguous, {taken[number].name} is the same scan; keep one of them")
        taken[number] = path
    folded: dict[str, str] = {}
    for name in found:
        other = folded.setdefault(name.strip().lower(), name)
        if other != name:
            raise DatasetError(
                f"{source}: scans {other!r} and {name!r} differ in letter case or blanks only; rename one"
            )
    if further:
        notes.append(
            f"{source}: files named like further channels ({further[0].name}, ...); the network takes one, so each is"
            " taken for a scan of its own"
        )
    return [_scan(name, found[name], channel_names) for name in sorted(found)], notes


def scan_name(path: Path) -> str:
    """The id of a scan of one channel, or of the first of several, as `list_scans` gives it."""
    kind = split_ending(path.name)
    stem = kind[0] if kind else path.name
    split = split_channel(stem)
    return split[0] if split and split[1] == 0 else stem


def regular_images(folder: Path, option: str) -> tuple[list[Path], list[str]]:
    """(image files of a folder by name, notes on all else in it that a person may have meant). Raises DatasetError."""
    names, hidden, irregular = list[str](), list[str](), dict[str, str]()
    others: list[os.DirEntry[str]] = []
    try:
        with os.scandir(folder) as entries:  # one listing, however large the folder is
            for entry in entries:
                if entry.name.startswith("."):
                    hidden += [entry.name] if entry.name.startswith("._") else []
                elif not split_ending(entry.name):
                    others.append(entry)
                elif kind := _irregular(entry):
                    irregular[entry.name] = kind
                else:
                    names.append(entry.name)
        notes = [hidden_names_note(folder, hidden)] if hidden else []
        if irregular:
            first = min(irregular)
            notes.append(
                f"{folder}: {len(irregular)} that are no regular files ({first} is {irregular[first]}) passed over"
            )
        return [folder / name for name in sorted(names)], notes + passed_over(folder, names, others)
    except OSError as error:
        raise DatasetError(
            f"{option} {folder}: cannot be read ({error.strerror}); change its permissions with chmod or its owner"
        ) from None


def _irregular(entry: os.DirEntry[str]) -> str:
    """What an entry is that is no regular file; empty for a file, and
    for a link to nothing or in a circle, which reading will name.
    """
    try:
        return "" if entry.is_file() else irregular_kind(Path(entry.path))
    except OSError:
        return ""


def _files(source: Path) -> tuple[list[Path], list[str]]:
    if not source.is_dir():
        if not source.exists() and not source.is_symlink():
            raise DatasetError(f"-i {source.absolute()}: not found{near_matches(source)}")
        return [source], []
    files, notes = regular_images(source, "-i")
    if not files:
        raise DatasetError("\n".join([f"-i {source}: no image files in it ({KINDS})", *notes]))
    return files, notes


def _scan(name: str, parts: dict[int, Path], channel_names: Sequence[str]) -> ScanFiles:
    paths = tuple(parts[number] for number in sorted(parts))
    fault = None
    if sorted(parts) != list(range(len(channel_names))):
        fault = (
            f"{paths[0]}: channel{'s' if len(parts) > 1 else ''}"
            f" {', '.join(f'{number:04d}' for number in sorted(parts))} found, but the network takes"
            f" {len(channel_names)} ({', '.join(channel_names)}), named {name}_0000, _0001, ..."
        )
    elif not all(is_text(path.name) for path in paths):
        fault = f"{paths[0].name!r}: its name is not UTF-8 and cannot stand in a table; rename it"
    return ScanFiles(name, paths, fault)
