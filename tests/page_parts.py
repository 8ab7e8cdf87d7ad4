"""Small cohorts for tests of pages: drawn blobs, and rows as volumes.tsv would give them."""

import numpy as np

from hippopt.reporting.pages.cohort_page import Cohort, ScanCard
from hippopt.reporting.pages.cohort_table import LabelRow, ScanRow, measures, worst_first
from hippopt.reporting.pages.regions import find_regions
from hippopt.reporting.pages.views import MASK, Picture, RegionView, region_view
from tests.synthetic import blob_case

SEVERE = ("empty",)


def blob_view(seed: int = 0) -> RegionView:
    """The view of a blob with two labels."""
    image, label = blob_case(seed)
    spacing = (1.0, 1.0, 1.0)
    scan = Picture(image.T, {MASK: label.T.astype(np.uint16)}, spacing, {1: 1, 2: 2})
    return region_view(scan, find_regions(scan.masks[MASK], spacing, {})[0])


def scan_row(name: str, volume: float = 1000.0, dice: float | None = 0.9, flags: tuple[str, ...] = ()) -> ScanRow:
    """A scan with the labels front and back."""
    labels = [
        LabelRow(
            label=label,
            value=value,
            side="",
            voxels=int(part),
            volume_mm3=part,
            low_mm3=part - 50,
            high_mm3=part + 50,
            dice=None if dice is None else dice + (value - 1) / 100,
            agreement=0.95,
            asymmetry=None,
            head_of="",
            ratio=None,
        )
        for label, value, part in (("front", 1, volume), ("back", 2, volume / 2))
    ]
    return ScanRow(name, tuple(labels), flags)


def cohort_of(rows: list[ScanRow]) -> Cohort:
    """A cohort in the order in which to look at it."""
    found = measures(rows)
    return Cohort(
        "Masks", "of a test", "0123456789ab", worst_first(rows, found, SEVERE), found, {"front": 1, "back": 2}
    )


def cards_of(scans: object, views: list[RegionView]) -> list[ScanCard]:
    """A card a scan, with the views in turn."""
    return [ScanCard(scan.name, f"{number:08x}", (views[number % len(views)],)) for number, scan in enumerate(scans)]  # type: ignore[arg-type, attr-defined]
