"""Left and right by geometry: a voxel belongs to the side whose
region it lies nearer to, whatever class the network gave it.
"""

from collections.abc import Sequence

import numpy as np

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.regions import LEFT, RIGHT
from hippopt.artifacts.triples import Point, Voxels
from hippopt.imaging.arrays import BinaryMask, Probabilities
from hippopt.inference.regions import Region


def right_half(
    start: Voxels, shape: Voxels, step_mm: Sequence[float], left: Point | None, right: Point | None
) -> BinaryMask:
    """(Z, Y, X) bool of a box: true on the right of the plane halfway
    between both centres (mm); with one centre, all is its side.
    """
    if left is None or right is None:
        return np.full(shape, right is not None)
    normal = np.subtract(right, left)
    middle = np.add(left, right) / 2
    lines = [
        ((first + np.arange(count) + 0.5) * step - at) * along
        for first, count, step, at, along in zip(start, shape, step_mm, middle, normal, strict=True)
    ]
    return (lines[0][:, None, None] + lines[1][:, None] + lines[2]) > 0


def centres_of_sides(regions: Sequence[Region]) -> tuple[Point | None, Point | None]:
    """(left, right) in mm, where they were found."""
    by_name = {region.name: region.centre for region in regions}
    return by_name.get(LEFT), by_name.get(RIGHT)


def give_sides(probabilities: Probabilities, on_right: BinaryMask, plan: Plan) -> float:
    """Move the probability of each side's classes (L, Z, Y, X), in place, to the twin where a voxel lies on the other
    side.

    A class without a twin gives it to the background. Returns the share of the sided foreground's mass that was moved.
    """
    moved = total = 0.0
    taken = {}
    for index, twin in plan.class_sides.other.items():
        wrong = ~on_right if index in plan.class_sides.right else on_right
        taken[index] = (twin, np.where(wrong, probabilities[index], 0))
        total += float(probabilities[index].sum())
        moved += float(taken[index][1].sum())
    for index, (twin, mass) in taken.items():
        probabilities[index] -= mass
        probabilities[twin] += mass
    return moved / total if total else 0.0
