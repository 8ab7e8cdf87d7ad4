"""From a scan as stored to what the network sees, and back: orient, crop, normalise, resample."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hippopt.artifacts.grid import Grid
from hippopt.artifacts.plan import NormalisationSettings, Plan
from hippopt.artifacts.properties import CaseProperties
from hippopt.imaging import resampling
from hippopt.imaging.orientation import from_ras, ras_shape, ras_triple, to_ras

Triple = tuple[int, int, int]
SLAB_VOXELS = 1 << 23  # of a large scan that are worked on at a time


@dataclass(frozen=True)
class PreparedCase:
    """image: (C, Z, Y, X) float32 on RAS axes at the target spacing; label: (Z, Y, X) uint8 class indices, or None."""

    image: np.ndarray
    label: np.ndarray | None
    properties: CaseProperties


def bounding_box(mask: np.ndarray) -> tuple[Triple, Triple] | None:
    """(start, size) of the true voxels of a (Z, Y, X) mask, or None when there are none."""
    starts, sizes = [], []
    for axis in range(3):
        line = np.flatnonzero(mask.any(tuple(other for other in range(3) if other != axis)))
        if line.size == 0:
            return None
        starts.append(int(line[0]))
        sizes.append(int(line[-1] - line[0] + 1))
    return (starts[0], starts[1], starts[2]), (sizes[0], sizes[1], sizes[2])


def normalise(image: np.ndarray, settings: NormalisationSettings) -> np.ndarray:
    """(C, Z, Y, X) -> float32: each channel clipped to its percentiles and z-scored over the settings' region.

    With region "nonzero" the zeros stay 0, so that the background of a skull-stripped brain is the same everywhere.
    """
    out = np.empty(image.shape, dtype=np.float32)
    for channel, values in enumerate(image):
        _normalise_channel(values, settings, out[channel])
    return out


def _normalise_channel(values: np.ndarray, settings: NormalisationSettings, out: np.ndarray) -> None:
    masked = settings.region == "nonzero" and bool(values.any())
    low, high = np.percentile(values[values != 0] if masked else values.ravel(), settings.clip_percentiles)

    def clipped(part: np.ndarray) -> np.ndarray:
        whole = part.astype(np.float64)  # since sums of large float32 values lose digits
        return np.clip(whole, low, high, out=whole)

    slabs = z_slabs(values)
    mean, std = mean_and_std([values[slab] for slab in slabs], lambda part: clipped(part[part != 0] if masked else part))
    for slab in slabs:
        scaled = (clipped(values[slab]) - mean) / max(std, 1e-8)
        if settings.region == "nonzero":
            scaled[values[slab] == 0] = 0
        out[slab] = scaled


def z_slabs(array: np.ndarray) -> list[slice]:
    """Slices along the first axis of (Z, Y, X), each of at most SLAB_VOXELS voxels where one layer is: float64 copies of them are small."""
    each = max(1, SLAB_VOXELS // max(1, math.prod(array.shape[1:])))
    return [slice(first, first + each) for first in range(0, array.shape[0], each)]


def mean_and_std(parts: Sequence[np.ndarray], values_of: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Mean and standard deviation, in float64, of what `values_of` makes of each part; of one part as numpy takes them."""
    if len(parts) == 1:
        values = values_of(parts[0])
        return float(values.mean()), float(values.std())
    sizes_sums = [(values.size, float(values.sum())) for values in map(values_of, parts)]
    count = sum(size for size, _ in sizes_sums)
    mean = math.fsum(total for _, total in sizes_sums) / count
    squares = math.fsum(float(np.square(values_of(part) - mean).sum()) for part in parts)
    return mean, math.sqrt(squares / count)


def preparation_bytes(grid: Grid, plan: Plan) -> float:
    """Estimated peak bytes of preparing a scan and of bringing class probabilities back to its grid."""
    shape = resampling.resampled_shape(ras_shape(grid), ras_triple(grid.spacing_mm, grid), plan.target_spacing_mm)
    channels, classes = len(plan.channel_names), len(plan.label_values)
    # float32 values a voxel: the scan as stored, as float32, normalised, and once more while it is sorted or resized; masks.
    # Probabilities: three times at the target spacing, and resized along an axis or two
    return 4.0 * (math.prod(grid.shape) * (3 * channels + classes + 2) + math.prod(shape) * (channels + 3 * classes))


def prepare(image: np.ndarray, grid: Grid, plan: Plan, label: np.ndarray | None = None) -> PreparedCase:
    """image (C, Z, Y, X) and label (Z, Y, X; values as in the files), both on the file's axes -> PreparedCase."""
    ras = to_ras(image, grid)
    spacing = ras_triple(grid.spacing_mm, grid)
    shape = ras.shape[1:]
    box = bounding_box((ras != 0).any(0)) if plan.crop == "nonzero" else None
    start, size = box or ((0, 0, 0), (shape[0], shape[1], shape[2]))
    window = tuple(slice(first, first + count) for first, count in zip(start, size, strict=True))
    target = resampling.resampled_shape(size, spacing, plan.target_spacing_mm)
    apart = resampling.separate_axis(spacing, plan.target_spacing_mm)
    prepared = resampling.resample_image(normalise(ras[:, window[0], window[1], window[2]], plan.normalisation), target, apart)
    classes = None
    if label is not None:
        values = np.array(plan.label_values)
        indices = np.searchsorted(values, to_ras(label, grid)[window]).astype(np.uint8)
        classes = resampling.resample_label(indices, target, len(values), apart)
    properties = CaseProperties(
        grid=grid, ras_shape=(shape[0], shape[1], shape[2]), ras_spacing_mm=spacing, crop_start=start, crop_shape=size,
        prepared_shape=target,
    )  # fmt: skip
    return PreparedCase(prepared, classes, properties)


def restore_probabilities(probabilities: np.ndarray, properties: CaseProperties) -> np.ndarray:
    """(L, Z, Y, X) at the target spacing -> (L, Z, Y, X) over the cropped box at the scan's spacing, linearly."""
    return resampling.resize(probabilities, properties.crop_shape, 1)


def place_in_scan(cropped: np.ndarray, properties: CaseProperties, fill: float = 0) -> np.ndarray:
    """(..., Z, Y, X) over the cropped box on RAS axes -> the scan's full grid on the file's axes."""
    full = np.full((*cropped.shape[:-3], *properties.ras_shape), fill, dtype=cropped.dtype)
    window = tuple(slice(first, first + count) for first, count in zip(properties.crop_start, properties.crop_shape, strict=True))
    full[(..., *window)] = cropped  # type: ignore[index]
    return np.ascontiguousarray(from_ras(full, properties.grid))


def restored_slabs(probabilities: np.ndarray, properties: CaseProperties) -> Iterator[tuple[tuple[slice, slice, slice], np.ndarray]]:
    """`restore_probabilities` piece by piece: (where in the cropped box, (L, Z, Y, X) there), so that no class is held in full."""
    return resampling.resize_slabs(probabilities, properties.crop_shape, 1)


def restore_mask(probabilities: np.ndarray, properties: CaseProperties, label_values: tuple[int, ...]) -> np.ndarray:
    """Class probabilities (L, Z, Y, X) at the target spacing -> mask of file values (Z, Y, X) in the scan's own grid."""
    values = np.array(label_values, dtype=np.uint16 if max(label_values) > 255 else np.uint8)
    mask = np.empty(properties.crop_shape, values.dtype)
    for where, part in restored_slabs(probabilities, properties):
        mask[where] = values[part.argmax(0)]
    return place_in_scan(mask, properties)
