"""Brain label maps of whole heads, coarse, as a source of synthetic scans for the locator."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.dataset import image_files
from hippopt.artifacts.triples import box_slices
from hippopt.batches.label_maps import HEAD, TARGET, LabelTable, hold_out_last, read_values, tissue_index
from hippopt.console import Console
from hippopt.errors import DatasetError, HippoptError
from hippopt.files.file_kind import near_matches
from hippopt.imaging.arrays import BinaryMask, Numbers
from hippopt.imaging.orientation import ras_triple

FINE_MM = 2.0  # a locator sees voxels of about 4 mm: means over eight of these keep their edges soft
OUTSIDE, FLUID, BRAIN = 0, 1, 2  # what a stripping removes always, sometimes, never
FULL = 255  # a share of one, stored as a byte


@dataclass(frozen=True)
class HeadMap:
    """One map on RAS axes.

    tissue: (z, y, x) uint8 indices into the collection's `tissues`, at about FINE_MM, even sizes; kept: uint8, OUTSIDE,
    FLUID (around the brain) or BRAIN; sides: (2, z / 2, y / 2, x / 2) uint8 shares of a coarse voxel, FULL for all of
    it, that the left and the right hippocampus fill. spacing_mm: of the coarse voxels; centres_mm: of both sides.
    """

    name: str
    path: Path
    tissue: npt.NDArray[np.uint8]
    kept: npt.NDArray[np.uint8]
    sides: npt.NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    volumes_mm3: tuple[float, float]
    centres_mm: tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class HeadMaps:
    """All maps of one or more folders. tissues: names, of which those of HEAD and air lie outside the brain."""

    maps: tuple[HeadMap, ...]
    tissues: tuple[str, ...]
    sizes: tuple[int, ...]

    def split(self, last: int) -> tuple["HeadMaps", "HeadMaps"]:
        """(all but the last ones of each folder, the last ones of each folder)."""
        first, kept = hold_out_last(self.maps, self.sizes, last)
        sizes = tuple(size - last for size in self.sizes)
        return HeadMaps(first, self.tissues, sizes), HeadMaps(kept, self.tissues, (last,) * len(sizes))


def read_head_maps(folders: Sequence[Path], table: LabelTable, console: Console) -> HeadMaps:
    """Read every map of the folders, coarse and whole.

    Raises DatasetError naming all files that cannot be used: unreadable, negative, or without a hippocampus on either
    side in labels of its own.
    """
    paths: list[Path] = []
    sizes = []
    for folder in folders:
        found = image_files(folder) if folder.is_dir() else []
        if not found:
            why = "no label map in it" if folder.is_dir() else f"no such folder{near_matches(folder)}"
            raise DatasetError(f"{folder.absolute()}: {why}; give a folder of label maps of whole heads")
        paths += found
        sizes.append(len(found))
    tissues = ["air", *sorted(set(table.tissues.values()) - {"air", HEAD})]
    maps, faults = [], []
    for path in console.track(paths, "read label maps", len(paths)):
        known = len(tissues)
        try:
            maps.append(_read_map(path, table, tissues))
        except HippoptError as error:
            faults.append(str(error))
            del tissues[known:]  # so that its values do not count against the next map
    if faults:
        raise DatasetError("\n".join(faults))
    return HeadMaps(tuple(maps), tuple(tissues), tuple(sizes))


def _read_map(path: Path, table: LabelTable, tissues: list[str]) -> HeadMap:
    values, grid = read_values(path)
    spacing = ras_triple(grid.spacing_mm, grid)
    left, right = _sides(values, table, path)
    every = [max(1, round(FINE_MM / step)) for step in spacing]
    values = _headed(values)
    values = np.pad(values, [(0, -size % (2 * step)) for size, step in zip(values.shape, every, strict=True)])
    z, y, x = (slice(step // 2, None, step) for step in every)
    coarse = values[z, y, x]
    tissue = np.zeros(coarse.shape, np.uint8)
    kept = np.full(coarse.shape, OUTSIDE, np.uint8)
    for value in map(int, np.unique(coarse)):
        name = table.tissues.get(value, HEAD)
        name = f"{HEAD} {value}" if name == HEAD else name
        here = coarse == value
        tissue[here] = tissue_index(name, tissues, path)
        if name != "air" and not name.startswith(HEAD):
            kept[here] = FLUID if name == "csf" and not table.classes.get(value) else BRAIN
    shares = [_shares(values == value, [2 * step for step in every]) for value in (left, right)]
    centres = [np.argwhere(values == value).mean(0) + 0.5 for value in (left, right)]
    volume = float(np.prod(spacing))
    return HeadMap(
        name=path.name,
        path=path,
        tissue=tissue,
        kept=kept,
        sides=np.stack(shares),
        spacing_mm=_triple(2 * np.multiply(every, spacing)),
        volumes_mm3=(float((values == left).sum()) * volume, float((values == right).sum()) * volume),
        centres_mm=(_triple(centres[0] * spacing), _triple(centres[1] * spacing)),
    )


def _sides(values: npt.NDArray[np.int32], table: LabelTable, path: Path) -> tuple[int, int]:
    """(left, right): the two values of the hippocampus, told apart by where they lie."""
    targets = [value for value, kind in table.classes.items() if kind == TARGET]
    middles = {value: float(np.argwhere(values == value)[:, 2].mean()) for value in targets if (values == value).any()}
    if len(middles) != 2:
        raise DatasetError(
            f"{path}: {len(middles)} values of it are a hippocampus, by the label table; a value for the left and one"
            " for the right are needed"
        )
    left, right = sorted(middles, key=middles.__getitem__)
    return left, right


def _headed(values: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The box of all that is not background."""
    from hippopt.imaging.mask_parts import bounding_box

    return values[box_slices(*(bounding_box(values > 0) or ((0, 0, 0), values.shape)))]


def _shares(inside: BinaryMask, every: list[int]) -> npt.NDArray[np.uint8]:
    z, y, x = (size // step for size, step in zip(inside.shape, every, strict=True))
    blocks = inside.reshape(z, every[0], y, every[1], x, every[2])
    return np.rint(blocks.mean((1, 3, 5)) * FULL).astype(np.uint8)


def _triple(values: Numbers) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
