"""Regions: what a locator looks for in a scan, one per side, or one or two where labels have no sides; and the classes
of each.

Classes are indices into the plan's `class_names`; classes of the network are other ones where sides are mirrored.
"""

from hippopt.artifacts.plan import Plan

ANY, LEFT, RIGHT, MIDDLE = "any", "left", "right", "middle"


def region_classes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Region -> its classes.

    Without sides all classes are one kind of region, ANY; labels without a side beside others are MIDDLE.
    """
    sides = plan.class_sides
    classes = range(1, len(plan.class_names))
    if not sides.left and not sides.right:
        return {ANY: tuple(classes)}
    middle = tuple(index for index in classes if index not in (*sides.left, *sides.right))
    found = {LEFT: sides.left, RIGHT: sides.right, MIDDLE: middle}
    return {region: own for region, own in found.items() if own}


def network_classes(plan: Plan, region: str) -> tuple[int, ...]:
    """For each class of the plan, the class of the network that shows
    it in a window of `region`; 0 where that shows background.
    """
    if not plan.mirror_sides:
        return tuple(range(len(plan.class_names)))
    own = region_classes(plan)[region]
    table = [0] * len(plan.class_names)
    for number, pair in enumerate(plan.class_sides.pairs, 1):
        for index in pair:
            table[index] = number if index in own else 0
    return tuple(table)


def is_mirrored(plan: Plan, region: str) -> bool:
    """Whether the network sees windows of this region flipped along x."""
    return plan.mirror_sides and region == RIGHT
