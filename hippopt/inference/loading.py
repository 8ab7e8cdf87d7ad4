"""Read a scan for prediction and bring it to what the network sees. What is wrong with it is said or mended here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.properties import CaseProperties
from hippopt.errors import ImageError
from hippopt.imaging.image_io import read_scan
from hippopt.imaging.memory_budget import check_memory
from hippopt.imaging.preparation import preparation_bytes, prepare
from hippopt.imaging.scan import Scan
from hippopt.imaging.scan_listing import ScanFiles

MUCH_LARGER = 1.5  # a field of view this many times the largest of the training scans is worth a warning


@dataclass(frozen=True)
class LoadedScan:
    """A scan ready for the network. image: (C, Z, Y, X); empty: nothing can be found in it, since a channel is constant."""

    files: ScanFiles
    scan: Scan
    image: np.ndarray
    properties: CaseProperties
    warnings: list[str]
    empty: bool


def load_scan(files: ScanFiles, plan: Plan, volume: int | None, memory_bytes: float) -> LoadedScan:
    """Raises ImageError where the scan cannot be segmented."""
    if files.fault:
        raise ImageError(files.fault)
    return prepare_scan(files, [read_scan(path, volume) for path in files.channels], plan, memory_bytes)


def prepare_scan(files: ScanFiles, scans: Sequence[Scan], plan: Plan, memory_bytes: float) -> LoadedScan:
    """Of scans that were read, one a channel. Raises ImageError where they cannot be segmented."""
    first = scans[0]
    warnings = [f"{files.id}: {note}" for scan in scans for note in scan.notes]
    for other in scans[1:]:
        if other.grid.shape != first.grid.shape or not np.allclose(other.grid.affine, first.grid.affine, atol=1e-2):
            raise ImageError(f"{other.path}: its grid differs from that of {first.path.name}; resample the channels to one grid")
    check_memory(first.path, first.grid.shape, preparation_bytes(first.grid, plan), memory_bytes)
    channels = [scan.array.astype(np.float32, copy=False) for scan in scans]
    image = np.stack(channels) if len(channels) > 1 else channels[0][None]  # of one channel no copy
    nan, infinite = int(np.isnan(image).sum()), int(np.isinf(image).sum())
    if nan or infinite:
        counts = " and ".join(f"{count} voxels are {kind}" for kind, count in (("NaN", nan), ("Inf", infinite)) if count)
        warnings.append(f"{files.id}: {counts}; read as 0")
        image = np.nan_to_num(image, nan=0, posinf=0, neginf=0)
    prepared = prepare(image, first.grid, plan)
    # after clipping to percentiles, so that single bright voxels on a constant image do not count
    empty = any(values.min() == values.max() for values in prepared.image)
    if empty:
        warnings.append(f"{files.id}: every voxel has one value; the mask is empty")
    warnings += _size_warnings(files.id, prepared.image.shape[1:], plan)
    return LoadedScan(files, first, prepared.image, prepared.properties, warnings, empty)


def _size_warnings(name: str, shape: tuple[int, ...], plan: Plan) -> list[str]:
    sizes = [count * step for count, step in zip(shape, plan.target_spacing_mm, strict=True)]
    if not any(size > MUCH_LARGER * largest for size, largest in zip(sizes, plan.largest_scan_mm, strict=True)):
        return []
    here, there = (" x ".join(f"{size:.0f}" for size in triple) for triple in (sizes, plan.largest_scan_mm))
    return [f"{name}: field of view {here} mm, the training scans' at most {there} mm; crop it likewise, or expect errors"]
