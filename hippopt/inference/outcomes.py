"""What is known of the scans of an output folder: from its tables, from the journals beside them, and from this
process.

A finished mask is neither opened nor measured again while its row can be trusted: where a journal holds the size and
time of the mask and the time of its scan, and these are the same still; or where both are older than the table that
holds the row.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hippopt.artifacts.dataset import split_ending
from hippopt.artifacts.plan import Plan
from hippopt.console import Console
from hippopt.errors import OutputError
from hippopt.files.bids_layout import SEGMENTATION, derivative_name
from hippopt.files.image_io import mask_ending
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.correct_first import FirstToCorrect, first_to_correct, marked, unmarked
from hippopt.inference.journal import Journal, Part, Stamp, is_left_over, part_journals, read_journals, single_journals
from hippopt.inference.volume_table import (
    FAILURES,
    VOLUMES,
    WIDE,
    Failure,
    Lines,
    as_text,
    fields_of,
    read_failures,
    read_volumes,
    write_failures,
    write_volumes,
    write_wide,
)

UNCERTAINTY, PROBABILITIES = "uncertainty", "probabilities"  # maps beside a mask


def mask_path(files: ScanFiles, output: Path) -> Path:
    """Where the mask of a scan goes: its target, or its id with the ending of its first channel."""
    return files.target or output / (files.id + mask_ending(files.channels[0]))


def remove_masks(scans: Iterable[ScanFiles], output: Path) -> None:
    """Remove the masks of these scans and the maps beside them: other networks than those that are to come made them.

    Raises OutputError where one cannot be removed.
    """
    for files in scans:
        for path in (
            mask_path(files, output),
            *(map_path(files, kind, output) for kind in (UNCERTAINTY, PROBABILITIES)),
        ):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"{path}: cannot be removed ({error.strerror}); mend its permissions") from None


def masks_of_others(scans: Sequence[ScanFiles], output: Path) -> list[Path]:
    """List the masks that lie where those of these scans do, and are of other scans.

    Args:
        scans: of this call; with targets (BIDS) all masks under the data set are looked at, else those in `output`.
        output: where tables and journals lie.
    """
    own = {mask_path(files, output) for files in scans}
    if any(files.target for files in scans):
        found = output.parent.glob(f"sub-*/**/anat/*_seg-{SEGMENTATION}_dseg.nii.gz")
        return sorted(path for path in found if path not in own)
    said = {*read_volumes(output / VOLUMES), *read_journals(part_journals(output))[0]}
    names = [path.name for path in output.iterdir()] if output.is_dir() else []
    said |= read_journals(single_journals(names, output))[0].keys()
    there = _stems(name for name in names if split_ending(name) and output / name not in own)
    return sorted({output / there[scan] for scan in said & there.keys()})


def made_nothing(output: Path) -> bool:
    """Whether a prediction into this folder ended, and no mask came of it: each scan failed."""
    names = [path.name for path in output.iterdir()] if output.is_dir() else []
    journals = part_journals(output) or single_journals(names, output)
    masks = [name for name in names if split_ending(name)]
    return FAILURES in names and not (journals or masks or read_volumes(output / VOLUMES))


def map_path(files: ScanFiles, kind: str, output: Path) -> Path:
    """Where a map beside the mask goes. kind: `uncertainty` or `probabilities`."""
    if files.target is None:
        return output / f"{files.id}_{kind}.nii.gz"
    described = {UNCERTAINTY: "entropy"}.get(kind, "")
    return files.target.with_name(derivative_name(files.id, "probseg", described))


class Outcomes:
    """The outcomes of the scans whose masks lie in `output`. The folder is listed once.

    part: whose journal to write and which ones to read; None for all of them, in a run without parts or a merge.
    """

    def __init__(self, output: Path, plan: Plan, part: Part | None, console: Console) -> None:
        self._output = output
        self._labels = [
            (label, str(value)) for label, value in sorted(plan.labels.items(), key=lambda item: item[1]) if value
        ]
        self.names = frozenset(entry.name for entry in output.iterdir()) if output.is_dir() else frozenset()
        table = output / VOLUMES
        self._table = unmarked(read_volumes(table, None if part else console.warn))
        self._failed = read_failures(output / FAILURES)
        self._singles = single_journals(self.names, output)
        self._found, trusted = read_journals([*self._singles, *part_journals(output, part)])
        written = table.stat().st_mtime_ns if table.exists() else 0
        self._trusted = written if trusted is None else min(written, trusted)
        self._journal = Journal(output, part, self._trusted)
        self._rows: dict[str, Lines] = {}  # of this process, for the tables
        self._failures: dict[str, Failure] = {}
        self.to_correct: FirstToCorrect | None = None  # once the tables are whole

    @property
    def failures(self) -> int:
        """How many scans failed in this process."""
        return len(self._failures)

    def is_there(self, files: ScanFiles) -> bool:
        """Whether the scan's mask was there when the folder was listed."""
        return files.target.exists() if files.target else mask_path(files, self._output).name in self.names

    def known(self, files: ScanFiles) -> Lines:
        """Rows that were once said of the scan's mask; whether they still fit it is not checked."""
        outcome = self._found.get(as_text(files.id))
        return outcome.lines if outcome and outcome.lines else self._table.get(as_text(files.id), ())

    def trusted(self, files: ScanFiles) -> Lines:
        """Rows of a mask that can be taken as they are; none where the mask is to be measured anew."""
        scan = as_text(files.id)
        outcome = self._found.get(scan)
        try:
            stamp, changed = self._stamp(files)
        except OSError:  # reading them will say what is wrong
            return ()
        if outcome and outcome.stamp == stamp and self._fits(outcome.lines):
            return outcome.lines
        if outcome.failure if outcome else scan in self._failed:
            return ()
        lines = self._table.get(scan, ())
        return lines if max(changed, stamp[2]) < self._trusted and self._fits(lines) else ()

    def last_failure(self, files: ScanFiles) -> Failure | None:
        """Why the scan could not be segmented when it was last tried."""
        outcome = self._found.get(as_text(files.id))
        return outcome.failure if outcome else self._failed.get(as_text(files.id))

    def take(self, files: ScanFiles, found: Lines | Failure) -> None:
        """Rows or a failure that are known already enter the tables."""
        if isinstance(found, Failure):
            self._failures[as_text(files.id)] = found
        else:
            self._rows[as_text(files.id)] = found

    @contextlib.contextmanager
    def found(self, files: ScanFiles, lines: Lines) -> Iterator[None]:
        """Note the rows of a mask that is written within the block, or is there."""
        scan = as_text(files.id)
        outcome = self._journal.rows(scan, lines)
        yield
        self._journal.stamp(scan, outcome, self._stamp(files)[0])
        self._found[scan] = outcome
        self._rows[scan] = lines

    def fail(self, files: ScanFiles, reason: str) -> None:
        """Note why a scan could not be segmented."""
        scan = as_text(files.id)
        failure = Failure(as_text(";".join(str(path) for path in files.channels)), as_text(reason))
        self._found[scan] = self._journal.failure(scan, failure)
        self._failures[scan] = failure

    def save(self, scans: Iterable[ScanFiles], source: Path, ended: bool) -> None:
        """Write volumes.tsv and failures.tsv. What they hold of other scans stays while its mask, or the scan that
        failed, is there.

        scans: all of this call; source: the folder that they came from; ended: whether each was looked at, so that the
        table can be trusted as it stands and the journal of a run without parts may go.
        """
        ids = {as_text(files.id) for files in scans}
        with _alone(self._output):
            masks = _stems(path.name for path in self._output.iterdir())
            rows = {
                scan: lines for scan, lines in unmarked(read_volumes(self._output / VOLUMES)).items() if scan in masks
            }
            failed = read_failures(self._output / FAILURES)
            failed = {
                scan: failure
                for scan, failure in failed.items()
                if scan not in ids and not failure.is_gone_from(source)
            }
            for scan, outcome in read_journals(self._singles)[0].items():
                if scan in ids:
                    continue
                if outcome.failure:
                    failed[scan] = outcome.failure
                elif scan in masks:
                    rows[scan] = outcome.lines
                    failed.pop(scan, None)
            every = {**rows, **self._rows}
            if ended:
                self.to_correct = first_to_correct(every)
                every = marked(every, self.to_correct.scans)
            write_volumes(every, self._output / VOLUMES)
            write_failures({**failed, **self._failures}, self._output / FAILURES)
            if ended:
                write_wide(every, self._output / WIDE)
            if not ended:
                self._journal.begin()
                return
            others = [self._output / masks[scan] for scan in rows if scan not in ids]
            if any(
                mask.stat().st_ctime_ns >= self._trusted for mask in others
            ):  # changed since their rows were written, perhaps
                os.utime(self._output / VOLUMES, ns=(self._trusted, self._trusted))
            for path in (*filter(is_left_over, self._singles), *self._journal.of_a_single_run):
                path.unlink(missing_ok=True)

    def _stamp(self, files: ScanFiles) -> tuple[Stamp, int]:
        """(the stamp of a mask, when its file was last changed in any way). Raises OSError."""
        mask = mask_path(files, self._output).stat()
        outcome = self._found.get(as_text(files.id))
        if files.gone:  # put away since: what was said when it was there stands
            scan = outcome.stamp[2] if outcome and outcome.stamp else 0
        else:
            scan = max(path.stat().st_mtime_ns for path in files.channels)
        return (mask.st_size, mask.st_mtime_ns, scan), mask.st_ctime_ns

    def _fits(self, lines: Lines) -> bool:
        return [(fields["label"], fields["value"]) for fields in fields_of(lines)] == self._labels


def _stems(names: Iterable[str]) -> dict[str, str]:
    """Every beginning of a name that ends before a dot -> a name that begins so."""
    return {as_text(name[:end]): name for name in names for end, mark in enumerate(name) if mark == "." and end}


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time, where the file system has locks: what
    two of them read and write would undo each other's rows.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
