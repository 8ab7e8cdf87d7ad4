"""Stage 7: segment new scans with the ensemble of a run. One bad scan is listed, and the rest go on."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hippopt.artifacts.codec import one_line
from hippopt.artifacts.plan import Plan
from hippopt.console import Console
from hippopt.errors import HippoptError, ImageError, OutputError
from hippopt.imaging.image_io import mask_ending, read_scan, write_mask, write_probabilities
from hippopt.imaging.memory_budget import machine_bytes
from hippopt.imaging.preparation import place_in_scan, restore_probabilities
from hippopt.imaging.scan_listing import ScanFiles
from hippopt.inference.loading import LoadedScan, load_scan
from hippopt.inference.located import segment_located
from hippopt.inference.volumes import contrast_warning, volume_rows, write_table, write_volumes
from hippopt.inference.windows import WindowSettings, predict_probabilities

Rows = list[dict[str, object]]
CONSTANT, UNLIKE = "constant image", "unlike training"  # flags of volumes.tsv


@dataclass(frozen=True)
class PredictRequest:
    """How to predict. volume: which one of a 4D scan; usual_contrast: of the training scans, None where it is not known.

    locators: of the folds, where the plan has such.
    """

    output: Path
    windows: WindowSettings
    save_probabilities: bool = False
    overwrite: bool = False
    volume: int | None = None
    usual_contrast: tuple[float, float] | None = None
    locators: tuple[nn.Module, ...] = ()


def predict(
    scans: Sequence[ScanFiles], models: Sequence[nn.Module], plan: Plan, request: PredictRequest, device: torch.device, console: Console
) -> tuple[int, int, int]:
    """Write one mask a scan, `volumes.tsv` and `failures.tsv`: (segmented, kept, failed).

    A mask that is there already is kept. The next scan is read and prepared while the network works on this one.
    """
    import pandas as pd

    rows: Rows = []
    failures: list[dict[str, str]] = []

    def fail(files: ScanFiles, error: Exception) -> None:
        reason = one_line(error) if isinstance(error, HippoptError) else f"{type(error).__name__}: {one_line(error)}"
        console.warn(f"{files.id}: skipped; {reason}")
        failures.append({"scan": files.id, "files": ";".join(str(path) for path in files.channels), "reason": reason})

    waiting, kept = [], 0
    for files in scans:
        if request.overwrite or not mask_path(files, request.output).exists():
            waiting.append(files)
            continue
        try:
            rows += _kept_rows(files, plan, request)
            kept += 1
        except Exception as error:  # whatever is wrong with one scan, the batch goes on
            fail(files, error)
    bar = console.track(range(len(waiting)), "predict", len(waiting))
    done = 0
    for files, outcome in _loaded_ahead(waiting, plan, request):
        next(bar, None)
        try:
            loaded = outcome.result()
            for warning in loaded.warnings:
                console.warn(warning)
            rows += _segment(loaded, models, plan, request, device, console)
            done += 1
        except Exception as error:
            fail(files, error)
    for _ in bar:
        pass
    write_volumes(rows, request.output / "volumes.tsv")
    failed = request.output / "failures.tsv"
    if failures:
        write_table(pd.DataFrame(failures), failed)
    else:
        failed.unlink(missing_ok=True)
    return done, kept, len(failures)


def mask_path(files: ScanFiles, output: Path) -> Path:
    """Where the mask of a scan goes: its id with the ending of its first channel."""
    return output / (files.id + mask_ending(files.channels[0]))


def _kept_rows(files: ScanFiles, plan: Plan, request: PredictRequest) -> Rows:
    """Rows of a mask that is there already. Raises OutputError where it is no mask of this scan, and so may be a person's."""
    if files.fault:
        raise ImageError(files.fault)
    path = mask_path(files, request.output)
    scan = read_scan(files.channels[0], request.volume)
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
    flags = [CONSTANT] if scan.array.min() == scan.array.max() else []
    flags += [UNLIKE] if contrast_warning(files.id, mask.array, scan, request.usual_contrast) else []
    return volume_rows(files.id, mask.array, scan, plan, tuple(flags))


def _loaded_ahead(waiting: Sequence[ScanFiles], plan: Plan, request: PredictRequest) -> Iterator[tuple[ScanFiles, "Future[LoadedScan]"]]:
    memory = machine_bytes()
    with ThreadPoolExecutor(1) as pool:
        futures: list[Future[LoadedScan]] = []
        for position, files in enumerate(waiting):
            while len(futures) < min(position + 2, len(waiting)):
                futures.append(pool.submit(load_scan, waiting[len(futures)], plan, request.volume, memory, request.locators))
            yield files, futures[position]
            futures[position] = Future()  # lets go of the scan's memory


def _segment(
    loaded: LoadedScan, models: Sequence[nn.Module], plan: Plan, request: PredictRequest, device: torch.device, console: Console
) -> Rows:
    """Predict and write one scan; its rows of volumes.tsv."""
    name, scan = loaded.files.id, loaded.scan
    values = np.array(plan.label_values, dtype=np.uint16 if max(plan.label_values) > 255 else np.uint8)
    properties, flags = loaded.properties, [CONSTANT] if loaded.empty else []
    if loaded.empty:
        mask = np.zeros(scan.grid.shape, values.dtype)
        probabilities = None
    else:
        if loaded.located is not None:
            seen = segment_located(models, loaded.located, loaded.image, properties, plan, request.windows, device)
            probabilities, properties = seen.probabilities, seen.properties
            flags += seen.flags
            for warning in seen.warnings:
                console.warn(f"{name}: {warning}")
        else:
            found = predict_probabilities(models, loaded.image, request.windows, device)
            probabilities = restore_probabilities(found, properties)
        mask = place_in_scan(values[probabilities.argmax(0)], properties)
    write_mask(mask_path(loaded.files, request.output), mask, scan)
    if request.save_probabilities and probabilities is not None:
        full = place_in_scan(probabilities, properties)
        outside = place_in_scan(np.ones(probabilities.shape[1:], np.float32), properties) == 0
        full[0][outside] = 1  # beyond the crop all is background
        write_probabilities(request.output / f"{name}_probabilities.nii.gz", full, scan)
    odd = contrast_warning(name, mask, scan, request.usual_contrast)
    if odd:
        console.warn(odd)
        flags.append(UNLIKE)
    return volume_rows(name, mask, scan, plan, tuple(flags))
