"""Read a scan for prediction and bring it to what the network sees. What is wrong with it is said or mended here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from hippopt.artifacts.grid import Grid
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.properties import CaseProperties
from hippopt.errors import ImageError
from hippopt.files.image_io import read_scan
from hippopt.files.scan import Scan, turned_to
from hippopt.files.scan_listing import ScanFiles
from hippopt.imaging.arrays import Image
from hippopt.imaging.background import with_zero_background
from hippopt.imaging.memory_budget import check_memory
from hippopt.imaging.orientation import ras_triple, to_ras
from hippopt.imaging.preparation import preparation_bytes, prepare
from hippopt.imaging.scan_source import ScanSource
from hippopt.imaging.straightening import TILT_DEGREES, tilt_degrees
from hippopt.inference.locating import Located, locate, looks_everywhere
from hippopt.sources.survey import hash_arrays

MUCH_LARGER = 1.5  # a field of view this many times the largest of the training scans is worth a warning


@dataclass(frozen=True)
class LoadedScan:
    """A scan ready for the network. image: (C, Z, Y, X); empty: nothing can be found in it, since a channel is
    constant.

    image_hash: of its voxels as read, as fingerprints and cards name scans. located: what the locator found, where the
    plan has one; `image` then is the whole only where the locator is unsure, else empty.
    """

    files: ScanFiles
    scan: Scan
    image: Image
    properties: CaseProperties
    warnings: list[str]
    empty: bool
    located: Located | None = None
    image_hash: str = ""


def load_scan(
    files: ScanFiles, plan: Plan, volume: int | None, memory_bytes: float, locators: Sequence[nn.Module] = ()
) -> LoadedScan:
    """Raises ImageError where the scan cannot be segmented. locators: of the folds, where the plan has such."""
    if files.fault:
        raise ImageError(files.fault)
    return prepare_scan(files, [read_scan(path, volume) for path in files.channels], plan, memory_bytes, locators)


def prepare_scan(
    files: ScanFiles, scans: Sequence[Scan], plan: Plan, memory_bytes: float, locators: Sequence[nn.Module] = ()
) -> LoadedScan:
    """Of scans that were read, one per channel. Raises ImageError where they cannot be segmented."""
    first = scans[0]
    check_memory(first.path, first.grid.shape, preparation_bytes(first.grid, plan), memory_bytes)
    image, warnings = stacked(files, scans)
    seen_as = hash_arrays(to_ras(image, first.grid))
    image, notes = with_zero_background(image, plan)
    if notes:
        first = replace(first, array=image[0])
        warnings += [f"{files.id}: {note}" for note in notes]
    warnings += _tilt_warnings(files.id, first.grid, plan)
    if plan.locator is not None:
        seen = _located(files, first, image, plan, locators, memory_bytes)
        return replace(seen, warnings=warnings + seen.warnings, image_hash=seen_as)
    prepared = prepare(image, first.grid, plan)
    empty = any(scale.constant for scale in prepared.scales)
    if empty:
        warnings.append(f"{files.id}: every voxel has one value; the mask is empty")
    warnings += _size_warnings(files.id, prepared.properties, plan)
    return LoadedScan(files, first, prepared.image, prepared.properties, warnings, empty, image_hash=seen_as)


def image_hash(files: ScanFiles, scans: Sequence[Scan]) -> str:
    """The hash by which fingerprints and cards name a scan, given its channels.

    Raises ImageError where their grids differ.
    """
    return hash_arrays(to_ras(stacked(files, scans)[0], scans[0].grid))


def is_constant(files: ScanFiles, scans: Sequence[Scan], plan: Plan) -> bool:
    """Whether `prepare_scan` would call these scans, one per channel, empty.

    Raises ImageError where their grids differ.
    """
    image, _ = stacked(files, scans)
    return any(scale.constant for scale in ScanSource(image, scans[0].grid, plan).scales)


def stacked(files: ScanFiles, scans: Sequence[Scan]) -> tuple[Image, list[str]]:
    """((C, Z, Y, X) float32 on the file's axes, without NaN and Inf, what is to be said of it).

    scans: one per channel.
    Raises ImageError where their grids differ.
    """
    first, *others = scans
    scans = [first]
    for other in others:
        turned = turned_to(other, first.grid)
        if turned is None:
            raise ImageError(
                f"{other.path}: its grid differs from that of {first.path.name}; resample the channels to one grid"
            )
        scans.append(turned)
    warnings = [f"{files.id}: {note}" for scan in scans for note in scan.notes]
    arrays = [scan.array.astype(np.float32, copy=False) for scan in scans]
    image = np.stack(arrays) if len(arrays) > 1 else arrays[0][None]
    nan, infinite = int(np.isnan(image).sum()), int(np.isinf(image).sum())
    if nan or infinite:
        counts = " and ".join(
            f"{count} voxels are {kind}" for kind, count in (("NaN", nan), ("Inf", infinite)) if count
        )
        warnings.append(f"{files.id}: {counts}; read as 0")
        image = np.nan_to_num(image, nan=0, posinf=0, neginf=0)
    return image, warnings


def _located(
    files: ScanFiles,
    scan: Scan,
    image: Image,
    plan: Plan,
    locators: Sequence[nn.Module],
    memory_bytes: float,
) -> LoadedScan:
    """Only the windows of the located regions are made at full resolution; the whole where the locator is unsure."""
    assert plan.locator is not None
    source = ScanSource(image, scan.grid, plan)
    nothing = np.zeros((len(image), 0, 0, 0), np.float32)
    if any(scale.constant for scale in source.scales):
        warnings = [f"{files.id}: every voxel has one value; the mask is empty"]
        return LoadedScan(files, scan, nothing, source.properties, warnings, True)
    located = locate(
        locators,
        source.coarse(plan.locator.spacing_mm),
        source.size_mm,
        source.properties.prepared_shape,
        source.box,
        plan,
    )
    shape = source.properties.prepared_shape
    everywhere = not located.windows and looks_everywhere(shape, plan)
    if everywhere:
        values = len(plan.channel_names) + 3 * len(plan.label_values)  # float32, as preparation_bytes counts them
        check_memory(scan.path, scan.grid.shape, 4.0 * math.prod(shape) * values, memory_bytes)
    whole = source.whole() if everywhere else nothing
    return LoadedScan(files, scan, whole, source.properties, [], False, located)


def _tilt_warnings(name: str, grid: Grid, plan: Plan) -> list[str]:
    tilt = tilt_degrees(grid)
    if plan.straighten_degrees is None and tilt > TILT_DEGREES:
        return [
            f"{name}: tilted by {tilt:.0f} degrees, of which this run knows the nearest axes only: its plan was made by"
            " an earlier version; plan and train anew to have such scans straightened, and look at the mask"
        ]
    if plan.straighten_degrees is not None and tilt > plan.straighten_degrees:
        return [
            f"{name}: tilted by {tilt:.0f} degrees; resampled through its true axes, the mask comes back on its own"
        ]
    return []


def _size_warnings(name: str, properties: CaseProperties, plan: Plan) -> list[str]:
    sizes = [count * step for count, step in zip(properties.prepared_shape, plan.target_spacing_mm, strict=True)]
    if properties.straight is not None:  # the corners that straightening adds are no field of view
        sizes = [min(pair) for pair in zip(sizes, ras_triple(properties.grid.size_mm, properties.grid), strict=True)]
    if not any(size > MUCH_LARGER * largest for size, largest in zip(sizes, plan.largest_scan_mm, strict=True)):
        return []
    here, there = (" x ".join(f"{size:.0f}" for size in triple) for triple in (sizes, plan.largest_scan_mm))
    return [
        f"{name}: field of view {here} mm, the training scans' at most {there} mm; crop it likewise, or expect errors"
    ]
