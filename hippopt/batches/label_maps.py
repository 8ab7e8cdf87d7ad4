"""Brain label maps as a source of synthetic scans: a table says what each value is, each map is read once and cropped
to the brain.

The hippocampus is split into a front and a back half of equal volume a side: users' labels are often head and body with
tail, and a network that has learned an order along the structure need not learn it from ten scans.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hippopt.artifacts.dataset import image_files
from hippopt.artifacts.grid import Grid
from hippopt.console import Console
from hippopt.errors import DatasetError, HippoptError
from hippopt.files.file_kind import near_matches
from hippopt.files.label_reading import read_label
from hippopt.imaging.arrays import BinaryMask, Numbers
from hippopt.imaging.orientation import ras_triple, to_ras

Map = TypeVar("Map")
TARGET = "hippocampus"
CLASSES = (
    "background",
    "hippocampus_anterior",
    "hippocampus_posterior",
    "amygdala",
    "ventricle",
    "white_matter",
    "cortex",
    "deep_grey",
)
ANTERIOR, POSTERIOR = CLASSES.index("hippocampus_anterior"), CLASSES.index("hippocampus_posterior")
HEAD = "head"  # the tissue of values that the table does not name: skull, skin, muscle
MARGIN_MM = 60.0  # around the structures: what a rotated, enlarged patch can reach
ALVEUS = "alveus"  # the tissue of the hippocampus's upper rim: white matter that tracers count to the structure
# two thin layers of the white matter beside the hippocampus, but for the alveus's side: grey fades into white there, as
# in the subiculum and in thin sheets of fibres, where a label map has an edge
FADING = ("white matter next to the hippocampus", "white matter near the hippocampus")
FADING_MM = (1.05, 2.05)  # face neighbours at 1 mm, and two voxels
MOST_VALUE = 2**24 - 1  # a table by value stays small; float32 files keep no whole numbers beyond
LEAST_SHARE = 0.4  # of the larger side's volume: a smaller hippocampus was not segmented whole


@dataclass(frozen=True)
class LabelTable:
    """What the values of a label map mean: for each known value a
    tissue (its intensity) and a class of the network ("" for none).
    """

    tissues: dict[int, str]
    classes: dict[int, str]


@dataclass(frozen=True)
class LabelMap:
    """One map on RAS axes, cropped around its hippocampi.

    tissue: (Z, Y, X) uint8 indices into the `tissues` of the collection; around: uint8 indices into CLASSES, the
    hippocampus filled with what lies next to it; half: int8, 1 in the hippocampus's front half, -1 in its back half, 0
    elsewhere. centres: the middle of each usable hippocampus's box, voxels; extents_mm: the box's size.
    """

    name: str
    path: Path
    tissue: npt.NDArray[np.uint8]
    around: npt.NDArray[np.uint8]
    half: npt.NDArray[np.int8]
    spacing_mm: tuple[float, float, float]
    centres: tuple[tuple[float, float, float], ...]
    extents_mm: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class LabelMaps:
    """All maps of one or more folders and the names of the tissues
    that their `tissue` arrays index. sizes: maps of each folder.
    """

    maps: tuple[LabelMap, ...]
    tissues: tuple[str, ...]
    sizes: tuple[int, ...]

    def split(self, last: int) -> tuple["LabelMaps", "LabelMaps"]:
        """(all but the last ones of each folder, the last ones of each folder)."""
        first, kept = hold_out_last(self.maps, self.sizes, last)
        sizes = tuple(size - last for size in self.sizes)
        return LabelMaps(first, self.tissues, sizes), LabelMaps(kept, self.tissues, (last,) * len(sizes))


def hold_out_last(maps: Sequence[Map], sizes: Sequence[int], last: int) -> tuple[tuple[Map, ...], tuple[Map, ...]]:
    """(all but the last ones of each folder, the last ones of each folder), in their order.

    sizes: how many of the maps lie in each folder, one folder after the other; last: fewer than any of them.
    """
    held = {int(end) - 1 - k for end in np.cumsum(sizes) for k in range(last)}
    return (
        tuple(found for index, found in enumerate(maps) if index not in held),
        tuple(found for index, found in enumerate(maps) if index in held),
    )


def read_table(path: Path | None = None) -> LabelTable:
    """A table of tab-separated `value, name, tissue, class`; without a path FreeSurfer's.

    Raises DatasetError naming the line.
    """
    source = path or files("hippopt.batches") / "label_tables" / "freesurfer.tsv"
    tissues: dict[int, str] = {}
    classes: dict[int, str] = {}
    known = {TARGET, *CLASSES[3:], ""}
    try:
        rows = list(csv.DictReader(source.read_text().splitlines(), delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{source}: the label table cannot be read ({error}); give a table of value, name, tissue, class"
        ) from None
    for number, row in enumerate(rows, 2):
        value, tissue, kind = row.get("value") or "", row.get("tissue") or "", row.get("class") or ""
        if not value.isdecimal() or not tissue or kind not in known:
            raise DatasetError(
                f"{source}: line {number}: needs a whole number, a tissue and a class of"
                f" {', '.join(sorted(known - {''}))} or none, separated by tabs"
            )
        tissues[int(value)], classes[int(value)] = tissue, kind
    if TARGET not in classes.values():
        raise DatasetError(f"{source}: no value has the class {TARGET}; name it in the table")
    return LabelTable(tissues, classes)


def read_label_maps(folders: Path | Sequence[Path], table: LabelTable, console: Console) -> LabelMaps:
    """Read every map of a folder, or of several. Values that the table does not know are tissues of their own.

    Maps of several folders are named with their folder. Raises DatasetError naming all files that cannot be used:
    unreadable, not whole numbers, without a hippocampus.
    """
    listed = [folders] if isinstance(folders, Path) else list(folders)
    paths: list[Path] = []
    sizes = []
    for folder in listed:
        if not folder.is_dir():
            raise DatasetError(
                f"{folder.absolute()}: no such folder{near_matches(folder)}; give a folder of label maps"
            )
        found = image_files(folder)
        if not found:
            raise DatasetError(f"{folder}: no label map in it; give a folder of NIfTI, NRRD or MetaImage label maps")
        paths += found
        sizes.append(len(found))
    return read_map_files(paths, tuple(sizes), table, console)


def read_map_files(paths: Sequence[Path], sizes: tuple[int, ...], table: LabelTable, console: Console) -> LabelMaps:
    """Read these maps. sizes: how many of each folder, in their order.

    Raises DatasetError naming all files that cannot be used.
    """
    tissues = ["air", *sorted(set(table.tissues.values()) - {"air", HEAD}), ALVEUS, *FADING]
    maps, faults = [], []
    for path in console.track(paths, "read label maps", len(paths)):
        name = path.name if len(sizes) == 1 else f"{path.absolute().parent.name}/{path.name}"
        known = len(tissues)
        try:
            maps.append(_read_map(path, name, table, tissues))
        except HippoptError as error:
            faults.append(str(error))
            del tissues[known:]  # so that its values do not count against the next map
    if faults:
        raise DatasetError("\n".join(faults))
    return LabelMaps(tuple(maps), tuple(tissues), sizes)


def tissue_index(tissue: str, tissues: list[str], path: Path) -> int:
    """Find a tissue's place in the list that all maps share, where it is put if it is new.

    Raises DatasetError where there are more than bytes can count: each value that the label table does not name is a
    tissue of its own.
    """
    if tissue not in tissues:
        if len(tissues) == 256:
            raise DatasetError(
                f"{path}: with {tissue!r} the maps hold more than 256 tissues, since each value that the label table"
                " does not name is one; name them there (--label-table)"
            )
        tissues.append(tissue)
    return tissues.index(tissue)


def read_values(path: Path) -> tuple[npt.NDArray[np.int32], Grid]:
    """Read the values of a label map: (Z, Y, X) on RAS axes, and the grid that the file has.

    Raises ImageError where they are not whole, DatasetError where they are below 0 or above MOST_VALUE.
    """
    scan = read_label(path)
    least, most = int(scan.array.min()), int(scan.array.max())
    if least < 0:
        raise DatasetError(f"{path}: holds negative values, so it is no label map; give label maps only")
    if most > MOST_VALUE:
        raise DatasetError(f"{path}: holds {most}, and label maps hold numbers up to {MOST_VALUE}; number it anew")
    return to_ras(scan.array, scan.grid).astype(np.int32), scan.grid


def _read_map(path: Path, name: str, table: LabelTable, tissues: list[str]) -> LabelMap:
    rounded, grid = read_values(path)
    spacing = ras_triple(grid.spacing_mm, grid)
    known = np.zeros(max(int(rounded.max()), *table.classes) + 1, bool)
    known[[value for value, kind in table.classes.items() if kind == TARGET]] = True
    hippocampus = known[rounded]
    found = np.argwhere(hippocampus)
    if len(found) == 0:
        raise DatasetError(
            f"{path}: no hippocampus in it, by the label table; give maps that have one, or another label table"
        )
    margin = np.ceil(MARGIN_MM / np.array(spacing)).astype(int)
    first, last = np.maximum(found.min(0) - margin, 0), np.minimum(found.max(0) + margin + 1, rounded.shape)
    box = (slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2]))
    rounded, hippocampus = np.ascontiguousarray(rounded[box]), hippocampus[box]
    present = np.flatnonzero(np.bincount(rounded.ravel()))
    tissue_of, class_of = np.zeros(int(present.max()) + 1, np.uint8), np.zeros(int(present.max()) + 1, np.uint8)
    for value in map(int, present):
        tissue = table.tissues.get(value, HEAD)
        tissue = f"{HEAD} {value}" if tissue == HEAD else tissue
        tissue_of[value] = tissue_index(tissue, tissues, path)
        kind = table.classes.get(value, "")
        class_of[value] = CLASSES.index(kind) if kind and kind != TARGET else 0
    half = np.zeros(rounded.shape, np.int8)
    centres, extents = [], []
    sides = [np.argwhere(rounded == value) for value in present if table.classes.get(int(value)) == TARGET]
    largest = max(len(side) for side in sides)
    for side in sides:
        half[tuple(side.T)] = np.where(side[:, 1] >= np.median(side[:, 1]), 1, -1)
        if len(side) >= LEAST_SHARE * largest:
            low, high = side.min(0), side.max(0)
            centres.append(_triple((low + high) / 2))
            extents.append(_triple((high - low + 1) * np.array(spacing)))
    tissue_map = tissue_of[rounded]
    tissue_map[_upper_rim(hippocampus)] = tissues.index(ALVEUS)
    if "white_matter" in tissues:
        white = tissue_map == tissues.index("white_matter")
        for layer, near in zip(FADING, _near(hippocampus, spacing), strict=True):
            tissue_map[near & white] = tissues.index(layer)
    return LabelMap(
        name, path, tissue_map, _filled(class_of[rounded], hippocampus), half, spacing, tuple(centres), tuple(extents)
    )


def _upper_rim(hippocampus: BinaryMask) -> BinaryMask:
    """(Z, Y, X): voxels of the structure with none of it above (RAS axes)."""
    rim = hippocampus.copy()
    rim[:-1] &= ~hippocampus[1:]
    return rim


def _near(hippocampus: BinaryMask, spacing_mm: tuple[float, float, float]) -> tuple[BinaryMask, BinaryMask]:
    """(Z, Y, X) each: voxels beside the structure, and those a little further, but for what lies on top of it (RAS)."""
    away = ndimage.distance_transform_edt(~hippocampus, sampling=spacing_mm)
    on_top = np.zeros_like(hippocampus)
    for voxels in range(1, 1 + max(1, round(FADING_MM[1] / spacing_mm[0]))):
        on_top[voxels:] |= hippocampus[:-voxels]
    first, second = FADING_MM
    beside = ~hippocampus & ~on_top
    return beside & (away <= first), beside & (away > first) & (away <= second)


def _filled(classes: npt.NDArray[np.uint8], hole: BinaryMask) -> npt.NDArray[np.uint8]:
    """Classes with the hole taken by the nearest class around it, so that its border can move to between two voxels."""
    nearest = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
    return classes[tuple(nearest)]


def _triple(values: Numbers) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
