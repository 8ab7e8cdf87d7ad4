"""Draw the page of a cohort from scans and masks. One scan that cannot be drawn is listed so, and the rest go on."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from hippopt.artifacts.codec import one_line
from hippopt.console import Console
from hippopt.errors import HippoptError, ImageError
from hippopt.files.image_io import read_label, read_scan
from hippopt.files.scan import Scan
from hippopt.imaging.arrays import StoredMask
from hippopt.imaging.orientation import ras_triple, to_ras
from hippopt.reporting.pages.cohort_page import Cohort, ScanCard, write_cohort
from hippopt.reporting.pages.cohort_table import LabelRow, ScanRow
from hippopt.reporting.pages.regions import find_regions
from hippopt.reporting.pages.views import MASK, Picture, overview, region_view

AFFINE_TOLERANCE_MM = 1e-2
AHEAD = 2  # scans drawn for each thread before the page takes them


@dataclass(frozen=True)
class CohortFiles:
    """Where the scans and masks of a page lie, by scan. volume: of 4D scans."""

    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    volume: int | None = None
    jobs: int = 1


def report_cohort(path: Path, cohort: Cohort, files: CohortFiles, console: Console) -> tuple[list[Path], int]:
    """Write the page of a cohort.

    Args:
        path: the page; where it has parts, they lie in a folder beside it.
        cohort: the scans with their volumes (mm3), and all else that the page says.
        files: scans and masks that the pictures are drawn from, each pair in one grid.
        console: shows a bar, and says which scan has no pictures.

    Returns:
        The files of the page, the first to open first; and the number of scans without pictures.

    Raises:
        OutputError: a file cannot be written.
    """
    without = 0
    sides = {row.value: row.side for scan in cohort.scans for row in scan.labels if row.side}
    values = {row.value: cohort.labels[row.label] for scan in cohort.scans for row in scan.labels}

    def draw(scans: Sequence[ScanRow]) -> Iterator[ScanCard]:
        nonlocal without
        for card in console.track(_ahead(scans, files, values, sides), "draw", len(scans)):
            if not card.regions:
                without += 1
                console.warn(f"{card.name}: no pictures; {'; '.join(card.remarks)}")
            yield card

    return write_cohort(path, cohort, draw), without


def _ahead(
    scans: Sequence[ScanRow], files: CohortFiles, values: Mapping[int, int], sides: Mapping[int, str]
) -> Iterator[ScanCard]:
    """Cards in order, some drawn ahead, never all of them: a cohort's images would not fit the memory."""
    with ThreadPoolExecutor(files.jobs) as pool:
        left = iter(scans)
        waiting = [pool.submit(_card, scan, files, values, sides) for scan in islice(left, AHEAD * files.jobs)]
        while waiting:
            card = waiting.pop(0).result()
            waiting += [pool.submit(_card, scan, files, values, sides) for scan in islice(left, 1)]
            yield card


def _card(scan: ScanRow, files: CohortFiles, values: Mapping[int, int], sides: Mapping[int, str]) -> ScanCard:
    try:
        if scan.name not in files.masks:
            raise ImageError("its mask is not there")
        mask = read_label(files.masks[scan.name])
        digest = hashlib.sha256(np.ascontiguousarray(mask.array).tobytes()).hexdigest()[:8]
        if scan.name not in files.images:
            return ScanCard(scan.name, digest, remarks=("its scan was not found among the scans given with -i",))
        image = read_scan(files.images[scan.name], files.volume)
        check_same_grid(mask, image)
    except HippoptError as error:
        return ScanCard(scan.name, remarks=(one_line(error),))
    except Exception as error:  # whatever is wrong with one scan, the page goes on
        return ScanCard(scan.name, remarks=(f"{type(error).__name__}: {one_line(error)}",))
    spacing = ras_triple(image.grid.spacing_mm, image.grid)
    ras = to_ras(mask.array, mask.grid)
    picture = Picture(to_ras(image.array, image.grid), {MASK: ras}, spacing, values)
    regions = find_regions(ras, spacing, sides)
    views = tuple(region_view(picture, region) for region in regions)
    return ScanCard(scan.name, digest, views, overview(picture, regions), tuple(_remarks(scan, mask.array)))


def _remarks(scan: ScanRow, mask: StoredMask) -> list[str]:
    """What a mask does not share with its row of the table: a person may have edited it since."""
    changed = [
        row.label
        for row in scan.labels
        if row.voxels is not None and row.voxels != int(np.count_nonzero(mask == row.value))
    ]
    return (
        [f"the mask was changed after volumes.tsv was written ({', '.join(changed)}): figures are those of the table"]
        if changed
        else []
    )


def check_same_grid(mask: Scan, image: Scan) -> None:
    """Raises ImageError where a mask does not lie in the grid of its scan."""
    if mask.grid.shape != image.grid.shape:
        raise ImageError(
            f"{mask.path}: shape {mask.grid.shape} (Z, Y, X), its scan has {image.grid.shape}; give masks in the scan's"
            " own grid"
        )
    if float(np.abs(np.subtract(mask.grid.affine, image.grid.affine)).max()) > AFFINE_TOLERANCE_MM * max(
        1, max(image.grid.shape) / 100
    ):
        raise ImageError(f"{mask.path}: its affine is not that of {image.path.name}; resample it to the scan's grid")


def rows_from_masks(masks: Mapping[str, Path], jobs: int, console: Console) -> list[ScanRow]:
    """Rows of masks beside which there is no volumes.tsv: volumes of the values found, named label_V.

    A mask that cannot be read has no labels.
    """

    def measure(name: str) -> dict[int, tuple[int, float]] | str:
        try:
            mask = read_label(masks[name])
        except HippoptError as error:
            return one_line(error)
        counts = np.bincount(mask.array.ravel())
        return {
            value: (int(counts[value]), float(counts[value] * mask.grid.voxel_volume_mm3))
            for value in np.flatnonzero(counts).tolist()
            if value
        }

    with ThreadPoolExecutor(jobs) as pool:
        found = dict(zip(masks, console.track(pool.map(measure, masks), "measure", len(masks)), strict=True))
    every = sorted({value for counts in found.values() if not isinstance(counts, str) for value in counts})
    rows = []
    for name, counts in found.items():
        known = {} if isinstance(counts, str) else counts
        labels = [
            LabelRow(f"label_{value}", value, "", *known.get(value, (0, 0.0)), None, None, None, None, None, "", None)
            for value in every
        ]
        rows.append(ScanRow(name, tuple(labels) if known else (), () if known else ("empty",)))
    return rows
