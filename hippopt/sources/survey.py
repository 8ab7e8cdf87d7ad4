"""Survey of one case: its files are read once, for verification, fingerprint and content hashes alike."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from hippopt.artifacts.dataset import Case, Dataset
from hippopt.artifacts.fingerprint import Box, CaseFingerprint, ChannelStatistics, FileStamp, LabelStatistics
from hippopt.artifacts.grid import Grid
from hippopt.artifacts.triples import box_slices
from hippopt.console import counted
from hippopt.errors import ImageError
from hippopt.files.image_io import read_scan
from hippopt.files.label_reading import label_on_grid, read_label
from hippopt.files.scan import Scan, turned_to
from hippopt.imaging.arrays import BinaryMask, Image, LabelMask
from hippopt.imaging.mask_parts import bounding_box
from hippopt.imaging.memory_budget import check_memory
from hippopt.imaging.orientation import orientation_code, ras_triple, to_ras
from hippopt.imaging.straightening import TILT_DEGREES, straight_for, straightened_image, straightened_label
from hippopt.machine import machine_bytes
from hippopt.sources.segment_names import other_values

FIX_HEADERS = "if the voxels do match, run `hippopt_plan --fix-headers`"
FEW_VOXELS = 5  # no structure, but a stray stroke of the brush
BYTES_A_VOXEL = 24  # of each file while a case is surveyed: stored, as float32, as float64 for sums, and masks


@dataclass
class CaseSurvey:
    """What was found: a fingerprint where the case could be read, faults that stop a plan, notes that do not.

    on_zero: share of the labelled voxels that lie on image voxels of value 0. segments: names that the label file gives
    its values. header_remedy: for a label whose affine alone differs.
    """

    case: str
    fingerprint: CaseFingerprint | None = None
    on_zero: float = 0.0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    segments: dict[str, int] = field(default_factory=dict)
    header_remedy: str = ""


def hash_arrays(*arrays: npt.NDArray[Any]) -> str:
    """sha256 (hex) of arrays of any shape and type: of shapes, and of values as float32, however they are stored."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array, dtype=np.float32).data)
    return digest.hexdigest()


def file_stamp(path: str) -> FileStamp:
    """Size and modification time of a file."""
    stat = Path(path).stat()
    return FileStamp(path=path, size=stat.st_size, modified_ns=stat.st_mtime_ns)


def same_stamps(case: Case, seen: CaseFingerprint) -> bool:
    """Whether size and modification time of all files of a case are what they were when its fingerprint was taken."""
    now = [file_stamp(path) for path in (*case.channels, case.label)]
    return [(stamp.size, stamp.modified_ns) for stamp in now] == [
        (stamp.size, stamp.modified_ns) for stamp in seen.files
    ]


def survey_case(case: Case, dataset: Dataset, header_remedy: str = FIX_HEADERS) -> CaseSurvey:
    """Read and check one case. Never raises for what the files hold."""
    survey = CaseSurvey(case.id, header_remedy=header_remedy)
    scans: list[Scan] = []
    for path in (*case.channels, case.label):
        try:
            scans.append(read_label(Path(path)) if path is case.label else read_scan(Path(path)))
        except ImageError as error:
            survey.faults.append(str(error))
    if survey.faults:
        for scan in scans:  # all faults of a case are told together
            if str(scan.path) in case.channels:
                _check_values(scan, survey)
        return survey
    *channels, label = scans
    try:
        for scan in scans:
            needed = BYTES_A_VOXEL * math.prod(scan.grid.shape) * len(scans)
            check_memory(scan.path, scan.grid.shape, needed, machine_bytes())
    except ImageError as error:
        survey.faults.append(str(error))
        return survey
    channels = [channels[0], *(_on_grid_of(channels[0], other, turned_to, survey) for other in channels[1:])]
    label = _on_grid_of(channels[0], label, label_on_grid, survey)
    survey.notes += [note for scan in (*channels, label) for note in scan.notes]
    for scan in channels:
        _check_values(scan, survey)
    _check_label(label, dataset, survey)
    if survey.faults:
        return survey
    image = np.stack([scan.array.astype(np.float32, copy=False) for scan in channels])
    survey.fingerprint = _describe(case, dataset, image, label, channels[0], survey)
    return survey


def _on_grid_of(first: Scan, other: Scan, bring: Callable[[Scan, Grid], Scan | None], survey: CaseSurvey) -> Scan:
    """The other scan on the first one's grid; a fault where `bring` cannot bring it there."""
    turned = bring(other, first.grid)
    if turned is not None:
        return turned
    if first.grid.shape != other.grid.shape:
        survey.faults.append(
            f"{other.path}: shape {other.grid.shape} (Z, Y, X), but {first.path.name} has {first.grid.shape}; resample"
            " one to the other"
        )
    else:
        a, b = (np.round(np.array(scan.grid.affine)[:3], 4).tolist() for scan in (first, other))
        survey.faults.append(
            f"{other.path}: its affine {b} differs from {a} of {first.path.name}; {survey.header_remedy}"
        )
    return other


def _check_values(scan: Scan, survey: CaseSurvey) -> None:
    if scan.array.dtype.kind == "f":
        nan, infinite = int(np.isnan(scan.array).sum()), int(np.isinf(scan.array).sum())
        if nan or infinite:
            counts = " and ".join(
                f"{count} voxels are {kind}" for kind, count in (("NaN", nan), ("Inf", infinite)) if count
            )
            survey.faults.append(f"{scan.path}: {counts}; replace them, for example by 0")
            return
    low, high = scan.array.min(), scan.array.max()
    if low == high:
        survey.faults.append(f"{scan.path}: every voxel is {low}; remove the case or restore the scan")


def holds_mask(array: LabelMask) -> bool:
    """Whether a mask's file can hold all values of (Z, Y, X) whole numbers."""
    return bool(array.min() >= 0 and array.max() <= 65535)


def _check_label(label: Scan, dataset: Dataset, survey: CaseSurvey) -> None:
    values, counts = np.unique(label.array, return_counts=True)
    declared = set(dataset.labels.values())
    unknown = [(int(v), int(n)) for v, n in zip(values, counts, strict=True) if int(v) not in declared]
    if unknown:
        listed = ", ".join(f"{v} ({n} voxels)" for v, n in unknown[:8])
        negative = " negative" if unknown[0][0] < 0 else ""
        survey.faults.append(
            f"{label.path}:{negative} values {listed} are not in dataset.json's labels {sorted(declared)}; "
            "declare them, or pick structures with `hippopt_import --labels`"
        )
    survey.segments = label.segments
    survey.faults += other_values(label.path, label.segments, dataset.labels)


def _describe(
    case: Case, dataset: Dataset, image: Image, label_scan: Scan, first: Scan, survey: CaseSurvey
) -> CaseFingerprint:
    grid = first.grid
    stored_image, stored_label = to_ras(image, grid), to_ras(label_scan.array, grid)
    spacing = ras_triple(grid.spacing_mm, grid)
    ras_image, ras_label = _straightened(image, label_scan.array, grid) or (stored_image, stored_label)
    shape = ras_label.shape
    nonzero = (ras_image != 0).any(0)
    foreground = ras_label != 0
    fg_box = bounding_box(foreground)
    statistics = {}
    for name, value in dataset.foreground.items():
        statistics[name] = _label_statistics(ras_label == value, spacing, grid.voxel_volume_mm3)
        if ras_label is not stored_label:  # places along the true axes, amounts as they were drawn
            drawn = _label_statistics(stored_label == value, spacing, grid.voxel_volume_mm3)
            amounts = {"voxels": drawn.voxels, "volume_mm3": drawn.volume_mm3, "components": drawn.components}
            statistics[name] = msgspec.structs.replace(statistics[name], **amounts)
        survey.notes += _label_notes(f"{label_scan.path.name}: label {name}", statistics[name])
    if foreground.any():
        survey.on_zero = float((~nonzero & foreground).sum() / foreground.sum())
    box = bounding_box(nonzero) or ((0, 0, 0), (shape[0], shape[1], shape[2]))
    return CaseFingerprint(
        id=case.id, subject=case.subject, grid=grid, orientation=orientation_code(grid),
        ras_shape=(shape[0], shape[1], shape[2]), ras_spacing_mm=spacing,
        nonzero_box=_box(box, spacing), nonzero_fraction=round(float((stored_image != 0).any(0).mean()), 4),
        foreground_box=_box(fg_box, spacing) if fg_box else None,
        channels=tuple(_channel_statistics(values, stored_label != 0) for values in stored_image), labels=statistics,
        # hashed on RAS axes: the same scan stored another way is still the same scan
        image_hash=hash_arrays(stored_image), label_hash=hash_arrays(stored_label),
        files=tuple(file_stamp(path) for path in (*case.channels, case.label)), notes=tuple(survey.notes),
    )  # fmt: skip


def _straightened(image: Image, label: LabelMask, grid: Grid) -> tuple[Image, LabelMask] | None:
    """(image, label) along the true axes at the scan's own spacing,
    where it is tilted as far as plans straighten; else None.
    """
    straight = straight_for(grid, ras_triple(grid.spacing_mm, grid), TILT_DEGREES)
    if straight is None:
        return None
    values = np.unique(np.append(label, 0))
    classes = straightened_label(np.searchsorted(values, label), grid, straight, len(values))
    return straightened_image(image, grid, straight, zeros_matter=True), values[classes]


def _label_notes(label: str, found: LabelStatistics) -> list[str]:
    if found.voxels == 0:
        return [f"{label} is empty"]
    notes = []
    if found.voxels <= FEW_VOXELS:
        notes.append(f"{label} has {counted(found.voxels, 'voxel')} only")
    if found.components > 1:
        islands = found.components - 1
        notes.append(f"{label} has {counted(islands, 'island')} besides its largest part")
    return notes


def _box(box: tuple[tuple[int, int, int], tuple[int, int, int]], spacing: tuple[float, float, float]) -> Box:
    start, size = box
    z, y, x = (round(count * step, 3) for count, step in zip(size, spacing, strict=True))
    return Box(start=start, size=size, size_mm=(z, y, x))


def _channel_statistics(values: Image, foreground: BinaryMask) -> ChannelStatistics:
    low, high = np.percentile(values, (0.5, 99.5))
    inside = values[foreground].astype(np.float64) if foreground.any() else np.zeros(1)
    whole = values.astype(np.float64)
    return ChannelStatistics(
        mean=float(whole.mean()), std=float(whole.std()), minimum=float(values.min()), maximum=float(values.max()),
        percentile_00_5=float(low), percentile_99_5=float(high),
        foreground_mean=float(inside.mean()), foreground_std=float(inside.std()),
    )  # fmt: skip


def _label_statistics(mask: BinaryMask, spacing: tuple[float, float, float], voxel_mm3: float) -> LabelStatistics:
    from scipy import ndimage

    found = bounding_box(mask)
    if found is None:
        return LabelStatistics(voxels=0, volume_mm3=0.0, centroid_mm=None, box=None, components=0)
    start, size = found
    part = mask[box_slices(start, size)]
    indices = np.nonzero(part)
    z, y, x = (
        round(float((index.mean() + first - (total - 1) / 2) * step), 3)
        for index, first, total, step in zip(indices, start, mask.shape, spacing, strict=True)
    )
    # 26-connected: voxels that touch at a corner belong together
    components = int(ndimage.label(part, np.ones((3, 3, 3)))[1])
    voxels = int(part.sum())
    return LabelStatistics(
        voxels=voxels,
        volume_mm3=round(voxels * voxel_mm3, 3),
        centroid_mm=(z, y, x),
        box=_box(found, spacing),
        components=components,
    )
