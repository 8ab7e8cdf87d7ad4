"""Stage 7: segment new scans with the ensemble of a run. One bad scan is listed, and the rest go on."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from hippopt.artifacts.codec import one_line, remove_leftovers_of_the_dead
from hippopt.artifacts.plan import Plan
from hippopt.console import Console, counted
from hippopt.errors import HippoptError, Interrupted
from hippopt.files.image_io import write_array, write_mask, write_probabilities
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.correct_first import say_first
from hippopt.inference.flags import CONSTANT, SEEN
from hippopt.inference.journal import Part
from hippopt.inference.kept_masks import KeptMasks
from hippopt.inference.loading import LoadedScan, load_scan
from hippopt.inference.long_scans import LongScan
from hippopt.inference.outcomes import PROBABILITIES, UNCERTAINTY, Outcomes, map_path, mask_path
from hippopt.inference.region_windows import Ensemble
from hippopt.inference.segmentation import Segmentation, Wanted, segment
from hippopt.inference.volume_table import Lines, fields_of, lines_of
from hippopt.inference.volumes import Standards
from hippopt.machine import machine_bytes
from hippopt.stop_signals import StopSignals

SAVE_EVERY_S = 10.0  # the tables, while scans are segmented
SAVE_SHARE = 0.05  # of the time, at most: large tables are written more seldom


@dataclass(frozen=True)
class PredictionSettings:
    """How to predict. volume: which one of a 4D scan; locators: of the folds, where they have such.

    source: the folder of the scans; part: of a study dealt out in parts; verify: measure every mask that is there
    already.
    """

    output: Path
    standards: Standards
    wanted: Wanted = field(default_factory=Wanted)
    overwrite: bool = False
    volume: int | None = None
    locators: tuple[nn.Module, ...] = ()
    source: Path = Path()
    part: Part | None = None
    verify: bool = False


def predict(
    scans: Sequence[ScanFiles], ensemble: Ensemble, request: PredictionSettings, console: Console
) -> tuple[int, int, int]:
    """Write one mask per scan, `volumes.tsv` and `failures.tsv`; a part writes its journal in place of tables.

    A mask that is there already is kept; new scans come first. The next scan is read and prepared while the network
    works on this one. The tables are written as the work goes on.

    Args:
        scans: what to segment. One that cannot be is listed in `failures.tsv`, and the others go on.
        ensemble: the networks, their plan, and how they look at a scan.
        request: the output folder, the maps that are wanted, and what masks are judged by.
        console: shows bars and warnings.

    Returns:
        Numbers of scans that were segmented now, that were kept, and that failed.

    Raises:
        Interrupted: after SIGINT or SIGTERM, once the scan at hand is finished, or given up where that would take long.
        OutputError: a table cannot be written.
    """
    remove_leftovers_of_the_dead(request.output)
    batch = _Batch(scans, ensemble, request, console)
    with StopSignals() as signals:
        try:
            left = batch.segment_new(signals)
            if not signals.stopping:
                batch.look_at_kept(signals)
        finally:
            batch.save()
    if signals.number is not None and not batch.ended:
        raise Interrupted(
            f"stopped by a signal, {left} of {counted(len(scans), 'scan')} to go; the same command "
            f"{'starts over' if request.overwrite else 'continues'}",
            128 + signals.number,
        )
    batch.say_seen()
    say_first(batch.outcomes.to_correct, console)
    return len(batch.done), len(batch.kept), batch.outcomes.failures


class _Batch:
    """Scans on their way through the networks."""

    def __init__(
        self, scans: Sequence[ScanFiles], ensemble: Ensemble, request: PredictionSettings, console: Console
    ) -> None:
        self.scans, self.ensemble, self.request, self.console = scans, ensemble, request, console
        self.plan = ensemble.plan
        self.outcomes = Outcomes(request.output, self.plan, request.part, console)
        self.there = [] if request.overwrite else [files for files in scans if self.outcomes.is_there(files)]
        self.done: list[ScanFiles] = []
        self.kept: list[ScanFiles] = []
        self.seen: list[str] = []  # scans of the training
        self.ended = False  # whether every scan was looked at

    def segment_new(self, signals: StopSignals) -> int:
        """Segment the scans without a mask. Returns how many were not tried, since a signal came."""
        waiting = (
            self.scans
            if self.request.overwrite
            else [files for files in self.scans if not self.outcomes.is_there(files)]
        )
        tried, next_save = 0, time.monotonic() + SAVE_EVERY_S
        bar = self.console.track(range(len(waiting)), "predict", len(waiting))
        try:
            for files, outcome in _loaded_ahead(waiting, self.plan, self.request):
                next(bar, None)
                tried += 1
                try:
                    _segment(outcome.result(), self, signals)
                except Interrupted as stop:  # in the middle of a scan that would have taken long
                    self.console.warn(str(stop))
                    tried -= 1
                except Exception as error:  # whatever is wrong with one scan, the batch goes on
                    self._fail(files, error)
                if self.request.part is None and time.monotonic() > next_save:
                    started = time.monotonic()
                    self.save()
                    next_save = time.monotonic() + max(SAVE_EVERY_S, (time.monotonic() - started) / SAVE_SHARE)
                if signals.stopping:
                    break
        finally:
            for _ in bar:
                pass
        return len(waiting) - tried

    def look_at_kept(self, signals: StopSignals) -> None:
        """Rows of masks that were there already, and of those that a person has changed while others were segmented."""
        masks = KeptMasks(self.outcomes, self.plan, self.request.standards, self.request.volume)
        without_maps = 0
        for files in self.console.track(self.there, "look at kept masks", len(self.there)):
            try:
                lines = masks.look(files, self.request.output, self.request.verify)
                self.kept.append(files)
                self.note_seen(files, lines)
                without_maps += self._lacks_maps(files, lines)
            except Exception as error:
                self._fail(files, error)
            if signals.stopping:
                return
        for files in () if self.request.part else self.done:
            try:
                masks.look(files, self.request.output)
            except Exception as error:
                self._fail(files, error)
        self.ended = True
        if without_maps:
            self.console.warn(
                f"{without_maps} masks that were there already are kept, without the maps that were asked for;"
                " --overwrite makes both anew"
            )

    def note_seen(self, files: ScanFiles, lines: Lines) -> None:
        """Remember a scan whose rows say that the networks were trained on it."""
        if lines and SEEN in fields_of(lines)[0]["flag"].split("; "):
            self.seen.append(files.id)

    def say_seen(self) -> None:
        """Say once which scans were in the training."""
        if self.seen:
            many = len(self.seen) > 1
            self.console.warn(
                f"{counted(len(self.seen), 'scan')} {'were' if many else 'was'} in the training of these networks or of"
                f" their base ({min(self.seen)}{', ...' if many else ''}; `{SEEN}` in volumes.tsv): such masks are"
                " better than those of new scans, and no measure of them"
            )

    def save(self) -> None:
        """Write the tables; those of a part are written when the parts are merged."""
        if self.request.part is None:
            self.outcomes.save(self.scans, self.request.source, self.ended)

    def write(self, loaded: LoadedScan, found: Segmentation) -> None:
        """Write the mask and the maps of one scan."""
        files, scan = loaded.files, loaded.scan
        # the mask last: where it is there, all else of its scan is
        if found.uncertainty is not None:
            write_array(map_path(files, UNCERTAINTY, self.request.output), found.uncertainty, scan.grid)
        if found.probabilities is not None:
            write_probabilities(map_path(files, PROBABILITIES, self.request.output), found.probabilities, scan)
        write_mask(mask_path(files, self.request.output), found.mask, scan)

    def _fail(self, files: ScanFiles, error: Exception) -> None:
        reason = one_line(error) if isinstance(error, HippoptError) else f"{type(error).__name__}: {one_line(error)}"
        self.console.warn(f"{files.id}: skipped; {reason}")
        self.outcomes.fail(files, reason)

    def _lacks_maps(self, files: ScanFiles, lines: Lines) -> bool:
        """Whether a map that is wanted is not there beside a kept mask; a constant scan has none."""
        asked = {UNCERTAINTY: self.request.wanted.uncertainty, PROBABILITIES: self.request.wanted.probabilities}
        lacking = any(
            wanted and not map_path(files, kind, self.request.output).exists() for kind, wanted in asked.items()
        )
        return lacking and not any(CONSTANT in fields["flag"].split("; ") for fields in fields_of(lines))


def _segment(loaded: LoadedScan, batch: _Batch, signals: StopSignals) -> None:
    """Predict and write one scan, unless another process has made its mask meanwhile."""
    files, request = loaded.files, batch.request
    if not request.overwrite and mask_path(files, request.output).exists():
        batch.there.append(files)
        return
    for warning in loaded.warnings:
        batch.console.warn(warning)
    watch = LongScan(files.id, loaded.image.shape[1:], batch.plan.patch_size, batch.console, lambda: signals.number)
    ensemble = replace(batch.ensemble, windows=replace(batch.ensemble.windows, watch=watch))
    found = segment(loaded, ensemble, request.standards, request.wanted)
    for warning in found.warnings:
        batch.console.warn(warning)
    lines = lines_of(found.rows)
    with batch.outcomes.found(files, lines):
        batch.write(loaded, found)
    batch.note_seen(files, lines)
    batch.done.append(files)


def _loaded_ahead(
    waiting: Sequence[ScanFiles], plan: Plan, request: PredictionSettings
) -> Iterator[tuple[ScanFiles, "Future[LoadedScan]"]]:
    memory = machine_bytes()
    pool = ThreadPoolExecutor(1)
    try:
        futures: dict[int, Future[LoadedScan]] = {}
        for position, files in enumerate(waiting):
            for ahead in range(position, min(position + 2, len(waiting))):
                if ahead not in futures:
                    futures[ahead] = pool.submit(
                        load_scan, waiting[ahead], plan, request.volume, memory, request.locators
                    )
            yield files, futures[position]
            del futures[position]  # lets go of the scan's memory
    finally:
        pool.shutdown(cancel_futures=True)
