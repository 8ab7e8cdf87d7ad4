"""Stage 7: segment new scans with the ensemble of a run. One bad scan is listed, and the rest go on."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hippopt.artifacts.codec import one_line, write_bytes
from hippopt.artifacts.dataset import split_ending
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.properties import CaseProperties
from hippopt.console import Console
from hippopt.errors import HippoptError, ImageError
from hippopt.imaging.image_io import Scan, read_scan, write_mask, write_probabilities
from hippopt.imaging.preparation import place_in_scan, prepare, restore_probabilities
from hippopt.imaging.scan_listing import ScanFiles
from hippopt.inference.windows import WindowSettings, predict_probabilities

MUCH_LARGER = 1.5  # a field of view this many times the largest of the training scans is worth a warning
MEMORY_SHARE = 0.8


@dataclass(frozen=True)
class PredictRequest:
    """How to predict. `volume`: which volume of a 4D scan."""

    output: Path
    windows: WindowSettings
    save_probabilities: bool = False
    overwrite: bool = False
    volume: int | None = None
    memory_bytes: float = math.inf


@dataclass(frozen=True)
class LoadedScan:
    """A scan ready for the network; `empty` when it is constant, so that nothing can be found in it."""

    files: ScanFiles
    scan: Scan
    image: np.ndarray
    properties: CaseProperties
    warnings: list[str]
    empty: bool


def predict(
    scans: Sequence[ScanFiles], models: Sequence[nn.Module], plan: Plan, request: PredictRequest, device: torch.device, console: Console
) -> tuple[int, int, int]:
    """Write one mask a scan, `volumes.tsv` and `failures.tsv`: (segmented, kept, failed).

    The next scan is read and prepared while the network works on this one.
    """
    import pandas as pd

    waiting, kept = _unfinished(scans, request)
    rows, failures = [], []
    bar = console.track(range(len(waiting)), "predict", len(waiting))
    for files, outcome in _loaded_ahead(waiting, plan, request):
        next(bar, None)
        try:
            loaded = outcome.result()
            for warning in loaded.warnings:
                console.warn(warning)
            rows += _segment(loaded, models, plan, request, device)
        except (HippoptError, MemoryError, ValueError, OSError, RuntimeError) as error:
            reason = one_line(error) if isinstance(error, HippoptError) else f"{type(error).__name__}: {one_line(error)}"
            console.warn(f"{files.id}: skipped; {reason}")
            failures.append({"scan": files.id, "files": ";".join(str(path) for path in files.channels), "reason": reason})
    for _ in bar:
        pass
    _write_table(pd.DataFrame(rows), request.output / "volumes.tsv", {files.id for files in kept})
    failed = request.output / "failures.tsv"
    if failures:
        write_bytes(failed, pd.DataFrame(failures).to_csv(sep="\t", index=False).encode())
    else:
        failed.unlink(missing_ok=True)
    return len(waiting) - len(failures), len(kept), len(failures)


def mask_path(files: ScanFiles, output: Path) -> Path:
    """Where the mask of a scan goes: its id with the ending of its first channel (.nii.gz for Analyze)."""
    kind = split_ending(files.channels[0].name)
    ending = ".nii.gz" if kind is None or kind[1].lower() in (".img", ".hdr") else kind[1]
    return output / (files.id + ending)


def _unfinished(scans: Sequence[ScanFiles], request: PredictRequest) -> tuple[list[ScanFiles], list[ScanFiles]]:
    """(to do, to keep): a mask already there is kept when it opens and lies in its scan's grid."""
    todo, kept = [], []
    for files in scans:
        path = mask_path(files, request.output)
        (kept if path.exists() and not request.overwrite and _fits(path, files, request.volume) else todo).append(files)
    return todo, kept


def _fits(path: Path, files: ScanFiles, volume: int | None) -> bool:
    try:
        mask, scan = read_scan(path), read_scan(files.channels[0], volume)
    except ImageError:
        return False
    return mask.grid.shape == scan.grid.shape and np.allclose(mask.grid.affine, scan.grid.affine, atol=1e-3)


def _loaded_ahead(waiting: Sequence[ScanFiles], plan: Plan, request: PredictRequest) -> Iterator[tuple[ScanFiles, "Future[LoadedScan]"]]:
    with ThreadPoolExecutor(1) as pool:
        futures: list[Future[LoadedScan]] = []
        for position, files in enumerate(waiting):
            while len(futures) < min(position + 2, len(waiting)):
                futures.append(pool.submit(_load, waiting[len(futures)], plan, request))
            yield files, futures[position]
            futures[position] = Future()  # lets go of the scan's memory


def _load(files: ScanFiles, plan: Plan, request: PredictRequest) -> LoadedScan:
    if len(files.channels) != len(plan.channel_names):
        raise ImageError(
            f"{files.channels[0]}: {len(files.channels)} channel file(s), but the network takes {len(plan.channel_names)} "
            f"({', '.join(plan.channel_names)}), named {files.id}_0000, _0001, ..."
        )
    scans = [read_scan(path, request.volume) for path in files.channels]
    warnings = [f"{files.id}: {note}" for scan in scans for note in scan.notes]
    for other in scans[1:]:
        if other.grid.shape != scans[0].grid.shape or not np.allclose(other.grid.affine, scans[0].grid.affine, atol=1e-2):
            raise ImageError(f"{other.path}: its grid differs from that of {scans[0].path.name}; resample the channels to one grid")
    needed = math.prod(scans[0].grid.shape) * 4 * (2 * request.windows.classes + 4)
    if needed > MEMORY_SHARE * request.memory_bytes:
        raise ImageError(
            f"{files.channels[0]}: {scans[0].grid.shape} voxels need about {needed / 1e9:.1f} GB of {request.memory_bytes / 1e9:.1f} GB; "
            "crop it around the hippocampus"
        )
    image = np.stack([scan.array.astype(np.float32, copy=False) for scan in scans])
    finite = np.isfinite(image)
    if not finite.all():
        warnings.append(f"{files.id}: {int((~finite).sum())} voxels are NaN or Inf; read as 0")
        image = np.where(finite, image, np.float32(0))
    empty = any(values.min() == values.max() for values in image)
    if empty:
        warnings.append(f"{files.id}: every voxel has one value; the mask is empty")
    prepared = prepare(image, scans[0].grid, plan)
    shape_mm = [count * step for count, step in zip(prepared.image.shape[1:], plan.target_spacing_mm, strict=True)]
    if any(size > MUCH_LARGER * largest for size, largest in zip(shape_mm, plan.largest_scan_mm, strict=True)):
        sizes = " x ".join(f"{size:.0f}" for size in shape_mm), " x ".join(f"{size:.0f}" for size in plan.largest_scan_mm)
        warnings.append(f"{files.id}: field of view {sizes[0]} mm, the training scans' at most {sizes[1]} mm; crop it likewise, or expect errors")
    return LoadedScan(files, scans[0], prepared.image, prepared.properties, warnings, empty)


def _segment(
    loaded: LoadedScan, models: Sequence[nn.Module], plan: Plan, request: PredictRequest, device: torch.device
) -> list[dict[str, object]]:
    """Predict and write one scan; its rows of volumes.tsv."""
    values = np.array(plan.label_values, dtype=np.uint16 if max(plan.label_values) > 255 else np.uint8)
    if loaded.empty:
        mask = np.zeros(loaded.scan.grid.shape, values.dtype)
        probabilities = None
    else:
        found = predict_probabilities(models, loaded.image, request.windows, device)
        probabilities = restore_probabilities(found, loaded.properties)
        mask = place_in_scan(values[probabilities.argmax(0)], loaded.properties)
    write_mask(mask_path(loaded.files, request.output), mask, loaded.scan)
    if request.save_probabilities and probabilities is not None:
        full = place_in_scan(probabilities, loaded.properties)
        outside = place_in_scan(np.ones(probabilities.shape[1:], np.float32), loaded.properties) == 0
        full[0][outside] = 1  # beyond the crop all is background
        write_probabilities(request.output / f"{loaded.files.id}_probabilities.nii.gz", full, loaded.scan)
    return _volume_rows(loaded, mask, plan)


def _volume_rows(loaded: LoadedScan, mask: np.ndarray, plan: Plan) -> list[dict[str, object]]:
    from scipy import ndimage

    voxel = loaded.scan.grid.voxel_volume_mm3
    flag = "constant image" if loaded.empty else ""
    rows = []
    for name, value in sorted(plan.labels.items(), key=lambda item: item[1]):
        if value:
            inside = mask == value
            count = int(inside.sum())
            components = int(ndimage.label(inside, np.ones((3, 3, 3)))[1]) if count else 0
            rows.append({"scan": loaded.files.id, "label": name, "value": value, "voxels": count, "volume_mm3": round(count * voxel, 2),
                         "components": components, "flag": flag or ("empty" if count == 0 else "")})  # fmt: skip
    return rows


def _write_table(table: "object", path: Path, kept: set[str]) -> None:
    """Write volumes.tsv; rows of masks that were kept are taken from the table of the earlier call."""
    import pandas as pd

    new = pd.DataFrame(table)
    if kept and path.exists():
        old = pd.read_csv(path, sep="\t", dtype={"scan": str}, keep_default_na=False)
        new = pd.concat([old[old.scan.isin(kept)], new], ignore_index=True)
    if len(new):
        new = new.sort_values(["scan", "value"], kind="stable")
    else:
        new = pd.DataFrame(columns=["scan", "label", "value", "voxels", "volume_mm3", "components", "flag"])
    write_bytes(path, new.to_csv(sep="\t", index=False).encode())


