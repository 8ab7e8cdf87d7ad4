"""From a coarse probability map to regions: where each side's structure is, or why that is not certain.

Places are in millimetres from the first corner of the field of view, (Z, Y, X) on RAS axes.
"""

from dataclasses import dataclass, field

import numpy as np

from hippopt.artifacts.plan import LocatorSettings
from hippopt.artifacts.regions import ANY, LEFT, RIGHT
from hippopt.artifacts.triples import Point
from hippopt.imaging.arrays import BinaryMask, Numbers, Probabilities, Values

LEAST_PEAK = 0.8  # a region whose best voxel is less probable is a guess
RIVAL_SHARE = (
    0.5  # a second place of the same region that has this share of the first's mass makes it uncertain which one it is
)
BORDER_MM = 10.0  # a structure whose centre would lie this near to the end of the image, or beyond it, is cut off


@dataclass(frozen=True)
class Region:
    """One located structure. centre, low, high: mm; volume_mm3: its probabilities summed."""

    name: str
    centre: Point
    low: Point
    high: Point
    volume_mm3: float
    peak: float


@dataclass(frozen=True)
class Choice:
    """regions: what was found. absent: names of regions that lie outside the image. doubts: why the rest is not
    certain; without doubts there is at least one region.
    """

    regions: tuple[Region, ...]
    absent: tuple[str, ...] = ()
    doubts: tuple[str, ...] = field(default=())


def choose_regions(
    probabilities: Probabilities, names: tuple[str, ...], size_mm: Point, settings: LocatorSettings
) -> Choice:
    """probabilities: (1 + regions, z, y, x), `names` without the background, over a field of view of size_mm."""
    step = np.divide(size_mm, probabilities.shape[1:])
    found: list[Region] = []
    doubts: list[str] = []
    unfit: dict[str, float] = {}  # regions without a plausible place: volume of the largest one, mm3
    for index, name in enumerate(names, 1):
        wanted = settings.regions if name == ANY else 1
        places = _places(probabilities[index], probabilities[index] == probabilities.max(0), name, step)
        whole = [place for place in places if _plausible(place, size_mm, settings, step)]
        kept = whole[:wanted]
        if name == ANY and len(kept) < wanted:
            doubts.append(f"{len(kept)} of {wanted} regions found")
        if kept and kept[0].peak < LEAST_PEAK:
            doubts.append(f"{_called(name)} is found with probability {kept[0].peak:.2f} only")
        if kept and len(places) > len(kept) and places[len(kept)].volume_mm3 > RIVAL_SHARE * kept[-1].volume_mm3:
            doubts.append(f"{_called(name)} could be in {len(kept) + 1} places")
        if not kept and name != ANY:
            unfit[name] = places[0].volume_mm3 if places else 0.0
        found += kept
    # a speck where a side would be beyond the image is no sign of it
    absent = [name for name in unfit if not doubts and _outside(name, found, size_mm, settings)]
    low, high = settings.volume_mm3
    for name, volume in unfit.items():
        size = f"{volume / 1000:.1f} cm3, expected {low / 1000:.1f} to {high / 1000:.1f}"
        doubts += [f"{_called(name)} {f'has {size}' if volume else 'is not found'}"] if name not in absent else []
    if not found and not doubts:
        doubts.append("nothing is found")
    doubts += _contradictions(found, settings)
    return Choice(tuple(found), tuple(absent), tuple(doubts))


def _called(name: str) -> str:
    return "the structure" if name == ANY else f"the {name} side" if name in (LEFT, RIGHT) else f"the {name}"


def _places(probability: Values, leading: BinaryMask, name: str, step: Numbers) -> list[Region]:
    """Connected places where the region is the likeliest class, by falling volume."""
    from scipy import ndimage

    parts, count = ndimage.label((probability >= 0.5) & leading, np.ones((3, 3, 3)))
    places = []
    for number, box in enumerate(ndimage.find_objects(parts, count), 1):
        inside = parts[box] == number
        weights = np.where(inside, probability[box], 0)
        total = float(weights.sum())
        first = np.array([part.start for part in box])
        middle = np.array(ndimage.center_of_mass(weights))
        places.append(
            Region(
                name,
                _point((first + middle + 0.5) * step),
                _point(first * step),
                _point((first + inside.shape) * step),
                total * float(np.prod(step)),
                float(weights.max()),
            )
        )
    return sorted(places, key=lambda place: -place.volume_mm3)


def _plausible(place: Region, size_mm: Point, settings: LocatorSettings, step: Numbers) -> bool:
    """Whether a place is as large as such a structure is; at the end of the image it may be a part of one."""
    low, high = settings.volume_mm3
    at_end = any(
        first <= 0.5 * one or last >= size - 0.5 * one
        for first, last, size, one in zip(place.low, place.high, size_mm, step, strict=True)
    )
    return (at_end or place.volume_mm3 >= low) and place.volume_mm3 <= high


def _outside(name: str, found: list[Region], size_mm: Point, settings: LocatorSettings) -> bool:
    """Whether the centre of a missing side, expected from that of the other one, is beyond the image or at its end."""
    others = [region for region in found if region.name in (LEFT, RIGHT)]
    if name not in (LEFT, RIGHT) or settings.offset_mm is None or len(others) != 1:
        return False
    sign = 1 if name == RIGHT else -1
    expected = [at + sign * offset for at, offset in zip(others[0].centre, settings.offset_mm, strict=True)]
    return any(at < BORDER_MM or at > size - BORDER_MM for at, size in zip(expected, size_mm, strict=True))


def _contradictions(found: list[Region], settings: LocatorSettings) -> list[str]:
    if len(found) < 2 or settings.apart_mm is None:
        return []
    sided = {region.name: region for region in found}
    doubts = []
    pair = (
        (sided[LEFT], sided[RIGHT])
        if LEFT in sided and RIGHT in sided
        else (found[0], found[1])
        if len(sided) == 1
        else None
    )
    if pair is None:
        return []
    apart = float(np.linalg.norm(np.subtract(pair[1].centre, pair[0].centre)))
    if not settings.apart_mm[0] <= apart <= settings.apart_mm[1]:
        doubts.append(
            f"the two sides are {apart:.0f} mm apart, expected {settings.apart_mm[0]:.0f} to {settings.apart_mm[1]:.0f}"
        )
    if LEFT in sided and RIGHT in sided and pair[0].centre[2] >= pair[1].centre[2]:
        doubts.append("the left side lies right of the right one")
    return doubts


def _point(values: Numbers) -> Point:
    z, y, x = (float(value) for value in values)
    return (z, y, x)
