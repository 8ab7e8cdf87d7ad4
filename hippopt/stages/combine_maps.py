"""Stage: manual label maps set into the heads of other label maps, one map each, with a table of how well they fit."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from hippopt.artifacts.codec import write_bytes
from hippopt.artifacts.dataset import split_ending
from hippopt.artifacts.whole_folder import whole_folder
from hippopt.batches.label_maps import read_table
from hippopt.batches.map_combining import SourceMap, combine, read_source
from hippopt.batches.map_registration import register
from hippopt.batches.tissue_intensities import painted
from hippopt.console import Console
from hippopt.errors import DatasetError, ImageError
from hippopt.files.image_io import write_array
from hippopt.reporting.contours import Panel, plot_contours

SEEDS = 1_000_003  # apart: seed and place in the list make one seed
TABLE = "combined_maps.tsv"
ORIGIN = "ORIGIN.txt"
SIDES = (17, 53)  # left and right hippocampus
NEIGHBOURS = (4, 5, 18, 43, 44, 54)
SHOWN = 20  # maps on the preview sheet
SHOWN_MM = 45  # around the structure


@dataclass(frozen=True)
class CombiningInputs:
    """pairs: (manual map, head) files; numbers: manual value -> FreeSurfer's; least_overlap and most_gaps: the rule of
    what is kept; origin: what the maps were made from, in words, to lie beside them; spacing_mm: of the voxels that are
    made; jobs: heads that are worked on at a time.
    """

    pairs: tuple[tuple[Path, Path], ...]
    numbers: dict[int, int]
    folder: Path
    origin: str
    least_overlap: float
    most_gaps: float
    preview: Path | None = None
    spacing_mm: float = 1.0
    seed: int = 0
    jobs: int = 1
    overwrite: bool = False


@dataclass(frozen=True)
class Row:
    """A line of the table. left_out: why the map was not written, "" where it was."""

    map: str
    head: str
    overlap: float
    hippocampus_overlap: float
    gaps: float
    left_mm3: int
    right_mm3: int
    left_out: str


@dataclass(frozen=True)
class _Made:
    """A row, and a panel where the map was kept; or why one of the files cannot be read."""

    row: Row | None = None
    panel: Panel | None = None
    fault: str = ""


def combine_maps(inputs: CombiningInputs, console: Console) -> list[Row]:
    """Write the combined maps, the table of all of them and their origin; the folder appears whole or not at all.

    A map depends on the seed, its place in the list, the two files and the table of numbers alone.

    Args:
        inputs: pairs of files, the rule of what is kept, and where the result goes.
        console: shows a bar.

    Returns:
        One row per pair, by the name of its map; also of those that the rule leaves out.

    Raises:
        DatasetError: lists every map that cannot be used, or says that the rule leaves none.
        OutputError: the folder is there and `overwrite` is not given, or it cannot be written.
    """
    by_head: dict[Path, list[int]] = {}
    for place, (_, head) in enumerate(inputs.pairs):
        by_head.setdefault(head, []).append(place)
    with whole_folder(inputs.folder, inputs.overwrite) as building, ThreadPoolExecutor(inputs.jobs) as pool:

        def work(head: Path) -> list[_Made]:
            return _of_one_head(inputs, head, by_head[head], building)

        made = list(console.track(_each(pool.map(work, by_head)), "combine label maps", len(inputs.pairs)))
        faults = sorted({one.fault for one in made if one.fault})
        if faults:
            raise DatasetError("\n".join(faults))
        rows = sorted((one.row for one in made if one.row), key=lambda row: row.map)
        if all(row.left_out for row in rows):
            raise DatasetError(
                f"{inputs.folder}: the rule leaves out every map ({rows[0].map}: {rows[0].left_out}); give heads that"
                " fit better, or another rule"
            )
        write_bytes(building / TABLE, pd.DataFrame(rows).to_csv(index=False, sep="\t").encode())
        write_bytes(building / ORIGIN, inputs.origin.encode())
    if inputs.preview:
        panels = sorted((one.panel for one in made if one.panel), key=lambda panel: panel.title)
        shown = [
            panels[index] for index in np.linspace(0, len(panels) - 1, min(SHOWN, len(panels))).round().astype(int)
        ]
        plot_contours(
            shown,
            inputs.preview,
            "combined maps, painted as a T1 scan",
            "left hippocampus",
            "amygdala and ventricles",
        )
    return rows


def _each(lists: Iterable[list[_Made]]) -> Iterator[_Made]:
    for some in lists:
        yield from some


def _of_one_head(inputs: CombiningInputs, path: Path, places: list[int], building: Path) -> list[_Made]:
    try:
        head = read_source(path)
    except (DatasetError, ImageError) as error:
        return [_Made(fault=str(error))] * len(places)
    made = []
    for place in places:
        try:
            manual = read_source(inputs.pairs[place][0], inputs.numbers)
            made.append(_combine_one(inputs, manual, head, SEEDS * inputs.seed + place, building))
        except (DatasetError, ImageError) as error:
            made.append(_Made(fault=str(error)))
    return made


def _combine_one(inputs: CombiningInputs, manual: SourceMap, head: SourceMap, seed: int, building: Path) -> _Made:
    warp = register(manual.structures, manual.spacing, head.structures, head.spacing, seed)
    found = combine(manual, head, warp, inputs.spacing_mm)
    why = ""
    if found.overlap < inputs.least_overlap:
        why = f"overlap {found.overlap:.3f} is below {inputs.least_overlap}"
    elif found.gaps > inputs.most_gaps:
        why = f"gaps {found.gaps:.3f} are above {inputs.most_gaps}"
    name = manual.name[: -len(split_ending(manual.name)[1])] + ".nii.gz"  # type: ignore[index]
    volume = found.grid.voxel_volume_mm3
    left, right = (round(float((found.values == value).sum()) * volume) for value in SIDES)
    row = Row(
        name,
        head.name,
        round(found.overlap, 4),
        round(found.hippocampus_overlap, 4),
        round(found.gaps, 4),
        left,
        right,
        why,
    )
    if why:
        return _Made(row)
    write_array(building / name, found.values, found.grid)
    return _Made(row, _panel(name, found.values, round(SHOWN_MM / inputs.spacing_mm)) if inputs.preview else None)


def _panel(name: str, values: npt.NDArray[np.uint16], reach: int) -> Panel:
    """The surroundings of one hippocampus, the left one where there is one, as far as `reach` voxels."""
    side = next(value for value in SIDES if (values == value).any())
    middle = np.argwhere(values == side).mean(0).round().astype(int)
    shown = values[tuple(slice(max(0, at - reach), at + reach) for at in middle)]
    return Panel(
        name,
        painted(shown, read_table()),
        (shown == side).astype(np.uint8),
        np.isin(shown, NEIGHBOURS).astype(np.uint8),
    )
