"""What must hold of the files that a killed command leaves: each is whole, and at the end all are those of an
undisturbed run.
"""

import csv
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from safetensors import safe_open

UNFINISHED = re.compile(r"^\.tmp-|^\.building\.|^\.replaced\.|^lock\.json$|^\..*\.lock$")  # may lie about, half
SAID_ONLY = {"progress.png", "comparison.md"}  # a picture of a log with times, a page with costs in minutes
TIMES = re.compile(  # and the mean loss of an epoch, which counts from where it was resumed
    r"train_loss|seconds|minutes|elapsed|peak|wait|_s$|_mb$|speed|date|made$|host|pid|mtime|ctime"
)


def files_of(folder: Path) -> Iterator[Path]:
    """Files under a folder that count: none that is being built, in folders neither."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if UNFINISHED.match(path.name):
            continue
        if path.is_dir():
            yield from files_of(path)
        elif path.is_file():
            yield path


def broken(folder: Path) -> list[str]:
    """Files under their final names that are not whole, each with the reason."""
    found = []
    for path in files_of(folder):
        try:
            _read(path)
        except Exception as error:
            found.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
    return found


def unfinished(folder: Path) -> list[str]:
    """Names of what a killed command was building."""
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if UNFINISHED.match(path.name)]


def _read(path: Path) -> Any:
    if path.name.endswith(".nii.gz"):
        return np.asarray(nibabel.load(path).dataobj)
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".safetensors":
        with safe_open(path, "np") as stream:
            return [stream.get_tensor(name) for name in stream.keys()]  # noqa: SIM118
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix in (".tsv", ".csv"):
        rows = list(csv.reader(io.StringIO(path.read_text()), delimiter="\t" if path.suffix == ".tsv" else ","))
        if not rows or len({len(row) for row in rows}) != 1:
            raise ValueError(f"rows of {sorted({len(row) for row in rows})} columns")
        return rows
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():
                raise ValueError("a damaged member")
    return None


def digests(folder: Path) -> dict[str, str]:
    """Relative path -> digest of what an undisturbed run and a killed one must share: all but times and logs."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(_lasting(path)).hexdigest()
        for path in files_of(folder)
        if path.name not in SAID_ONLY and path.suffix != ".log"
    }


def _lasting(path: Path) -> bytes:
    """A file's content without times of the clock."""
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(path.read_text())), sort_keys=True).encode()
    if path.suffix in (".csv", ".tsv"):
        rows = _read(path)
        kept = [column for column, name in enumerate(rows[0]) if not TIMES.search(name)]
        return json.dumps([[row[column] for column in kept] for row in rows]).encode()
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if not TIMES.search(key)}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def differences(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """What two folders do not share, in words."""
    found_wrong = []
    for name in sorted(set(found) | set(wanted)):
        if name not in found:
            found_wrong.append(f"{name}: missing")
        elif name not in wanted:
            found_wrong.append(f"{name}: not there undisturbed")
        elif found[name] != wanted[name]:
            found_wrong.append(f"{name}: other content")
    return found_wrong
