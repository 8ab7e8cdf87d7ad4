"""Locate the regions of a scan: windows at full resolution around
each, or the reasons why the network has to look everywhere.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.properties import CaseProperties
from hippopt.artifacts.regions import region_classes
from hippopt.artifacts.triples import Voxels
from hippopt.batches.patches import centre_start, cut
from hippopt.imaging.arrays import Image
from hippopt.imaging.scan_source import coarse_shape, coarsen
from hippopt.inference.regions import Choice, Region, choose_regions
from hippopt.networks.locator import coarse_probabilities

OVERLAP = 0.5  # of the windows of a region that is larger than one


@dataclass(frozen=True)
class RegionWindow:
    """A window of the plan's patch size at full resolution. region:
    index into Choice.regions; image: (C, *patch) float32.
    """

    region: int
    start: Voxels
    image: Image


@dataclass(frozen=True)
class Located:
    """What the locator says, and the windows that the network is to see; without windows it has to look everywhere, if
    its plan lets it.
    """

    choice: Choice
    windows: tuple[RegionWindow, ...]
    size_mm: tuple[float, float, float]


def locate_prepared(model: nn.Module, image: Image, properties: CaseProperties, plan: Plan) -> Located:
    """Locate the regions of a preprocessed scan as prediction does it.

    Args:
        model: the locator.
        image: (C, Z, Y, X) as preprocessed.
        properties: where the image came from.
        plan: with a locator.

    Returns:
        The windows of its regions, or why the network has to look everywhere.
    """
    assert plan.locator is not None
    z, y, x = (count * step for count, step in zip(properties.crop_shape, properties.ras_spacing_mm, strict=True))
    coarse = coarsen(image, coarse_shape(properties.crop_shape, properties.ras_spacing_mm, plan.locator.spacing_mm))

    def box(start: Voxels, size: Voxels) -> Image:
        return cut(image, start, size)

    return locate([model], coarse, (z, y, x), properties.prepared_shape, box, plan)


def locate(
    models: Sequence[nn.Module],
    coarse: Image,
    size_mm: tuple[float, float, float],
    prepared_shape: Voxels,
    box: Callable[[Voxels, Voxels], Image],
    plan: Plan,
) -> Located:
    """coarse: (C, z, y, x) of a field of view of size_mm; box(start, size): a part of the prepared image (C, *size)."""
    assert plan.locator is not None
    probabilities = coarse_probabilities(list(models), coarse, plan)
    choice = choose_regions(probabilities, tuple(region_classes(plan)), size_mm, plan.locator)
    if choice.doubts and looks_everywhere(prepared_shape, plan):
        return Located(choice, (), size_mm)
    windows = [
        RegionWindow(index, start, box(start, plan.patch_size))
        for index, region in enumerate(choice.regions)
        for start in region_starts(region, size_mm, prepared_shape, plan)
    ]
    return Located(choice, tuple(windows), size_mm)


def looks_everywhere(shape: Voxels, plan: Plan) -> bool:
    """Whether the network looks at the whole of a prepared scan of this shape where the locator is unsure."""
    assert plan.locator is not None
    most = plan.locator.everywhere_patches
    return most is None or math.prod(shape) <= most * math.prod(plan.patch_size)


def region_starts(region: Region, size_mm: tuple[float, float, float], shape: Voxels, plan: Plan) -> list[Voxels]:
    """First voxels of the windows that cover a region with its
    margin: one around the middle of its box where that is enough.
    """
    assert plan.locator is not None
    places: list[list[int]] = []
    for axis in range(3):
        step, patch = size_mm[axis] / shape[axis], plan.patch_size[axis]
        middle = (region.low[axis] + region.high[axis]) / 2 / step
        needed = (region.high[axis] - region.low[axis] + 2 * plan.locator.margin_mm) / step
        count = 1 if needed <= patch else math.ceil((needed - patch) / (patch * OVERLAP)) + 1
        spread = np.linspace(-0.5, 0.5, count) * (needed - patch) if count > 1 else np.zeros(1)
        places.append([round(float(middle + shift)) for shift in spread])
    starts = [centre_start(shape, plan.patch_size, (z, y, x)) for z in places[0] for y in places[1] for x in places[2]]
    return list(dict.fromkeys(starts))
