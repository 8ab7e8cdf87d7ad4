"""What label positions tell: order, sides, and labels on the wrong side."""

import pytest

from hippopt.artifacts.fingerprint import CaseFingerprint
from hippopt.artifacts.sides import Side, sides_of_names
from hippopt.artifacts.triples import Voxels
from hippopt.planning.geometry import geometric_sides, ordered_axes, side_warnings
from tests.records import FRONT_AND_BACK, case_of_boxes

LEFT, RIGHT = ((10, 10, 5), (8, 20, 8)), ((10, 10, 40), (8, 20, 8))


def cases_of(
    first: tuple[Voxels, Voxels], second: tuple[Voxels, Voxels], count: int = 20, turned: int = 0
) -> list[CaseFingerprint]:
    """`count` cases, of which in `turned` the labels have changed places."""
    return [
        case_of_boxes(
            f"case_{number:02d}",
            {"a_left": second, "a_right": first} if number < turned else {"a_left": first, "a_right": second},
            (40, 40, 60),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("second", "axes"),
    [
        (((10, 10, 30), (8, 8, 8)), ("x",)),
        (((10, 30, 10), (8, 8, 8)), ("y",)),
        (((30, 10, 10), (8, 8, 8)), ("z",)),
        (((10, 30, 30), (8, 8, 8)), ("x", "y")),
        (((10, 30, 12), (8, 8, 8)), ("y",)),  # 2 of 20.1 mm lie along x: too little to be an order
        (((10, 10, 10), (8, 8, 8)), ()),
    ],
)
def test_order(second: tuple[Voxels, Voxels], axes: tuple[str, ...]) -> None:
    assert ordered_axes(cases_of(((10, 10, 10), (8, 8, 8)), second), ["a_left", "a_right"]) == axes


@pytest.mark.parametrize(("turned", "axes"), [(0, ("x",)), (1, ("x",)), (2, ()), (10, ())])  # 95 % of 20 cases are 19
def test_order_and_sides_hold_in_nearly_all_cases(turned: int, axes: tuple[str, ...]) -> None:
    cases = cases_of(LEFT, RIGHT, 20, turned)
    assert ordered_axes(cases, ["a_left", "a_right"]) == axes
    assert geometric_sides(cases, ["a_left", "a_right"]) == ({"a_left": "left", "a_right": "right"} if axes else {})


def test_labels_that_never_meet_have_no_order() -> None:
    cases = [case_of_boxes("a", {"front": LEFT, "back": None}), case_of_boxes("b", {"front": None, "back": RIGHT})]
    assert ordered_axes(cases, ["front", "back"]) == ()
    assert geometric_sides(cases, ["front", "back"]) == {}


def test_front_and_back_are_no_sides() -> None:
    cases = [case_of_boxes("case", FRONT_AND_BACK)]
    assert geometric_sides(cases, list(FRONT_AND_BACK)) == {}  # they overlap along x
    small = ((10, 10, 40), (2, 2, 2))
    assert geometric_sides(cases_of(LEFT, small), ["a_left", "a_right"]) == {}  # of unlike volume


def test_a_whole_data_set_on_the_wrong_side() -> None:
    named: dict[str, Side] = {"a_left": "left", "a_right": "right"}
    cases = cases_of(RIGHT, LEFT)
    (warning,) = side_warnings(cases, named, geometric_sides(cases, list(named)))
    assert warning.startswith("a_left, a_right: named left, but lies on the other side")


def test_single_cases_on_the_wrong_side_are_named() -> None:
    named: dict[str, Side] = {"a_left": "left", "a_right": "right"}
    cases = cases_of(LEFT, RIGHT, 20, 1)
    (warning,) = side_warnings(cases, named, geometric_sides(cases, list(named)))
    assert warning.startswith("case_00: a_left lies right of a_right")
    assert side_warnings(cases_of(LEFT, RIGHT), named, {}) == []


@pytest.mark.parametrize("names", [("left_a", "right_a"), ("lh_a", "rh_a"), ("a_l", "a_r")])
def test_single_cases_are_named_whatever_the_form_of_the_sides(names: tuple[str, str]) -> None:
    boxes = [{names[0]: LEFT, names[1]: RIGHT}] * 9 + [{names[0]: RIGHT, names[1]: LEFT}]
    cases = [case_of_boxes(f"case_{number}", own, (40, 40, 60)) for number, own in enumerate(boxes)]  # type: ignore[arg-type]
    (warning,) = side_warnings(cases, sides_of_names(names), {})
    assert warning.startswith(f"case_9: {names[0]} lies right of {names[1]}")
