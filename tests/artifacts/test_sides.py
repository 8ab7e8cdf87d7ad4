"""Left and right: which names state a side, which labels are twins, and plans made before `side_classes`."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import broken_rules
from hippopt.artifacts.regions import LEFT, MIDDLE, RIGHT, network_classes, region_classes
from hippopt.artifacts.sides import (
    OTHER,
    Side,
    SideClasses,
    Twins,
    name_without_side,
    pair_names,
    side_classes,
    sides_of_names,
    unread_sides,
)
from tests.inference.test_sides import sided_plan
from tests.records import changed, small_plan


@pytest.mark.parametrize(
    ("names", "sided"),
    [
        ("hippocampus_left hippocampus_right", "left right"),
        ("left_x right_x", "left right"),
        ("lh_x rh_x", "left right"),
        ("x_lh x_rh", "left right"),
        ("x_l x_r", "left right"),
        ("R_x L_x", "right left"),
        ("Left-Hippocampus Right-Hippocampus", "left right"),
        ("hippocampus.L hippocampus.R", "left right"),
        ("left right", "left right"),
        ("a_left b", "left -"),  # a whole word counts without a twin
        ("x_l y_r", "- -"),  # a single letter does not
        ("x_l y", "- -"),
        ("bright_x cleft copyright", "- - -"),
        ("left_x_right ctx-lh-x", "- -"),  # of both sides; in the middle
        ("anterior posterior", "- -"),
        ("background left_x", "- left"),
    ],
)
def test_sides_that_names_state(names: str, sided: str) -> None:
    expected = {name: side for name, side in zip(names.split(), sided.split(), strict=True) if side != "-"}
    assert sides_of_names(names.split()) == expected


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("ctx-lh-x ctx-rh-x", "ctx-lh-x, ctx-rh-x"),
        ("LHippocampus RHippocampus", "LHippocampus, RHippocampus"),
        ("lhippocampus rhippocampus", "lhippocampus, rhippocampus"),
        ("hippocampusleft hippocampusright", "hippocampusleft, hippocampusright"),
        ("HippocampusLeft", "HippocampusLeft"),
        ("x_l y", "x_l"),
        ("left_x_right", "left_x_right"),
        ("bright cleft copyright anterior posterior tail label_1", None),
        ("left_x right_x", None),
        ("background", None),
    ],
)
def test_names_that_look_like_a_side_and_are_none_are_said(names: str, said: str | None) -> None:
    found = unread_sides(names.split(), sides_of_names(names.split()))
    if said is None:
        assert found is None
    else:
        assert found is not None and f" {said}: " in found and '"sides": {' in found


def test_a_side_that_is_stated_is_not_warned_of() -> None:
    assert unread_sides(["ctx-lh-x", "ctx-rh-x"], {"ctx-lh-x": "left", "ctx-rh-x": "right"}) is None


@pytest.mark.parametrize(
    ("name", "side", "stem"),
    [
        ("hippocampus_left", "left", "hippocampus"),
        ("left_ca1", "left", "ca1"),
        ("rh-x", "right", "x"),
        ("x_L", "left", "x"),
        ("ctx-lh-x", "left", "ctx-x"),
        ("HippocampusLeft", "left", "Hippocampus"),
        ("left", "left", ""),
        ("bright_right", "right", "bright"),
        ("leftover_left", "left", "leftover"),
        ("anything", "left", "anything"),
    ],
)
def test_names_without_their_side(name: str, side: Side, stem: str) -> None:
    assert name_without_side(name, side) == stem


@pytest.mark.parametrize(
    ("sides", "pairs"),
    [
        ({"a_left": "left", "a_right": "right"}, [("a_left", "a_right")]),
        ({"a_right": "right", "a_left": "left"}, [("a_left", "a_right")]),
        (
            {"left_b": "left", "right_b": "right", "a_l": "left", "a_r": "right"},
            [("left_b", "right_b"), ("a_l", "a_r")],
        ),
        ({"a_left": "left", "b_right": "right"}, []),
        ({"a_left": "left", "a_right": "right", "b_left": "left"}, [("a_left", "a_right")]),
        ({"a_left": "left", "left_a": "left", "a_right": "right"}, []),  # which of the two?
        ({"ctx-lh-x": "left", "ctx-rh-x": "right"}, [("ctx-lh-x", "ctx-rh-x")]),  # sides that dataset.json states
        ({}, []),
    ],
)
def test_twins(sides: dict[str, Side], pairs: list[tuple[str, str]]) -> None:
    assert list(pair_names(sides)) == pairs


WORDS = st.text("abcdegijkmnopqstuvwxyz", min_size=2, max_size=6)


@settings(deadline=None, derandomize=True, database=None)
@given(
    st.lists(WORDS, min_size=1, max_size=4, unique=True),
    st.sampled_from(["{s}_{x}", "{x}_{s}", "{x}-{s}"]),
    st.sampled_from([0, 1, 2]),
)
def test_names_of_both_sides_pair_with_each_other(stems: list[str], form: str, word: int) -> None:
    """Whatever the form, each structure is found on both sides, its twin
    is its own, and the mirror image of a mirror image is itself.
    """
    words = (("left", "right"), ("lh", "rh"), ("l", "r"))[word]
    names = [form.format(s=side, x=stem) for stem in stems for side in words]
    sides = sides_of_names(names)
    assert sides == {name: ("left", "right")[number % 2] for number, name in enumerate(names)}
    classes = side_classes(("background", *names), sides)
    assert classes is not None and classes.complete
    assert [twin.name for twin in classes.twins] == stems
    assert all(classes.other[classes.other[index]] == index for index in classes.other)
    for left, right in classes.pairs:
        assert sides[names[left - 1]] == OTHER[sides[names[right - 1]]]


def test_plans_made_before_side_classes_keep_hash_and_meaning() -> None:
    """The hashes were printed by the code before `side_classes` was there."""
    plain = changed(small_plan(), augmentation__swap_labels=())
    assert content_hash(plain) == "4cf992c4d595cec5ed94b4738fec9e40ab619aee4f52fa0a71e1d79949d683e4"
    for mirror, known in (
        (False, "e6f3157c8edad4cc09f7e66eec4dda602f4424a7ec76076993bf3578d9992848"),
        (True, "bf49e8af3f99707b3676dd3f5a2a54a2474ed5e62a375da4cabbadce24ca4be9"),
    ):
        new = sided_plan(mirror)
        old = changed(new, side_classes=None, augmentation__swap_labels=((48, 47),))
        assert content_hash(old) == known
        read = msgspec.convert(msgspec.to_builtins(old), Plan)
        assert content_hash(read) == known and read.class_sides == new.class_sides
        assert read.network_classes == new.network_classes and read.swapped_classes == new.swapped_classes
        assert region_classes(read) == region_classes(new) == {LEFT: (2,), RIGHT: (1,)}
        assert broken_rules(read) == broken_rules(new) == []
        if mirror:
            assert network_classes(read, RIGHT) == network_classes(new, RIGHT) == (0, 1, 0)


def test_the_file_of_a_new_plan_has_no_labels_to_swap() -> None:
    written = msgspec.to_builtins(sided_plan())
    assert "swap_labels" not in written["augmentation"]
    assert written["side_classes"] == {
        "left": (2,),
        "right": (1,),
        "twins": ({"name": "hippocampus", "left": 2, "right": 1},),
    }
    assert msgspec.convert(written, Plan) == sided_plan()


def test_labels_without_side_beside_others_are_in_the_middle() -> None:
    sides: dict[str, Side] = {"a_left": "left", "a_right": "right"}
    labels = {"background": 0, "a_left": 3, "a_right": 5, "stem": 4}
    plan = small_plan(
        labels=labels, sides=sides, side_classes=side_classes(("background", "a_left", "stem", "a_right"), sides)
    )
    assert region_classes(plan) == {LEFT: (1,), RIGHT: (3,), MIDDLE: (2,)} and plan.class_sides.complete


TWIN = Twins(name="hippocampus", left=2, right=1)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (SideClasses(left=(1,), right=(2,), twins=()), "other sides than"),
        (SideClasses(left=(2,), right=(1,), twins=(Twins(name="a", left=1, right=2),)), "side_classes.twins"),
        (SideClasses(left=(2,), right=(1,), twins=(TWIN, TWIN)), "each class once"),
    ],
)
def test_edits_of_side_classes_that_break_a_rule(own: SideClasses, words: str) -> None:
    (broken,) = broken_rules(changed(sided_plan(), side_classes=own))
    assert broken.startswith("side_classes") and words in broken
    (both,) = broken_rules(changed(sided_plan(), augmentation__swap_labels=((48, 47),)))
    assert both.startswith("augmentation.swap_labels: given beside side_classes")
