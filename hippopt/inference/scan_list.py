"""The list of a study's scans that all its parts share: written
once, by whichever part comes first, and dealt out in turn.
"""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from hippopt.artifacts.codec import atomic_path
from hippopt.errors import OutputError
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.volume_table import as_text

SCAN_LIST = "scans.tsv"
HEADER = ["scan", "file"]


class ScanList:
    """scans: in the order of the list; new: ids of scans that came after the list was made; sha256: of the file."""

    def __init__(self, output: Path, source: Path, found: Sequence[ScanFiles]) -> None:
        """found: all scans that are there now. Raises OutputError where the list is damaged or of other scans."""
        path = output / SCAN_LIST
        data = path.read_bytes()
        self.sha256 = hashlib.sha256(data).hexdigest()
        try:
            rows = list(csv.reader(data.decode().removesuffix("\n").split("\n"), delimiter="\t"))
        except (UnicodeDecodeError, csv.Error):
            rows = []
        if rows[:1] != [HEADER] or any(len(row) != 2 for row in rows):
            raise OutputError(
                f"{path}: not the list of scans that a part has written; remove it, and each part deals the scans out"
                " anew"
            )
        here = {_text(files.id): files for files in found}
        listed = dict(rows[1:])
        if listed and here and not listed.keys() & here.keys():
            raise OutputError(
                f"{path}: a list of other scans than those of -i {source}; choose another -o, or remove the list"
            )
        self.scans = [here.get(scan) or _gone(scan, source / file) for scan, file in listed.items()]
        self.new = sorted(here.keys() - listed.keys())


def write_list(output: Path, scans: Sequence[ScanFiles]) -> None:
    """Write the list, sorted by id, where there is none yet. Raises OutputError."""
    path = output / SCAN_LIST
    if path.exists():
        return
    rows = sorted([_text(files.id), _text(files.channels[0].name)] for files in scans)
    with atomic_path(path, keep_first=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter="\t", lineterminator="\n").writerows([HEADER, *rows])


def _gone(scan: str, file: Path) -> ScanFiles:
    return ScanFiles(
        scan,
        (file,),
        f"{file}: was there when {SCAN_LIST} was written and is gone; put it back, or leave its row out",
        gone=True,
    )


def _text(name: str) -> str:
    """A name in one line of text."""
    return as_text(name).replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
