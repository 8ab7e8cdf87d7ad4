"""Draw the worst cases of a training: the scan, the mask of the network that had not seen it, and the reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hippopt.artifacts.codec import one_line
from hippopt.console import Console
from hippopt.errors import HippoptError, ImageError
from hippopt.files.image_io import read_label, read_scan
from hippopt.imaging.orientation import ras_triple, to_ras
from hippopt.reporting.pages.regions import find_regions
from hippopt.reporting.pages.training_page import WorstCase
from hippopt.reporting.pages.views import MASK, REFERENCE, Picture, region_view


@dataclass(frozen=True)
class CaseFiles:
    """Where a validation case lies; None where it is not known."""

    case: str
    image: Path | None
    reference: Path | None
    mask: Path


def draw_worst(
    cases: Sequence[CaseFiles], values: Mapping[str, int], sides: Mapping[str, str], console: Console
) -> list[WorstCase]:
    """Draw each case with the outlines of its mask and of its reference.

    Args:
        cases: the files of each case; mask, reference and scan have one shape.
        values: label to its value in masks and references, without the background.
        sides: label to its side, "left" or "right".
        console: shows a bar, and says which case has no pictures.

    Returns:
        The pictures of each case, in the same order. One that cannot be drawn has the reason in their place.
    """
    return [_draw(files, values, sides, console) for files in console.track(cases, "draw", len(cases))]


def _draw(files: CaseFiles, values: Mapping[str, int], sides: Mapping[str, str], console: Console) -> WorstCase:
    try:
        if files.image is None or files.reference is None:
            raise ImageError("its scan is not in raw_data any more")
        image, mask, reference = read_scan(files.image), read_label(files.mask), read_label(files.reference)
        if not mask.array.shape == image.array.shape == reference.array.shape:
            raise ImageError("scan, mask and label have other shapes than at training")
    except HippoptError as error:
        console.warn(f"{files.case}: no pictures; {one_line(error)}")
        return WorstCase(files.case, remark=f"no pictures: {one_line(error)}")
    spacing = ras_triple(image.grid.spacing_mm, image.grid)
    masks = {MASK: to_ras(mask.array, image.grid), REFERENCE: to_ras(reference.array, image.grid)}
    by_value = {values[label]: side for label, side in sides.items()}
    colours = {value: number for number, value in enumerate(sorted(values.values()), start=1)}
    picture = Picture(to_ras(image.array, image.grid), masks, spacing, colours)
    regions = find_regions(np.where(masks[MASK] > 0, masks[MASK], masks[REFERENCE]), spacing, by_value)
    return WorstCase(files.case, tuple(region_view(picture, region) for region in regions))
