"""When scans are located, and what the locator is told to expect, from boxes whose numbers a test chooses."""

import pytest

from hippopt.artifacts.plan_rules import broken_rules
from hippopt.artifacts.sides import SideClasses
from hippopt.artifacts.triples import Voxels
from hippopt.planning.decisions import Machine, decide
from tests.records import TINY_NETWORK, case_of_boxes, changed, fingerprint_of, front_and_back

CPU = Machine("cpu", 8.0)
Boxes = dict[str, tuple[Voxels, Voxels] | None]
# 24 x 36 x 24 mm each, 12 mm apart: their middles are 48 mm apart along x, 2 mm along y
PAIR: Boxes = {"hippocampus_left": ((60, 80, 50), (24, 36, 24)), "hippocampus_right": ((60, 82, 98), (24, 36, 24))}
BRAIN: Voxels = (160, 200, 170)
SIDES = {"hippocampus_left": "left", "hippocampus_right": "right"}


def brains(boxes: Boxes = PAIR, sided: bool = True, components: int = 1) -> object:
    cases = [case_of_boxes(f"case_{number}", boxes, BRAIN) for number in range(6)]
    if components > 1:
        cases = [
            changed(case, labels={name: changed(found, components=components) for name, found in case.labels.items()})
            for case in cases
        ]
    return fingerprint_of(cases, SIDES if sided else None)  # type: ignore[arg-type]


def test_crops_are_not_located() -> None:
    plan = decide(front_and_back(), CPU, 0, TINY_NETWORK)
    assert plan.locator is None and not plan.mirror_sides and "crops" in plan.reasons["locator"]


def test_whole_brains_are_located_side_by_side() -> None:
    plan = decide(brains(), CPU, 0, TINY_NETWORK)  # type: ignore[arg-type]
    locator = plan.locator
    # 40 x 52 x 40 mm with its margin: 48 x 64 x 48 voxels, of which 160 x 200 x 170 holds 18 for each of two
    assert (
        plan.patch_size == (48, 64, 48) and locator is not None and "18 patches a structure" in plan.reasons["locator"]
    )
    assert locator.spacing_mm == 4.0 and locator.regions == 2
    assert locator.offset_mm == (0, 2, 48)
    volume = 24 * 36 * 24
    assert locator.volume_mm3 == (round(volume / 3.5, 1), volume * 2.5)
    assert locator.apart_mm is not None and locator.apart_mm[0] < (48**2 + 2**2) ** 0.5 < locator.apart_mm[1]
    assert broken_rules(plan, brains()) == []  # type: ignore[arg-type]
    assert plan.mirror_sides and plan.network_classes == ("background", "hippocampus") and plan.flip_axes == ()


def test_a_label_without_a_twin_is_not_mirrored() -> None:
    boxes: Boxes = {**PAIR, "stem": ((20, 90, 80), (24, 24, 12))}
    plan = decide(brains(boxes), CPU, 0, TINY_NETWORK)  # type: ignore[arg-type]
    assert plan.locator is not None and not plan.mirror_sides and "twin" in plan.reasons["mirror_sides"]


def test_a_small_structure_is_looked_at_more_finely() -> None:
    small: Boxes = {"nucleus_left": ((60, 80, 50), (10, 20, 12)), "nucleus_right": ((60, 80, 98), (10, 20, 12))}
    plan = decide(
        fingerprint_of(
            [case_of_boxes(f"case_{i}", small, BRAIN) for i in range(6)],
            {"nucleus_left": "left", "nucleus_right": "right"},
        ),
        CPU,
        0,
        TINY_NETWORK,
    )
    assert plan.locator is not None and plan.locator.spacing_mm == 2.0  # 10 mm in five voxels


@pytest.mark.parametrize("components", [1, 2])
def test_labels_without_sides(components: int) -> None:
    one: Boxes = {"hippocampus": ((60, 80, 50), (24, 36, 24))}
    plan = decide(brains(one, False, components), CPU, 0, TINY_NETWORK)  # type: ignore[arg-type]
    assert plan.locator is not None and plan.locator.regions == components and not plan.mirror_sides
    assert plan.locator.offset_mm is None and plan.locator.apart_mm is None
    assert plan.locator.volume_mm3[0] == round(24 * 36 * 24 / components / 3.5, 1)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"locator__spacing_mm": 0.0}, "locator.spacing_mm"),
        ({"locator__channels": (8,)}, "locator.channels"),
        ({"locator__steps": 0}, "locator.steps"),
        ({"locator__learning_rate": -1.0}, "locator.learning_rate"),
        ({"locator__regions": 3}, "locator.regions"),
        ({"locator__margin_mm": -1.0}, "locator.margin_mm"),
        ({"locator__volume_mm3": (5.0, 1.0)}, "locator.volume_mm3"),
        ({"locator__patches_elsewhere": 1.5}, "locator.patches_elsewhere"),
        ({"locator": None, "mirror_sides": True}, "mirror_sides"),
        ({"side_classes": SideClasses(left=(1,), right=(2,), twins=()), "augmentation__flip_axes": ()}, "mirror_sides"),
    ],
)
def test_edits_that_break_a_rule(changes: dict[str, object], key: str) -> None:
    plan = decide(brains(), CPU, 0, TINY_NETWORK)  # type: ignore[arg-type]
    assert [rule.split(":")[0] for rule in broken_rules(changed(plan, **changes), brains())] == [key]  # type: ignore[arg-type]
