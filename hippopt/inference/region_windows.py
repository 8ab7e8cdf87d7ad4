"""Class probabilities of a scan whose regions were located, from windows around them; or from everywhere, where they
were not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from hippopt.artifacts.part_borders import PartBorders
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.postprocessing import Postprocessing
from hippopt.artifacts.properties import CaseProperties
from hippopt.artifacts.regions import LEFT, RIGHT, is_mirrored, network_classes, region_classes
from hippopt.artifacts.triples import Voxels
from hippopt.imaging.arrays import BinaryMask, Image, Probabilities, Values
from hippopt.imaging.mask_parts import bounding_box
from hippopt.imaging.scan_source import restore_box
from hippopt.inference.flags import NO_SIDE, NOT_LOCATED, OTHER_SIDE
from hippopt.inference.locating import Located, looks_everywhere
from hippopt.inference.sides import centres_of_sides, give_sides, right_half
from hippopt.inference.windows import Look, WindowSettings, predict_probabilities

DOUBTFUL = 0.8  # share of what the network finds that it takes for the other side
SIGMA = 0.125  # of a window's size: nnU-Net's Gaussian weights
FAR = 1e-4  # weight of a window beyond the plane between the sides: only where no window of that side looks
SOME = 0.01  # a foreground probability below this, found by looking everywhere, is not brought back to the scan


@dataclass(frozen=True)
class Ensemble:
    """Trained networks of one plan, and how they look at a scan.

    models: in evaluation mode; their class probabilities are averaged. windows: of the network's own classes. borders:
    where the parts of the structure meet, one record per network; none where the plan asks for none. judged: the first
    so many networks are those that a calibration was fitted to, None for all. postprocessing: of finished masks.
    """

    models: Sequence[nn.Module]
    plan: Plan
    windows: WindowSettings
    device: torch.device
    borders: Sequence[PartBorders] = ()
    judged: int | None = None
    postprocessing: Postprocessing = field(default_factory=Postprocessing)


@dataclass(frozen=True)
class LocatedProbabilities:
    """What the networks find where a scan was located.

    probabilities: (L, Z, Y, X) at the scan's spacing over the crop of `properties`; all else is background.

    mean: at the target spacing, where and as the networks saw it.
    """

    probabilities: Probabilities
    properties: CaseProperties
    mean: Probabilities
    flags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def segment_located(
    ensemble: Ensemble,
    located: Located,
    image: Image,
    properties: CaseProperties,
    look: Look | None = None,
) -> LocatedProbabilities:
    """Class probabilities from windows around what was located, or from everywhere where the locator was unsure.

    image: (C, Z, Y, X) prepared, needed only where the locator was unsure. look: is shown what each network finds in
    the scan as it is, without flips, before sides are given and the mean is taken.
    """
    if located.windows:
        return _by_windows(ensemble, located, properties, look)
    if not looks_everywhere(properties.prepared_shape, ensemble.plan):
        return _nowhere(ensemble, located, properties, look)
    return _everywhere(ensemble, located, image, properties, look)


def _by_windows(
    ensemble: Ensemble, located: Located, properties: CaseProperties, look: Look | None
) -> LocatedProbabilities:
    models, plan, settings, device = ensemble.models, ensemble.plan, ensemble.windows, ensemble.device
    regions = located.choice.regions
    shape, patch = properties.prepared_shape, plan.patch_size
    step = [size / count for size, count in zip(located.size_mm, shape, strict=True)]
    starts = [window.start for window in located.windows]
    first = _triple(max(0, min(start[axis] for start in starts)) for axis in range(3))
    last = _triple(min(shape[axis], max(start[axis] for start in starts) + patch[axis]) for axis in range(3))
    size = _triple(b - a for a, b in zip(first, last, strict=True))
    each = [np.zeros((len(plan.class_names), *size), np.float32) for _ in models]
    # whether what is looked at is another thing than the average over flips
    apart = look is not None and len(settings.flips) > 1
    unflipped = [np.zeros_like(total) for total in each] if apart else each
    weights = np.full(size, 1e-20, np.float32)
    left, right = centres_of_sides(regions)
    on_right = right_half(first, size, step, left, right)
    gaussian = _gaussian(patch)
    for window in located.windows:
        name = regions[window.region].name
        inside, part = _overlap(window.start, patch, first, size)
        weight = gaussian[part].copy()
        if name in (LEFT, RIGHT):
            weight[on_right[inside] != (name == RIGHT)] *= FAR
        for model, total, plain in zip(models, each, unflipped, strict=True):
            add = _adder(plain, inside, part, weight) if apart else None
            found = window_probabilities([model], window.image, name, plan, settings, device, add)
            total[(slice(None), *inside)] += weight * found[(slice(None), *part)]
        weights[inside] += weight
    for total in (*each, *unflipped) if apart else each:
        total /= weights
        total[0][weights <= 1e-20] = 1
    if look is not None:
        for number, plain in enumerate(unflipped):
            look(number, (), plain)
    total = _mean(each)
    moved = give_sides(total, on_right, plan)
    flags, warnings = [NO_SIDE[name] for name in located.choice.absent], []
    warnings += [f"the {name} side lies outside the image, and has no label" for name in located.choice.absent]
    if located.choice.doubts:
        flags.append(NOT_LOCATED)
        warnings.append(
            f"not located ({'; '.join(located.choice.doubts)}): the network saw the likeliest places alone, look at the"
            " mask"
        )
    if moved > DOUBTFUL:
        flags.append(OTHER_SIDE)
        warnings.append(
            "the network takes most of what it finds for the other side; was the scan flipped left to right?"
        )
    probabilities, within = restore_box(total, first, properties)
    return LocatedProbabilities(probabilities, within, total, tuple(flags), tuple(warnings))


def _nowhere(
    ensemble: Ensemble, located: Located, properties: CaseProperties, look: Look | None
) -> LocatedProbabilities:
    """Background everywhere: no place is likely."""
    found = np.zeros((len(ensemble.plan.class_names), 1, 1, 1), np.float32)
    found[0] = 1
    if look is not None:
        for number in range(len(ensemble.models)):
            look(number, (), found)
    reasons = "; ".join(located.choice.doubts)
    warning = f"not located ({reasons}): the mask is empty; is it a T1 scan of a head with both temporal lobes in it?"
    probabilities, within = restore_box(found, (0, 0, 0), properties)
    return LocatedProbabilities(probabilities, within, found, (NOT_LOCATED,), (warning,))


def _mean(each: Sequence[Probabilities]) -> Probabilities:
    return np.asarray(sum(each) / np.float32(len(each)), dtype=np.float32)


def window_probabilities(
    models: Sequence[nn.Module],
    image: Image,
    region: str,
    plan: Plan,
    settings: WindowSettings,
    device: torch.device,
    look: Look | None = None,
) -> Probabilities:
    """(L, *size) of the plan's classes, for a window or an image
    (C, *size) of this region. look: is shown each view of it.
    """
    mirrored = is_mirrored(plan, region)

    def of_plan(found: Probabilities) -> Probabilities:
        if not plan.mirror_sides:
            return found
        found = found[..., ::-1] if mirrored else found
        return np.stack(
            [
                found[k] if index == 0 or k else np.zeros_like(found[0])
                for index, k in enumerate(network_classes(plan, region))
            ]
        )

    def show(number: int, axes: tuple[str, ...], found: Probabilities) -> None:
        assert look is not None
        look(number, axes, of_plan(found))

    return of_plan(
        predict_probabilities(models, image[..., ::-1] if mirrored else image, settings, device, show if look else None)
    )


def _adder(total: Probabilities, inside: tuple[slice, ...], part: tuple[slice, ...], weight: Values | float) -> Look:
    """Adds a part of the unflipped view to a part of `total`; other views are let be."""

    def add(_: int, axes: tuple[str, ...], found: Probabilities) -> None:
        if not axes:
            total[(slice(None), *inside)] += weight * found[(slice(None), *part)]

    return add


def _everywhere(
    ensemble: Ensemble, located: Located, image: Image, properties: CaseProperties, look: Look | None
) -> LocatedProbabilities:
    """Sliding windows over the whole image; sides by what is found left and right of the middle of it."""
    models, plan, settings, device = ensemble.models, ensemble.plan, ensemble.windows, ensemble.device
    shape = properties.prepared_shape
    if plan.mirror_sides:
        half, each = shape[2] // 2, []
        apart = look is not None and len(settings.flips) > 1
        for number, model in enumerate(models):
            each.append(np.zeros((len(plan.class_names), *shape), np.float32))
            plain = np.zeros_like(each[-1]) if apart else each[-1]
            for name, x in ((LEFT, slice(0, half)), (RIGHT, slice(half, None))):
                part = (slice(None), slice(None), x)
                add = _adder(plain, part, part, 1) if apart else None
                each[-1][..., x] = window_probabilities([model], image, name, plan, settings, device, add)[..., x]
            if look is not None:
                look(number, (), plain)
        found = _mean(each)
    else:
        found = predict_probabilities(models, image, settings, device, look)
    reasons = "; ".join(located.choice.doubts)
    warnings = [f"not located ({reasons}): the network looked everywhere, look at the mask"]
    flags = [NOT_LOCATED]
    if plan.sides and not plan.mirror_sides:
        moved = _sides_everywhere(found, plan)
        if moved:
            warnings.append(moved)
            flags.append(OTHER_SIDE)
    first, last = _box_of(found[1:].max(0) > SOME)
    inside = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    probabilities, within = restore_box(found[(slice(None), *inside)], first, properties)
    return LocatedProbabilities(probabilities, within, found, tuple(flags), tuple(warnings))


def _sides_everywhere(found: Probabilities, plan: Plan) -> str | None:
    """Give each half its side: halves left and right of the middle between the two largest parts.

    A line where there is but one.
    """
    from scipy import ndimage

    regions = region_classes(plan)
    sided = [index for name in (LEFT, RIGHT) for index in regions.get(name, ())]
    inside = found[sided].sum(0) > 0.5
    parts, count = ndimage.label(inside, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    largest = np.argsort(-sizes)[:2]
    if len(largest) < 2 or sizes[largest[1]] < 0.2 * sizes[largest[0]]:
        return "one side is found; which one it is, only the network says" if count else None
    centres = sorted((ndimage.center_of_mass(parts == number + 1) for number in largest), key=lambda centre: centre[2])
    left, right = (tuple(float(at) + 0.5 for at in centre) for centre in centres)
    shape = found.shape[1:]
    moved = give_sides(found, right_half((0, 0, 0), (shape[0], shape[1], shape[2]), (1, 1, 1), left, right), plan)  # type: ignore[arg-type]
    return "the network takes most of what it finds for the other side" if moved > DOUBTFUL else None


def _gaussian(patch: Voxels) -> Values:
    lines = [np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / (SIGMA * size)) ** 2) for size in patch]
    weight = lines[0][:, None, None] * lines[1][:, None] * lines[2]
    return np.maximum(weight, 1e-6).astype(np.float32)


def _overlap(start: Voxels, patch: Voxels, first: Voxels, size: Voxels) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """(where a window lies in the box of first and size, which part of the window that is)."""
    inside, part = [], []
    for axis in range(3):
        begin = max(start[axis], first[axis])
        end = min(start[axis] + patch[axis], first[axis] + size[axis])
        inside.append(slice(begin - first[axis], end - first[axis]))
        part.append(slice(begin - start[axis], end - start[axis]))
    return tuple(inside), tuple(part)


def _box_of(mask: BinaryMask) -> tuple[Voxels, Voxels]:
    """(first, last + 1) of the true voxels; one voxel where there is none."""
    start, size = bounding_box(mask) or ((0, 0, 0), (1, 1, 1))
    return start, _triple(first + count for first, count in zip(start, size, strict=True))


def _triple(values: object) -> Voxels:
    z, y, x = (int(value) for value in values)  # type: ignore[attr-defined]
    return (z, y, x)
