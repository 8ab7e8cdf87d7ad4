"""Regions: what a scan holds one of a side, or one or two of where labels have no sides; and the classes that belong to each.

Classes are indices into the plan's `class_names`; classes of the network are other ones where sides are mirrored.
"""

from hippopt.artifacts.plan import Plan

ANY, LEFT, RIGHT, MIDDLE = "any", "left", "right", "middle"


def region_classes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Region -> its classes. Without sides all classes are one kind of region, ANY; labels without a side beside others are MIDDLE."""
    names = plan.class_names
    if not plan.sides:
        return {ANY: tuple(range(1, len(names)))}
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        if index:
            found.setdefault(plan.sides.get(name, MIDDLE), []).append(index)
    return {region: tuple(found[region]) for region in (LEFT, RIGHT, MIDDLE) if region in found}


def other_side(plan: Plan) -> dict[int, int]:
    """Each class that has a side -> its twin's class, or 0 where it has none."""
    values = plan.label_values
    twins: dict[int, int] = {}
    for first, second in plan.augmentation.swap_labels:
        twins[values.index(first)], twins[values.index(second)] = values.index(second), values.index(first)
    return {index: twins.get(index, 0) for index, name in enumerate(plan.class_names) if name in plan.sides}


def network_classes(plan: Plan, region: str) -> tuple[int, ...]:
    """For each class of the plan, the class of the network that shows it in a window of `region`; 0 where that shows background."""
    if not plan.mirror_sides:
        return tuple(range(len(plan.class_names)))
    values, own = plan.label_values, region_classes(plan)[region]
    table = [0] * len(plan.class_names)
    for number, pair in enumerate(plan.augmentation.swap_labels, 1):
        for value in pair:
            index = values.index(value)
            table[index] = number if index in own else 0
    return tuple(table)


def is_mirrored(plan: Plan, region: str) -> bool:
    """Whether the network sees windows of this region flipped along x."""
    return plan.mirror_sides and region == RIGHT
