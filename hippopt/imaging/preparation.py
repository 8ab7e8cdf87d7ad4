"""From a scan as stored to what the network sees, and back: orient, crop, normalise, resample."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.grid import Grid
from hippopt.artifacts.plan import NormalisationSettings, Plan
from hippopt.artifacts.properties import CaseProperties
from hippopt.artifacts.triples import box_slices
from hippopt.imaging import resampling
from hippopt.imaging.arrays import (
    ClassMap,
    Image,
    LabelMask,
    Probabilities,
    Scalar,
    StoredMask,
    class_dtype,
    value_dtype,
)
from hippopt.imaging.background import with_zero_background
from hippopt.imaging.mask_parts import bounding_box
from hippopt.imaging.orientation import from_ras, ras_shape, ras_triple, to_ras
from hippopt.imaging.straightening import Part, straight_for, straightened_image, straightened_label, tilted_parts

SMALLEST_SHARE = float(np.finfo(np.float32).eps)  # of a value: the next one that float32 tells apart
LOCATOR_VALUES = 25  # float32 values that a locator makes of each coarse voxel, as measured
PIECE = 2**22  # values that are worked on at a time, of an image that has more


@dataclass(frozen=True)
class IntensityScale:
    """How one channel is normalised: clipped to low..high, minus mean, over std."""

    low: float
    high: float
    mean: float
    std: float

    @property
    def constant(self) -> bool:
        """Whether all voxels have one value after clipping; single bright ones on a constant image do not count."""
        return self.low == self.high


@dataclass(frozen=True)
class PreparedCase:
    """image: (C, Z, Y, X) float32 on RAS axes at the target spacing; label: (Z, Y, X) uint8 or uint16 class indices, or
    None.

    scales: how each channel was normalised.
    """

    image: Image
    label: ClassMap | None
    properties: CaseProperties
    scales: tuple[IntensityScale, ...]


def measure(values: Image, settings: NormalisationSettings) -> IntensityScale:
    """The scale of one channel (Z, Y, X), over the settings' region. Large images are gone through in pieces."""
    inside = values != 0 if settings.region == "nonzero" else None
    masked = inside is not None and bool(inside.any())
    region = values[inside] if masked else values.ravel()
    low, high = np.percentile(region, settings.clip_percentiles, overwrite_input=masked)
    if values.size <= PIECE:
        # in float64, since sums of large float32 values lose digits
        clipped = np.clip(values.astype(np.float64), low, high)
        part = clipped[inside] if masked else clipped
        return IntensityScale(low, high, part.mean(), _spread(float(part.std()), low, high))
    pieces = [slice(first, first + PIECE) for first in range(0, region.size, PIECE)]
    mean = sum(float(np.clip(region[piece].astype(np.float64), low, high).sum()) for piece in pieces) / region.size
    squares = sum(
        float(np.square(np.clip(region[piece].astype(np.float64), low, high) - mean).sum()) for piece in pieces
    )
    return IntensityScale(low, high, mean, _spread(math.sqrt(squares / region.size), low, high))


def _spread(std: float, low: float, high: float) -> float:
    """What to divide by: the standard deviation, but no less than float32 tells values of this size apart; 1 for zeros
    alone.

    A floor of the values' own size: maps in SI units have maxima of 1e-9.
    """
    return max(std, SMALLEST_SHARE * max(abs(low), abs(high))) or 1.0


def scaled(values: Image, scale: IntensityScale, settings: NormalisationSettings) -> Image:
    """A part (Z, Y, X) of one channel, normalised, as float32."""
    clipped = np.clip(values.astype(np.float64), scale.low, scale.high)
    result = (clipped - scale.mean) / scale.std
    if settings.region == "nonzero":
        result[values == 0] = 0
    return result.astype(np.float32)


def normalise(image: Image, settings: NormalisationSettings, scales: Sequence[IntensityScale] | None = None) -> Image:
    """(C, Z, Y, X) -> float32: each channel clipped to its percentiles and z-scored over the settings' region, slab by
    slab.

    With region "nonzero" the zeros stay 0, so that the background of a skull-stripped brain is the same everywhere.
    scales: of the channels, where they were measured already.
    """
    out = np.empty(image.shape, dtype=np.float32)
    # float64 of a whole large scan would be most of the peak memory
    step = max(1, PIECE // max(1, math.prod(image.shape[2:])))
    for channel, values in enumerate(image):
        scale = scales[channel] if scales else measure(values, settings)
        for first in range(0, len(values), step):
            out[channel, first : first + step] = scaled(values[first : first + step], scale, settings)
    return out


def preparation_bytes(grid: Grid, plan: Plan) -> float:
    """Estimated peak bytes of preparing a scan and of bringing class probabilities back to its grid.

    Of a scan that is located first, the whole is only read and measured: as float32, a copy for its percentiles, and
    masks; and the locator sees all of it on its own voxels.
    """
    straight = straight_for(grid, plan.target_spacing_mm, plan.straighten_degrees)
    if plan.locator is not None:
        turned = math.prod(straight.shape) * (8.0 * len(plan.channel_names) + 4) if straight else 0.0
        coarse = resampling.resampled_shape(
            ras_shape(grid), ras_triple(grid.spacing_mm, grid), (plan.locator.spacing_mm,) * 3
        )
        seen = math.prod(coarse) * 4.0 * (len(plan.channel_names) + LOCATOR_VALUES)
        return math.prod(grid.shape) * (4.0 * len(plan.channel_names) + 4 + 4) + turned + seen
    shape = (
        straight.shape
        if straight
        else resampling.resampled_shape(ras_shape(grid), ras_triple(grid.spacing_mm, grid), plan.target_spacing_mm)
    )
    channels, classes = len(plan.channel_names), len(plan.label_values)
    # float32 values per voxel: the scan as stored, as float32, normalised, and once more while it is sorted or resized;
    # masks. Probabilities: three times at the target spacing, and resized along an axis or two
    return 4.0 * (math.prod(grid.shape) * (3 * channels + classes + 2) + math.prod(shape) * (channels + 3 * classes))


def prepare(image: Image, grid: Grid, plan: Plan, label: LabelMask | None = None) -> PreparedCase:
    """image (C, Z, Y, X) and label (Z, Y, X; values as in the files), both on the file's axes -> PreparedCase."""
    image = with_zero_background(image, plan)[0]
    ras, straight, own = on_ras_axes(image, grid, plan)
    properties = properties_of(ras, grid, plan, straight)
    target, window = properties.prepared_shape, crop_window(properties)
    apart = resampling.separate_axis(properties.ras_spacing_mm, plan.target_spacing_mm)
    cropped = ras[:, window[0], window[1], window[2]]
    scales = tuple(own or (measure(values, plan.normalisation) for values in cropped))
    prepared = resampling.resample_image(normalise(cropped, plan.normalisation, scales), target, apart)
    classes = None if label is None else prepare_label(label, plan, properties)
    return PreparedCase(prepared, classes, properties, scales)


def prepare_label(label: LabelMask, plan: Plan, properties: CaseProperties) -> ClassMap:
    """label (Z, Y, X; values as in the files) on the axes of its scan's file -> classes (Z, Y, X) on the prepared grid
    of that scan, whose properties are given.
    """
    values, straight = np.array(plan.label_values), properties.straight
    indices = np.searchsorted(values, label).astype(class_dtype(len(values)))
    turned = (
        to_ras(indices, properties.grid)
        if straight is None
        else straightened_label(indices, properties.grid, straight, len(values))
    )
    apart = resampling.separate_axis(properties.ras_spacing_mm, plan.target_spacing_mm)
    return resampling.resample_label(turned[crop_window(properties)], properties.prepared_shape, len(values), apart)


def on_ras_axes(image: Image, grid: Grid, plan: Plan) -> tuple[Image, Grid | None, list[IntensityScale]]:
    """((C, Z, Y, X) on RAS axes, its grid where the scan was straightened, then also the scales of the voxels that were
    acquired).

    image: (C, Z, Y, X) on the file's axes, its background at 0.
    """
    straight = straight_for(grid, plan.target_spacing_mm, plan.straighten_degrees)
    if straight is None:
        return to_ras(image, grid), None, []
    box = bounding_box((image != 0).any(0)) if plan.crop == "nonzero" else None
    inside = box_slices(*box) if box else (slice(None),) * 3
    scales = [measure(values[inside], plan.normalisation) for values in image]
    return (
        straightened_image(image, grid, straight, "nonzero" in (plan.crop, plan.normalisation.region)),
        straight,
        scales,
    )


def properties_of(ras: Image, grid: Grid, plan: Plan, straight: Grid | None = None) -> CaseProperties:
    """How a scan (C, Z, Y, X) on RAS axes is cropped and resampled. straight: its grid where it was straightened."""
    spacing = straight.spacing_mm if straight else ras_triple(grid.spacing_mm, grid)
    shape = ras.shape[1:]
    box = bounding_box((ras != 0).any(0)) if plan.crop == "nonzero" else None
    start, size = box or ((0, 0, 0), (shape[0], shape[1], shape[2]))
    return CaseProperties(
        grid=grid,
        ras_shape=(shape[0], shape[1], shape[2]),
        ras_spacing_mm=spacing,
        crop_start=start,
        crop_shape=size,
        prepared_shape=size if straight else resampling.resampled_shape(size, spacing, plan.target_spacing_mm),
        straight=straight,
    )


def crop_window(properties: CaseProperties) -> tuple[slice, slice, slice]:
    """The box kept of the RAS image."""
    return box_slices(properties.crop_start, properties.crop_shape)


def restore_probabilities(probabilities: Probabilities, properties: CaseProperties) -> Probabilities:
    """(L, Z, Y, X) at the target spacing -> (L, Z, Y, X) over the cropped box at the scan's spacing, linearly."""
    return resampling.resize(probabilities, properties.crop_shape, 1)


def place_in_scan(cropped: npt.NDArray[Scalar], properties: CaseProperties, fill: float = 0) -> npt.NDArray[Scalar]:
    """(..., Z, Y, X) over the cropped box on RAS axes -> the scan's full grid on the file's axes.

    Not for a straightened scan, whose results first go through `own_parts`.
    """
    assert properties.straight is None
    full = np.full((*cropped.shape[:-3], *properties.ras_shape), fill, dtype=cropped.dtype)
    full[(..., *crop_window(properties))] = cropped
    return np.ascontiguousarray(from_ras(full, properties.grid))


def restored_slabs(
    probabilities: Probabilities, properties: CaseProperties
) -> Iterator[tuple[tuple[slice, slice, slice], Probabilities]]:
    """`restore_probabilities` piece by piece: (where in the cropped
    box, (L, Z, Y, X) there), so that no class is held in full.
    """
    return resampling.resize_slabs(probabilities, properties.crop_shape, 1)


def own_parts(parts: Iterable[Part], properties: CaseProperties, classes: int) -> tuple[CaseProperties, Iterable[Part]]:
    """Probabilities (L, Z, Y, X) over the cropped box, piece by piece -> the same over the scan's own voxels along
    their nearest axes.

    Only a straightened scan's have to be interpolated; the properties say where the pieces lie.
    """
    if properties.straight is None:
        return properties, parts
    shape = ras_shape(properties.grid)
    own = CaseProperties(
        grid=properties.grid,
        ras_shape=shape,
        ras_spacing_mm=ras_triple(properties.grid.spacing_mm, properties.grid),
        crop_start=(0, 0, 0),
        crop_shape=shape,
        prepared_shape=shape,
    )
    return own, tilted_parts(parts, crop_window(properties), properties.straight, properties.grid, classes)


def mask_of_parts(parts: Iterable[Part], properties: CaseProperties, label_values: tuple[int, ...]) -> StoredMask:
    """Class probabilities (L, Z, Y, X) over the cropped box, piece by
    piece -> mask of file values (Z, Y, X) in the scan's own grid.
    """
    dtype = value_dtype(max(label_values))
    values = np.array(label_values, dtype)
    properties, parts = own_parts(parts, properties, len(values))
    mask = np.empty(properties.crop_shape, dtype)
    for where, part in parts:
        mask[where] = values[part.argmax(0)]
    return place_in_scan(mask, properties)


def restore_mask(probabilities: Probabilities, properties: CaseProperties, label_values: tuple[int, ...]) -> StoredMask:
    """Class probabilities (L, Z, Y, X) at the target spacing -> mask of file values (Z, Y, X) in the scan's
    own grid.
    """
    return mask_of_parts(restored_slabs(probabilities, properties), properties, label_values)
