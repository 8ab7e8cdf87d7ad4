"""The tables beside masks: volumes.tsv and failures.tsv as lines of text, which a large study can hold in memory."""

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hippopt.artifacts.codec import write_bytes
from hippopt.inference.flags import LOCATING
from hippopt.inference.volumes import COLUMNS, SURE, VolumeRow

Lines = tuple[str, ...]  # rows of one scan, each as it stands in the table, by rising value of their labels
VOLUMES, FAILURES = "volumes.tsv", "failures.tsv"
WIDE = "volumes_wide.tsv"
OF_A_SCAN = ("head_size_mm3", "head_size_of")  # columns of the wide table that its labels share
OF_A_LABEL = (
    "volume_mm3",
    "volume_low_mm3",
    "volume_high_mm3",
    "predicted_dice",
    "asymmetry_percent",
    "volume_per_head",
    "flag",
)
END = "\r\n"
FAILURE_COLUMNS = ("scan", "files", "reason")


class Failure(NamedTuple):
    """Why a scan could not be segmented. files: of its channels, separated by semicolons."""

    files: str
    reason: str

    def is_gone_from(self, folder: Path) -> bool:
        """Whether the scan came from this folder and has been taken away."""
        first = Path(self.files.partition(";")[0])
        return first.parent.absolute() == folder.absolute() and not os.path.lexists(first)


def as_text(value: object) -> str:
    """A value as it stands in a table: blank where it is not known.

    Bytes of a name that are not UTF-8 are written as escapes.
    """
    return "" if value is None or value != value else str(value).encode(errors="backslashreplace").decode()


def lines_of(rows: Iterable[VolumeRow]) -> Lines:
    """Rows of volumes.tsv as text."""
    return tuple(
        line_of([*(as_text(getattr(row, name)) for name in COLUMNS[:-1]), as_text("; ".join(row.flags))])
        for row in rows
    )


def fields_of(lines: Lines) -> list[dict[str, str]]:
    """The fields of each line, by column."""
    return [dict(zip(COLUMNS, next(csv.reader([line], delimiter="\t")), strict=True)) for line in lines]


def read_volumes(path: Path, warn: Callable[[str], None] | None = None) -> dict[str, Lines]:
    """Scan -> its lines; nothing where there is no table or it is another kind of table, which is warned of."""
    if not path.exists():
        return {}
    table = _read(path, COLUMNS)
    if table is None and warn is not None:
        warn(
            f"{path}: not a table with the columns of this version; it is replaced, its rows of other scans are lost,"
            " and kept masks have no predicted Dice, interval, agreement or flags of the locator (--overwrite makes"
            " them anew)"
        )
    found: dict[str, Lines] = {}
    for fields in table or []:
        found[fields[0]] = (*found.get(fields[0], ()), line_of(fields))
    return found


def write_volumes(found: Mapping[str, Lines], path: Path) -> None:
    """Write the table, scans by name, atomically."""
    _write(path, COLUMNS, (line for scan in sorted(found) for line in found[scan]))


def write_wide(found: Mapping[str, Lines], path: Path) -> None:
    """Write one row per scan, atomically: what belongs to a label stands in
    columns LABEL_volume_mm3 and so on, labels by rising value.
    """
    rows = {scan: fields_of(lines) for scan, lines in found.items()}
    values = {fields["label"]: int(fields["value"]) for each in rows.values() for fields in each}
    labels = sorted(values, key=values.__getitem__)
    columns = ("scan", *OF_A_SCAN, *(f"{label}_{name}" for label in labels for name in OF_A_LABEL))

    def line(scan: str) -> str:
        by_label = {fields["label"]: fields for fields in rows[scan]}
        of_labels = [by_label.get(label, {}).get(name, "") for label in labels for name in OF_A_LABEL]
        return line_of([scan, *(rows[scan][0][name] if rows[scan] else "" for name in OF_A_SCAN), *of_labels])

    _write(path, columns, (line(scan) for scan in sorted(rows)))


def read_failures(path: Path) -> dict[str, Failure]:
    """Scan -> why it could not be segmented; nothing where there is no such table."""
    table = _read(path, FAILURE_COLUMNS) if path.exists() else None
    return {scan: Failure(files, reason) for scan, files, reason in table or []}


def write_failures(failed: Mapping[str, Failure], path: Path) -> None:
    """Write the table, scans by name, atomically; remove it where nothing failed."""
    if failed:
        _write(path, FAILURE_COLUMNS, (line_of([scan, *failed[scan]]) for scan in sorted(failed)))
    else:
        path.unlink(missing_ok=True)


def keep_known(rows: Sequence[VolumeRow], before: Lines) -> list[VolumeRow]:
    """Rows of a mask that was kept, with what only its networks could
    tell, where the mask still has as many voxels as in `before`.
    """
    known = {fields["label"]: fields for fields in fields_of(before)}
    kept = []
    for row in rows:
        old = known.get(as_text(row.label))
        if old is None or old["voxels"] != str(row.voxels):
            kept.append(row)
            continue
        flags = [flag for flag in old["flag"].split("; ") if flag in LOCATING]
        # the locator's come first, as where they were made
        sure: dict[str, Any] = {name: _number(old[name]) for name in SURE}
        kept.append(replace(row, **sure, flags=(*flags, *row.flags)))
    return kept


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def line_of(fields: Sequence[str]) -> str:
    """Write one row as it stands in a table."""
    if not any(mark in field for field in fields for mark in '\t\n\r"'):
        return "\t".join(fields)
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator=END).writerow(fields)  # it quotes what its line ends hold alone
    return text.getvalue().removesuffix(END)


def _read(path: Path, columns: Sequence[str]) -> list[list[str]] | None:
    """The rows; None where it is no such table."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    return rows[1:] if rows and rows[0] == list(columns) and all(len(row) == len(columns) for row in rows) else None


def _write(path: Path, columns: Sequence[str], lines: Iterable[str]) -> None:
    write_bytes(path, "".join(f"{line}\n" for line in ("\t".join(columns), *lines)).encode(errors="backslashreplace"))
