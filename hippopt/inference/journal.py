"""What a process of hippopt_predict has found so far, line by line in a file of its own.

A table is written as a whole, so that two processes would undo each other's rows, and a killed one would lose those
that it had not written yet. A journal only grows, and has one writer. The rows of a mask are written before the mask
and its stamp after it: at whatever moment a process is killed, what its networks said of a finished mask is on disk.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hippopt.artifacts.codec import TEMPORARY
from hippopt.artifacts.this_host import this_host
from hippopt.errors import OutputError
from hippopt.inference.volume_table import Failure, Lines, as_text
from hippopt.inference.volumes import COLUMNS

PARTS = "parts"  # folder of the parts' journals, in the output folder
ENDING = ".jsonl"
SINGLE = f"{TEMPORARY}rows."  # the journal of a run without parts, which goes when its tables are written

# of a mask and its scan: size of the mask, time of the mask, latest time of the scan's files (ns)
Stamp = tuple[int, int, int]
Part = tuple[int, int]  # (number from 1, of how many)


class _Line(msgspec.Struct, omit_defaults=True):
    """The first line has `columns` and `trusted`; one of a scan has `scan`, `at`, and `lines`, `stamp` or `failure`."""

    columns: tuple[str, ...] = ()
    trusted: int = 0
    scan: str = ""
    at: int = 0
    lines: Lines = ()
    stamp: Stamp | None = None
    failure: Failure | None = None


@dataclass(slots=True)
class Outcome:
    """The last that was found of a scan. at: when, in ns; stamp:
    None where the process ended before its mask was written.
    """

    at: int
    lines: Lines = ()
    stamp: Stamp | None = None
    failure: Failure | None = None


class Journal:
    """The journal of this process. trusted: time (ns) up to which the rows of volumes.tsv were known to fit their
    masks.

    part: None for a run without parts. The file appears with its first line.
    """

    def __init__(self, output: Path, part: Part | None, trusted: int) -> None:
        who = f"{this_host()}.{os.getpid()}.{time.time_ns()}"
        self.path = output / PARTS / f"{_part_name(part)}.{who}{ENDING}" if part else output / f"{SINGLE}{who}{ENDING}"
        self.of_a_single_run = () if part else (self.path,)
        self._trusted = trusted
        self._begun = False

    def rows(self, scan: str, lines: Lines) -> Outcome:
        """Note the rows of a mask that is about to be written, or that was measured."""
        outcome = Outcome(time.time_ns(), lines)
        self._append(_Line(scan=as_text(scan), at=outcome.at, lines=lines))
        return outcome

    def stamp(self, scan: str, outcome: Outcome, stamp: Stamp) -> None:
        """Note that the mask of these rows is written."""
        outcome.stamp = stamp
        self._append(_Line(scan=as_text(scan), stamp=stamp))

    def failure(self, scan: str, failure: Failure) -> Outcome:
        """Note why a scan could not be segmented."""
        outcome = Outcome(time.time_ns(), failure=failure)
        self._append(_Line(scan=as_text(scan), at=outcome.at, failure=failure))
        return outcome

    def begin(self) -> None:
        """Have the file with its first line."""
        if not self._begun:
            self._append()

    def _append(self, *lines: _Line) -> None:
        if not self._begun:
            lines = (_Line(columns=COLUMNS, trusted=self._trusted), *lines)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as stream:
                stream.write(b"".join(msgspec.json.encode(item) + b"\n" for item in lines))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror}); free space or choose another folder"
            ) from None
        self._begun = True


def part_journals(output: Path, part: Part | None = None) -> list[Path]:
    """Journals of one part, or of all parts."""
    return sorted((output / PARTS).glob(f"{_part_name(part)}.*{ENDING}" if part else f"part-*{ENDING}"))


def single_journals(names: Iterable[str], output: Path) -> list[Path]:
    """Journals of runs without parts that were killed, or are at work. names: of the files in the output folder."""
    return sorted(output / name for name in names if name.startswith(SINGLE) and name.endswith(ENDING))


def is_left_over(path: Path) -> bool:
    """Whether the process that wrote a journal is gone, as far as it can be told: on this host, or silent for a day."""
    host, pid, _ = path.name.removesuffix(ENDING).rsplit(".", 2)
    if not host.endswith(f".{this_host()}"):
        return path.exists() and time.time() - path.stat().st_mtime > 86400
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return int(pid) == os.getpid()


def read_journals(paths: Iterable[Path]) -> tuple[dict[str, Outcome], int | None]:
    """(scan -> the last that was found of it, earliest `trusted`). A line that was cut off is left out."""
    found: dict[str, Outcome] = {}
    trusted: int | None = None
    decode = msgspec.json.Decoder(_Line).decode
    for path in paths:
        known, mine = False, dict[str, Outcome]()
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # its run has ended meanwhile
            continue
        for text in data.split(b"\n"):
            try:
                line = decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if line.columns:
                known = line.columns == COLUMNS
                trusted = line.trusted if trusted is None else min(trusted, line.trusted)
            elif line.stamp is not None and line.scan in mine:
                mine[line.scan].stamp = line.stamp
            elif line.failure is not None or (line.lines and known):
                mine[line.scan] = Outcome(line.at, line.lines, None, line.failure)
        for scan, outcome in mine.items():
            if scan not in found or found[scan].at < outcome.at:
                found[scan] = outcome
    return found, trusted


def _part_name(part: Part) -> str:
    return f"part-{part[0]}-of-{part[1]}"
