"""The rules of a plan's parts: ranks, folds, sides, locator, flips. Each says what is broken as `key: value; rule`."""

import math

from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import CONVOLUTIONS, AdapterSettings, NetworkSettings, Plan

# sides of the largest kernel of a network's decoder, in its feature size, by the size of its tokens
DEEPEST_WIDTHS = {16: (8, 16), 8: (4, 8)}


def broken_ranks(adapter: AdapterSettings, network: NetworkSettings) -> list[str]:
    """Rules that the ranks of the adapter break: each stack bounds its own."""
    hidden = network.hidden_size
    bounds = {name: hidden if name == "attention" else min(hidden, network.mlp_dim) for name in adapter.stacks}
    if CONVOLUTIONS in bounds:
        m, n = (width * network.feature_size for width in DEEPEST_WIDTHS.get(network.token_size, (8, 16)))
        # beyond it no kernel's factors would be fewer numbers than itself
        bounds[CONVOLUTIONS] = (m * n - 1) // (m + n + 1)
    if isinstance(adapter.rank, int):
        bound = min(bounds.values(), default=hidden)
        sound = 1 <= adapter.rank <= bound
        return (
            []
            if sound
            else [f"adapter.rank: {adapter.rank}; the rule: from 1 to {bound}, the smaller side of the stacked weights"]
        )
    if set(adapter.rank) != set(adapter.stacks):
        return [
            f"adapter.rank: {adapter.rank}; the rule: one number, or one for each of adapter.stacks"
            f" ({', '.join(adapter.stacks)})"
        ]
    return [
        f"adapter.rank.{name}: {adapter.rank[name]}; the rule: from 1 to {bound}, the smaller side of this stack's"
        " weights"
        for name, bound in bounds.items()
        if not 1 <= adapter.rank[name] <= bound
    ]


def broken_folds(plan: Plan, fingerprint: Fingerprint | None) -> list[str]:
    """Rules that the folds break: no case and no subject on both sides, none unknown, none empty."""
    subjects = {case.id: case.subject for case in fingerprint.cases} if fingerprint else {}
    broken = []
    if fingerprint and not plan.folds and len(set(fingerprint.groups.values())) > 1:
        broken.append(
            "folds: none; the rule: a fold at least where there are two subjects; `hippopt_plan --reset folds` draws"
            " them again"
        )
    for number, fold in enumerate(plan.folds):
        both = sorted(set(fold.train) & set(fold.val))
        if both:
            broken.append(f"folds[{number}]: {', '.join(both[:3])} in train and val; the rule: no case on both sides")
        unknown = sorted(set(fold.train + fold.val) - set(subjects)) if fingerprint else []
        if unknown:
            broken.append(f"folds[{number}]: {', '.join(unknown[:3])} unknown; the rule: only cases of the data set")
        shared = {subjects.get(case, case) for case in fold.train} & {subjects.get(case, case) for case in fold.val}
        if not both and shared:
            broken.append(
                f"folds[{number}]: subject {sorted(shared)[0]} in train and val; the rule: a subject stands on one side"
            )
        if not fold.train or not fold.val:
            broken.append(f"folds[{number}]: empty train or val; the rule: at least one case on each side")
    return broken


def broken_sides(plan: Plan) -> list[str]:
    """Rules that the left and right classes break."""
    own, classes = plan.side_classes, range(1, len(plan.labels))
    if own is None:
        return []
    if plan.augmentation.swap_labels:
        return ["augmentation.swap_labels: given beside side_classes; the rule: twins stand in side_classes alone"]
    told = {"left": own.left, "right": own.right}
    stated = {
        side: tuple(i for i, name in enumerate(plan.class_names) if plan.sides.get(name) == side) for side in told
    }
    members = [index for pair in own.pairs for index in pair]
    if {side: tuple(sorted(found)) for side, found in told.items()} != stated:
        return [
            "side_classes: other sides than the plan's `sides`; the rule: both say the same; state sides in"
            " dataset.json and plan anew"
        ]
    if len(set(members)) < len(members) or any(
        left not in own.left or right not in own.right for left, right in own.pairs
    ):
        return ["side_classes.twins: the rule: pairs of a class of the left and one of the right side, each class once"]
    return [] if set(members) <= set(classes) else [f"side_classes: the rule: classes from 1 to {len(classes)}"]


def _broken_mirror(plan: Plan) -> list[str]:
    found: list[str] = []
    if plan.mirror_sides and plan.locator is None:
        found.append("mirror_sides: true; the rule: only where scans are located, since crops do not tell their side")
    if plan.mirror_sides and not (
        plan.class_sides.complete and 2 * len(plan.class_sides.twins) == len(plan.labels) - 1
    ):
        found.append("mirror_sides: true; the rule: every label has a side and a twin (side_classes.twins)")
    return found


def broken_locator(plan: Plan) -> list[str]:
    """Rules that the locator, and windows mirrored by side, break."""
    found, locator = _broken_mirror(plan), plan.locator
    if locator is None:
        return found
    low, high = locator.volume_mm3
    rules = [
        (0 < locator.spacing_mm < math.inf, "spacing_mm", locator.spacing_mm, "above 0 mm"),
        (
            len(locator.channels) >= 2 and min(locator.channels, default=0) >= 1,
            "channels",
            locator.channels,
            "two levels or more, each of at least 1",
        ),
        (locator.steps >= 1 and locator.batch_size >= 1, "steps", locator.steps, "steps and batch_size at least 1"),
        (0 < locator.learning_rate < math.inf, "learning_rate", locator.learning_rate, "above 0"),
        (locator.regions in (1, 2), "regions", locator.regions, "1 or 2"),
        (
            locator.margin_mm >= 0 and locator.jitter_mm >= 0,
            "margin_mm",
            locator.margin_mm,
            "margin_mm and jitter_mm not below 0",
        ),
        (0 <= low <= high, "volume_mm3", locator.volume_mm3, "0 <= low <= high"),
        (0 <= locator.patches_elsewhere <= 1, "patches_elsewhere", locator.patches_elsewhere, "from 0 to 1"),
    ]
    return found + [f"locator.{key}: {value}; the rule: {rule}" for sound, key, value, rule in rules if not sound]


def broken_flips(plan: Plan, fingerprint: Fingerprint) -> list[str]:
    """Rules that the flips of training break, by the geometry of the labels."""
    broken = []
    for axis in plan.augmentation.flip_axes:
        twins = plan.class_sides.complete if plan.side_classes else plan.class_sides.twins
        if axis == "x" and plan.sides and not twins:
            broken.append(
                "augmentation.flip_axes: x; the rule: no flip across the midplane where a label has a side, but no twin"
                " to swap with"
            )
        elif axis in fingerprint.ordered_axes and axis != "x":
            broken.append(
                f"augmentation.flip_axes: {axis}; the rule: no flip along an axis along which the labels are ordered"
            )
    return broken
