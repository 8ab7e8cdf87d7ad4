"""Stage 7: segment new scans with the ensemble of a run. One bad scan is listed, and the rest go on."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hippopt.artifacts.codec import one_line
from hippopt.artifacts.part_borders import PartBorders
from hippopt.artifacts.plan import Plan
from hippopt.console import Console, counted
from hippopt.errors import HippoptError, ImageError, Interrupted, OutputError
from hippopt.files.image_io import mask_ending, read_scan, write_array, write_mask, write_probabilities
from hippopt.files.scan_listing import ScanFiles
from hippopt.imaging.memory_budget import machine_bytes
from hippopt.inference.flags import CONSTANT, UNLIKE
from hippopt.inference.loading import LoadedScan, is_constant, load_scan
from hippopt.inference.segmentation import Wanted, segment
from hippopt.inference.volumes import (
    Row,
    Standards,
    Sureness,
    contrast_warning,
    keep_known,
    read_volumes,
    volume_rows,
    write_table,
    write_volumes,
)
from hippopt.inference.windows import WindowSettings
from hippopt.training.signals import StopSignals

Rows = list[Row]
VOLUMES = "volumes.tsv"
UNCERTAINTY, PROBABILITIES = "uncertainty", "probabilities"  # maps beside a mask
SAVE_EVERY_S = 10.0  # the tables, while scans are segmented


@dataclass(frozen=True)
class PredictionSettings:
    """How to predict. volume: which one of a 4D scan; locators, borders: of the folds, where they have such."""

    output: Path
    windows: WindowSettings
    standards: Standards
    wanted: Wanted = field(default_factory=Wanted)
    overwrite: bool = False
    volume: int | None = None
    locators: tuple[nn.Module, ...] = ()
    borders: tuple[PartBorders, ...] = ()


def predict(
    scans: Sequence[ScanFiles], models: Sequence[nn.Module], plan: Plan, request: PredictionSettings, device: torch.device, console: Console
) -> tuple[int, int, int]:
    """Write one mask a scan, `volumes.tsv` and `failures.tsv`: (segmented, kept, failed).

    A mask that is there already is kept. The next scan is read and prepared while the network works on this one. The tables
    are written as the work goes on. Raises Interrupted after SIGINT or SIGTERM, once the scan at hand is finished.
    """
    import pandas as pd

    rows: Rows = []
    failures: list[dict[str, str]] = []

    def fail(files: ScanFiles, error: Exception) -> None:
        reason = one_line(error) if isinstance(error, HippoptError) else f"{type(error).__name__}: {one_line(error)}"
        console.warn(f"{files.id}: skipped; {reason}")
        failures.append({"scan": files.id, "files": ";".join(str(path) for path in files.channels), "reason": reason})

    waiting, kept, without_maps = [], 0, 0
    old = read_volumes(request.output / VOLUMES, console.warn)
    for files in scans:
        if request.overwrite or not mask_path(files, request.output).exists():
            waiting.append(files)
            continue
        try:
            found = _kept_rows(files, plan, request, old)
            rows += found
            kept += 1
            without_maps += _lacks_maps(files, found, request)
        except Exception as error:  # whatever is wrong with one scan, the batch goes on
            fail(files, error)
    if without_maps:
        console.warn(
            f"{without_maps} masks that were there already are kept, without the maps that were asked for; --overwrite makes both anew"
        )
    done, tried, saved = 0, 0, time.monotonic()

    def save() -> None:
        write_volumes(rows, request.output / VOLUMES)
        failed = request.output / "failures.tsv"
        if failures:
            write_table(pd.DataFrame(failures), failed)
        else:
            failed.unlink(missing_ok=True)

    bar = console.track(range(len(waiting)), "predict", len(waiting))
    with StopSignals() as signals:
        try:
            for files, outcome in _loaded_ahead(waiting, plan, request):
                next(bar, None)
                tried += 1
                try:
                    loaded = outcome.result()
                    for warning in loaded.warnings:
                        console.warn(warning)
                    rows += _segment(loaded, models, plan, request, device, console)
                    done += 1
                except Exception as error:
                    fail(files, error)
                if time.monotonic() - saved > SAVE_EVERY_S:  # what networks said of a mask cannot be had from the mask again
                    save()
                    saved = time.monotonic()
                if signals.stopping:
                    break
        finally:
            save()
            for _ in bar:
                pass
    if signals.number is not None and tried < len(waiting):
        left = f"{len(waiting) - tried} of {counted(len(scans), 'scan')} to go"
        raise Interrupted(
            f"stopped by a signal, {left}; the same command {'starts over' if request.overwrite else 'continues'}", 128 + signals.number
        )
    return done, kept, len(failures)


def mask_path(files: ScanFiles, output: Path) -> Path:
    """Where the mask of a scan goes: its id with the ending of its first channel."""
    return output / (files.id + mask_ending(files.channels[0]))


def _kept_rows(files: ScanFiles, plan: Plan, request: PredictionSettings, old: Any) -> Rows:
    """Rows of a mask that is there already. old: the table beside it.

    Raises OutputError where it is no mask of this scan, and so may be a person's.
    """
    if files.fault:
        raise ImageError(files.fault)
    path = mask_path(files, request.output)
    scans = [read_scan(channel, request.volume) for channel in files.channels]
    scan = scans[0]
    try:
        mask = read_scan(path)
    except ImageError as error:
        raise OutputError(f"{error}; --overwrite replaces it") from None
    unfit = ""
    if mask.grid.shape != scan.grid.shape or not np.allclose(mask.grid.affine, scan.grid.affine, atol=1e-3):
        unfit = "lies in another grid than its scan"
    elif not np.isin(mask.array, plan.label_values).all():
        unfit = f"holds other values than the labels {list(plan.label_values)}"
    if unfit:
        raise OutputError(f"{path}: is there already and {unfit}; choose another folder, or replace it with --overwrite")
    flags = [CONSTANT] if is_constant(files, scans, plan) else []
    flags += [UNLIKE] if contrast_warning(files.id, mask.array, scan, request.standards.contrast) else []
    rows = volume_rows(files.id, mask.array, scan, plan, request.standards, Sureness(), flags)
    return keep_known(rows, old)


def _lacks_maps(files: ScanFiles, rows: Rows, request: PredictionSettings) -> bool:
    """Whether a map that is wanted is not there beside a kept mask; a constant scan has none."""
    asked = {UNCERTAINTY: request.wanted.uncertainty, PROBABILITIES: request.wanted.probabilities}
    lacking = any(wanted and not _map_path(files, kind, request).exists() for kind, wanted in asked.items())
    return lacking and not any(CONSTANT in str(row["flag"]).split("; ") for row in rows)


def _map_path(files: ScanFiles, kind: str, request: PredictionSettings) -> Path:
    return request.output / f"{files.id}_{kind}.nii.gz"


def _loaded_ahead(
    waiting: Sequence[ScanFiles], plan: Plan, request: PredictionSettings
) -> Iterator[tuple[ScanFiles, "Future[LoadedScan]"]]:
    memory = machine_bytes()
    pool = ThreadPoolExecutor(1)
    try:
        futures: list[Future[LoadedScan]] = []
        for position, files in enumerate(waiting):
            while len(futures) < min(position + 2, len(waiting)):
                futures.append(pool.submit(load_scan, waiting[len(futures)], plan, request.volume, memory, request.locators))
            yield files, futures[position]
            futures[position] = Future()  # lets go of the scan's memory
    finally:
        pool.shutdown(cancel_futures=True)


def _segment(
    loaded: LoadedScan, models: Sequence[nn.Module], plan: Plan, request: PredictionSettings, device: torch.device, console: Console
) -> Rows:
    """Predict and write one scan; its rows of volumes.tsv."""
    found = segment(loaded, models, plan, request.windows, request.standards, request.wanted, device, request.borders)
    for warning in found.warnings:
        console.warn(warning)
    files, scan = loaded.files, loaded.scan
    # the mask last: where it is there, all else of its scan is
    if found.uncertainty is not None:
        write_array(_map_path(files, UNCERTAINTY, request), found.uncertainty, scan.grid)
    if found.probabilities is not None:
        write_probabilities(_map_path(files, PROBABILITIES, request), found.probabilities, scan)
    write_mask(mask_path(files, request.output), found.mask, scan)
    return found.rows
