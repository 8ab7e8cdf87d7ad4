"""Where training patches of located scans lie: around a region's middle, as prediction will look, and some
elsewhere.
"""

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.regions import ANY, is_mirrored, network_classes, region_classes
from hippopt.artifacts.triples import Voxels
from hippopt.batches.patches import TrainingCase, centre_start, draw_start
from hippopt.imaging.arrays import BinaryMask, Image, Whole

PART_SHARE = 0.2  # a part of a label without sides that has this share of the largest is a structure of its own


def region_middles(case: TrainingCase, plan: Plan) -> list[tuple[str, Voxels]]:
    """(region, middle voxel of its box) of each region that the case holds; kept with the case."""
    kept = case.__dict__.setdefault("region_middles", {})
    key = (plan.locator.regions if plan.locator else 0, tuple(plan.sides.items()))
    if key not in kept:
        label = np.asarray(case.label)
        found = []
        for name, classes in region_classes(plan).items():
            inside = np.isin(label, classes)
            if inside.any():
                found += [(name, middle) for middle in _middles(inside, key[0] if name == ANY else 1)]
        kept[key] = found
    return kept[key]


def _middles(inside: BinaryMask, most: int) -> list[Voxels]:
    from scipy import ndimage

    if most > 1:
        parts, count = ndimage.label(inside, np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        chosen = [number for number in np.argsort(-sizes)[:most] if sizes[number] >= PART_SHARE * sizes.max()]
        boxes = [ndimage.find_objects(parts == number + 1)[0] for number in chosen]
    else:
        boxes = ndimage.find_objects(inside.astype(np.uint8))[:1]
    return [_triple([(part.start + part.stop) // 2 for part in box]) for box in boxes]


def draw_place(case: TrainingCase, plan: Plan, rng: np.random.Generator) -> tuple[Voxels, str]:
    """(first voxel of a patch, the region that it is for): near a
    region's middle, or for a share of the patches elsewhere.
    """
    locator = plan.locator
    assert locator is not None
    places = region_middles(case, plan)
    if not places or rng.random() < locator.patches_elsewhere:
        names = list(region_classes(plan))
        start = draw_start(case, plan.patch_size, rng.random() < plan.foreground_oversampling, rng)
        return start, names[int(rng.integers(len(names)))]
    name, middle = places[int(rng.integers(len(places)))]
    moved = middle + rng.uniform(-locator.jitter_mm, locator.jitter_mm, 3) / plan.target_spacing_mm
    return window_start(case, plan, _triple(np.rint(moved))), name


def window_start(case: TrainingCase, plan: Plan, middle: Voxels) -> Voxels:
    """First voxel of the patch around a voxel, inside the image where that is larger."""
    shape = case.label.shape
    return centre_start((shape[0], shape[1], shape[2]), plan.patch_size, middle)


def as_network_sees(
    image: Image, label: npt.NDArray[Whole], plan: Plan, region: str
) -> tuple[Image, npt.NDArray[Whole]]:
    """A window (C, Z, Y, X) with its classes (Z, Y, X) -> what the
    network sees and tells apart in a window of this region.
    """
    classes = np.array(network_classes(plan, region), dtype=label.dtype)[label]
    if is_mirrored(plan, region):
        return np.ascontiguousarray(image[..., ::-1]), np.ascontiguousarray(classes[..., ::-1])
    return image, classes


def _triple(values: object) -> Voxels:
    z, y, x = (int(value) for value in values)  # type: ignore[attr-defined]
    return (z, y, x)
