"""One label map of a whole head from two: the structures of a manual map, and the rest of the head from a map of
another person.

The head is brought onto the manual map by the structures that both have (`map_registration`). The manual structures
stand on top; where the head has such a structure and the manual map has none, what lies next fills the gap.
"""

import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from hippopt.artifacts.grid import Grid, affine_rows
from hippopt.artifacts.triples import Spacing
from hippopt.batches.label_maps import read_values
from hippopt.batches.map_registration import Structure, Warp, structures_of
from hippopt.errors import DatasetError
from hippopt.imaging.arrays import BinaryMask, Numbers
from hippopt.imaging.mask_parts import dice
from hippopt.imaging.orientation import ras_triple
from hippopt.imaging.resampling import apply_weights
from hippopt.imaging.straightening import nearest_grid

# what both maps have, in FreeSurfer's numbers; parts that one of them does not tell apart are one structure
SHARED: dict[str, tuple[int, ...]] = {
    "left_ventricle": (4, 5, 31, 136, 137),
    "right_ventricle": (43, 44, 63, 163, 164),
    "third_ventricle": (14,),
    "fourth_ventricle": (15,),
    "left_cerebellum": (7, 8),
    "right_cerebellum": (46, 47),
    "brain_stem": (16,),
    "left_thalamus": (10,),
    "right_thalamus": (49,),
    "left_caudate": (11,),
    "right_caudate": (50,),
    "left_putamen": (12,),
    "right_putamen": (51,),
    "left_pallidum": (13,),
    "right_pallidum": (52,),
    "left_hippocampus": (17,),
    "right_hippocampus": (53,),
    "left_amygdala": (18,),
    "right_amygdala": (54,),
    "left_accumbens": (26,),
    "right_accumbens": (58,),
    "left_ventral_diencephalon": (28,),
    "right_ventral_diencephalon": (60,),
}
PLEXUS = (31, 63, 136, 137, 163, 164)
PLEXUS_IN = {4: 31, 5: 31, 43: 63, 44: 63}  # the plexus lies in the ventricles, where manual maps do not tell it apart
AROUND_MM = 35.0  # the head reaches beyond a manual map's field of view
GAP_MARGIN_MM = 12.0  # around the manual structures: where gaps can lie


@dataclass(frozen=True)
class SourceMap:
    """A map (Z, Y, X) on RAS axes in FreeSurfer's numbers. affine: 4 x 4, of the voxel (x, y, z) to RAS+ mm."""

    name: str
    values: npt.NDArray[np.int16]  # (Z, Y, X)
    spacing: Spacing
    affine: Numbers
    structures: dict[str, Structure]


@dataclass(frozen=True)
class CombinedMap:
    """What was made: values (Z, Y, X) uint16 in FreeSurfer's numbers on `grid`; overlap: mean Dice of the shared
    structures between the head, once registered, and the manual map; gaps: volume filled by what lies next, as a share
    of the manual structures'.
    """

    values: npt.NDArray[np.uint16]
    grid: Grid
    overlap: float
    hippocampus_overlap: float
    gaps: float


def read_numbers(path: Path | None = None) -> dict[int, int]:
    """A manual map's value -> FreeSurfer's, from a table of tab-separated `value, name, freesurfer`; without a path
    that of HOA-2.

    Raises DatasetError naming the line.
    """
    source = path or files("hippopt.batches") / "label_tables" / "hoa2.tsv"
    numbers: dict[int, int] = {}
    try:
        rows = list(csv.DictReader(source.read_text().splitlines(), delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{source}: the table cannot be read ({error}); give a table of value, name, freesurfer"
        ) from None
    for line, row in enumerate(rows, 2):
        value, number = row.get("value") or "", row.get("freesurfer") or ""
        if not value.isdecimal() or not number.isdecimal() or int(value) == 0:
            raise DatasetError(
                f"{source}: line {line}: needs a whole number above 0, a name and FreeSurfer's number, separated by"
                " tabs"
            )
        numbers[int(value)] = int(number)
    if not {17, 53} & set(numbers.values()):
        raise DatasetError(f"{source}: no value becomes a hippocampus (17 or 53); name it in the table")
    return numbers


def read_source(path: Path, numbers: dict[int, int] | None = None) -> SourceMap:
    """Read a map; `numbers` tells FreeSurfer's number of each value, None where the map has them already.

    Raises ImageError where it is no label map, DatasetError where its values cannot be used, or where it has too few
    structures to be registered by.
    """
    values, grid = read_values(path)
    if numbers is not None:
        unknown = sorted(set(np.flatnonzero(np.bincount(values.ravel())).tolist()) - {0, *numbers})
        if unknown:
            raise DatasetError(
                f"{path}: holds {unknown[0]}, which the table of numbers does not name; give another table"
            )
        lookup = np.zeros(int(values.max()) + 1, np.int32)
        lookup[[value for value in numbers if value < len(lookup)]] = [
            numbers[value] for value in numbers if value < len(lookup)
        ]
        values = lookup[values]
    if values.max() > np.iinfo(np.int16).max:
        raise DatasetError(
            f"{path}: holds {values.max()}, and combined maps hold numbers up to {np.iinfo(np.int16).max}, as"
            " FreeSurfer's table does; give --numbers, which tells FreeSurfer's number of each value"
        )
    spacing = ras_triple(grid.spacing_mm, grid)
    found = structures_of(values, spacing, SHARED)
    if len(found) < 4 or not {"left_hippocampus", "right_hippocampus"} & set(found):
        raise DatasetError(
            f"{path}: has {len(found)} of the structures that maps are registered by; give whole brains with a"
            " hippocampus"
        )
    return SourceMap(path.name, values.astype(np.int16), spacing, np.array(nearest_grid(grid).affine), found)


def combine(manual: SourceMap, head: SourceMap, warp: Warp, spacing_mm: float = 1.0) -> CombinedMap:
    """The manual map's structures in the warped head, cropped to the head, on cubic voxels of `spacing_mm`."""
    spacing: Spacing = (spacing_mm, spacing_mm, spacing_mm)
    extent = np.array(manual.values.shape) * manual.spacing
    first = np.full(3, -AROUND_MM)
    shape = tuple(int(n) for n in np.ceil((extent + 2 * AROUND_MM) / spacing))
    values = _warped(head, warp, first, (shape[0], shape[1], shape[2]), spacing).astype(np.uint16)
    on_top = _resampled(manual, first, values.shape, spacing)
    overlaps = {
        name: dice(np.isin(values, members), np.isin(on_top, members))
        for name, members in SHARED.items()
        if name in manual.structures
    }
    keep = on_top > 0
    plexus = np.isin(values, PLEXUS)
    owned = np.unique(on_top[keep])
    gap = np.isin(values, [*owned[owned != 24], *PLEXUS]) & ~keep  # fluid outside the ventricles is the head's own
    made = np.where(keep, on_top, _fill(values, gap, keep, spacing))
    for ventricle, value in PLEXUS_IN.items():
        made[plexus & (on_top == ventricle)] = value
    there = ndimage.find_objects((made > 0).astype(np.uint8))[0]
    offset = np.array([side.start for side in there])
    grid = _grid(manual, first + offset * spacing_mm, made[there].shape, spacing)
    hippocampi = [overlaps[name] for name in ("left_hippocampus", "right_hippocampus") if name in overlaps]
    return CombinedMap(
        np.ascontiguousarray(made[there]),
        grid,
        float(np.mean(list(overlaps.values()))),
        float(np.mean(hippocampi)),
        float(gap.sum() / keep.sum()),
    )


def _warped(
    head: SourceMap, warp: Warp, first: Numbers, shape: tuple[int, int, int], spacing: Spacing
) -> npt.NDArray[np.int16]:
    """(Z, Y, X): the head's label next to where each voxel lies in it; nothing beyond its field of view."""
    places = warp.on_grid(first, shape, spacing) / torch.tensor(head.spacing)[:, None, None, None]
    index = places.round_().int().numpy()
    inside = np.ones(shape, bool)
    for axis, size in enumerate(head.values.shape):
        inside &= (index[axis] >= 0) & (index[axis] < size)
        np.clip(index[axis], 0, size - 1, out=index[axis])
    return head.values[index[0], index[1], index[2]] * inside


def _resampled(manual: SourceMap, first: Numbers, shape: tuple[int, ...], spacing: Spacing) -> npt.NDArray[np.uint16]:
    """(Z, Y, X) uint16: linear on one-hot, then the largest, in the field of view of what is made."""
    best, total, label = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.uint16)
    for value, place in enumerate(ndimage.find_objects(manual.values.astype(np.int32)), 1):
        if place is None:
            continue
        weights, where = [], []
        for axis, side in enumerate(place):
            at = (first[axis] + np.arange(shape[axis]) * spacing[axis]) / manual.spacing[axis]
            reached = np.flatnonzero((at > side.start - 1) & (at < side.stop))
            where.append(slice(reached[0], reached[-1] + 1) if len(reached) else slice(0, 0))
            weights.append(
                np.clip(1 - np.abs(at[reached, None] - np.arange(side.start, side.stop)[None]), 0, None).astype(
                    np.float32
                )
            )
        box = (where[0], where[1], where[2])
        share = apply_weights(manual.values[place] == value, (weights[0], weights[1], weights[2]))
        total[box] += share
        better = share > best[box]
        best[box] = np.where(better, share, best[box])
        label[box] = np.where(better, value, label[box])
    return np.where(best >= 1 - total, label, 0).astype(np.uint16)


def _fill(
    values: npt.NDArray[np.uint16], gap: BinaryMask, keep: BinaryMask, spacing: Spacing
) -> npt.NDArray[np.uint16]:
    """`values` with the gaps taken by the nearest voxel that is neither a gap nor under a manual structure."""
    filled = values.copy()
    margin = int(np.ceil(GAP_MARGIN_MM / min(spacing)))
    place = ndimage.find_objects((gap | keep).astype(np.uint8))[0]
    box = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in place)
    nearest = ndimage.distance_transform_edt((gap | keep)[box], spacing, return_distances=False, return_indices=True)
    inner = filled[box]
    filled[box] = np.where((gap | keep)[box], inner[tuple(nearest)], inner)
    return filled


def _grid(manual: SourceMap, first: Numbers, shape: tuple[int, ...], spacing: Spacing) -> Grid:
    """The grid of what is made, in the manual map's world. first: (Z, Y, X) mm of its first voxel in the manual map's
    frame.
    """
    affine = np.eye(4)
    directions = manual.affine[:3, :3] / np.linalg.norm(manual.affine[:3, :3], axis=0)
    affine[:3, :3] = directions * np.array(spacing[::-1])
    affine[:3, 3] = manual.affine[:3, 3] + directions @ first[::-1]
    return Grid(shape=(shape[0], shape[1], shape[2]), affine=affine_rows(affine))
