"""Which scans a BIDS data set holds, and where what is derived from them goes.

A walk of its own: folders of subjects, their sessions, and `anat` in each; nothing else is opened, however large the
data set is.
"""

import json
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hippopt.errors import DatasetError, UsageError
from hippopt.files.scan_listing import ScanFiles

SEGMENTATION = "hippopt"  # the value of the entity `seg`
IMAGE = re.compile(r"\.nii(\.gz)?$")


@dataclass(frozen=True)
class BidsRequest:
    """Which scans to take. participants, sessions: labels without `sub-`
    and `ses-`; all where there are none. suffix: the kind of scan.
    """

    folder: Path
    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    suffix: str = "T1w"


def bids_description(folder: Path) -> dict[str, Any]:
    """The data set's dataset_description.json. Raises DatasetError where there is none."""
    path = folder / "dataset_description.json"
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DatasetError(
            f"{folder}: no BIDS data set (no dataset_description.json in it); give its root folder"
        ) from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); mend it") from None
    return found if isinstance(found, dict) else {}


def bids_scans(request: BidsRequest, output: Path) -> list[ScanFiles]:
    """The scans, by their names without suffix and ending.

    Raises DatasetError, or UsageError for a participant or a session that is not there.
    """
    bids_description(request.folder)
    wanted = {label.removeprefix("sub-") for label in request.participants}
    subjects = [name for name in _folders(request.folder, "sub-") if not wanted or name[4:] in wanted]
    missing = sorted(wanted - {name[4:] for name in subjects})
    if missing:
        raise UsageError(f"--participant-label {' '.join(missing)}: not in {request.folder}")
    sessions = {label.removeprefix("ses-") for label in request.sessions}
    scans: list[ScanFiles] = []
    for subject in subjects:
        folder = request.folder / subject
        names = _folders(folder, "ses-")
        places = [Path(subject, name) for name in names if not sessions or name[4:] in sessions]
        for place in [*places, *([] if sessions else [Path(subject)])]:
            scans += list(_anatomical(request, place, output))
    if absent := _absent_sessions(request.folder, sessions):
        raise UsageError(f"--session-label {' '.join(absent)}: no such session in {request.folder}")
    if not scans and sessions:
        raise UsageError(
            f"{request.folder}: no *_{request.suffix}.nii.gz of {', '.join(subjects[:3])} in session"
            f" {' '.join(sorted(sessions))}"
        )
    if not scans:
        raise DatasetError(
            f"{request.folder}: no *_{request.suffix}.nii.gz under sub-*/[ses-*/]anat; --suffix takes another kind"
        )
    return _without_twins(sorted(scans, key=lambda files: files.id))


def _absent_sessions(folder: Path, sessions: Collection[str]) -> list[str]:
    """Those of the sessions that no participant of the data set has."""
    left = set(sessions)
    for subject in _folders(folder, "sub-") if left else ():
        left -= {name[4:] for name in _folders(folder / subject, "ses-")}
        if not left:
            break
    return sorted(left)


def _without_twins(scans: list[ScanFiles]) -> list[ScanFiles]:
    """The scans, where one is there twice once and with its fault: their masks would have one name."""
    found: dict[str, ScanFiles] = {}
    for files in scans:
        other = found.setdefault(files.id, files)
        if other is not files:
            fault = f"{other.channels[0]} and {files.channels[0]} are the same scan by their names; move one away"
            found[files.id] = replace(other, fault=fault)
    return list(found.values())


def derivative_name(stem: str, suffix: str, description: str = "") -> str:
    """The name of a derivative: entities of the scan, then space, segmentation and description, in BIDS's order."""
    before, chunk, after = stem.partition("_chunk-")
    described = f"_desc-{description}" if description else ""
    return f"{before}_space-orig{chunk}{after}_seg-{SEGMENTATION}{described}_{suffix}.nii.gz"


def _anatomical(request: BidsRequest, place: Path, output: Path) -> Iterator[ScanFiles]:
    folder = request.folder / place / "anat"
    if not folder.is_dir():
        return
    ending = f"_{request.suffix}"
    for name in sorted(os.listdir(folder)):  # noqa: PTH208  names only: thousands of them
        stem = IMAGE.sub("", name)
        if name.startswith("sub-") and stem != name and stem.endswith(ending):
            scan = stem.removesuffix(ending)
            yield ScanFiles(scan, (folder / name,), target=output / place / "anat" / derivative_name(scan, "dseg"))


def _folders(folder: Path, beginning: str) -> Collection[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.startswith(beginning) and entry.is_dir())
