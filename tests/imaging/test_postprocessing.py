"""Masks are tidied: largest parts, islands, holes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hippopt.artifacts.postprocessing import Postprocessing, structures
from hippopt.imaging.postprocessing import postprocess

LEFT_RIGHT = ((1, 2), (3,))
SPACING = (2.0, 1.0, 1.0)


def mask() -> np.ndarray:
    """Left: a box of 1 beside a box of 2 with a hole, an island of two voxels; right: a box, an island of one voxel."""
    found = np.zeros((8, 8, 16), np.uint8)
    found[1:4, 1:4, 1:3] = 1
    found[1:4, 1:4, 3:6] = 2
    found[2, 2, 4] = 0
    found[6, 6, 1:3] = 1
    found[1:4, 1:4, 10:13] = 3
    found[7, 7, 15] = 3
    return found


def test_largest_part_of_each_structure_keeps_both_labels_and_both_sides() -> None:
    tidy = postprocess(mask(), Postprocessing(keep="largest of each structure"), LEFT_RIGHT, SPACING)
    assert tidy[6, 6].max() == 0 and tidy[7, 7, 15] == 0
    expected = mask()
    expected[6, 6], expected[7, 7, 15] = 0, 0
    assert np.array_equal(tidy, expected)


def test_largest_part_of_each_label_also_takes_a_part_that_touches_another_label() -> None:
    start = mask()
    start[1, 1, 5] = 1  # of label 1, within label 2: the structure hangs together, the label does not
    of_structure = postprocess(start, Postprocessing(keep="largest of each structure"), LEFT_RIGHT, SPACING)
    of_label = postprocess(start, Postprocessing(keep="largest of each label"), LEFT_RIGHT, SPACING)
    assert of_structure[1, 1, 5] == 1 and of_label[1, 1, 5] == 0


@pytest.mark.parametrize(("limit", "left", "right"), [(2.0, 1, 3), (3.9, 1, 0), (4.0, 1, 0), (4.1, 0, 0)])
def test_islands_are_measured_in_mm3(limit: float, left: int, right: int) -> None:
    tidy = postprocess(mask(), Postprocessing(islands_below_mm3=limit), LEFT_RIGHT, SPACING)
    assert (tidy[6, 6, 1], tidy[7, 7, 15]) == (left, right)  # of 4 mm³ and of 2 mm³


def test_the_largest_part_is_never_an_island() -> None:
    tidy = postprocess(mask(), Postprocessing(islands_below_mm3=1e6), LEFT_RIGHT, SPACING)
    assert set(np.unique(tidy)) == {0, 1, 2, 3} and tidy[6, 6].max() == 0


def test_holes_become_the_nearest_label_and_only_holes_do() -> None:
    start = mask()
    tidy = postprocess(start, Postprocessing(fill_holes=True), LEFT_RIGHT, SPACING)
    changed = np.argwhere(tidy != start)
    assert changed.tolist() == [[2, 2, 4]] and tidy[2, 2, 4] == 2


def test_a_hole_that_another_structure_fills_stays_its_own() -> None:
    start = np.ones((5, 5, 5), np.uint8)
    start[2, 2, 2] = 3
    assert np.array_equal(postprocess(start, Postprocessing(fill_holes=True), LEFT_RIGHT, SPACING), start)


@given(arrays(np.uint8, (5, 6, 7), elements=st.integers(0, 3)))
def test_laws(start: np.ndarray) -> None:
    before = start.copy()
    for keep in ("all", "largest of each structure"):
        for islands in (None, 4.0):
            settings = Postprocessing(keep=keep, islands_below_mm3=islands)  # type: ignore[arg-type]
            tidy = postprocess(start, settings, LEFT_RIGHT, SPACING)
            assert np.array_equal(start, before)  # the mask that came in is left alone
            assert ((tidy == start) | (tidy == 0)).all()  # parts are removed, nothing is added
            for values in LEFT_RIGHT:  # a structure that was found stays found
                assert np.isin(tidy, values).any() == np.isin(start, values).any()
            assert np.array_equal(postprocess(tidy, settings, LEFT_RIGHT, SPACING), tidy)
    assert postprocess(start, Postprocessing(), LEFT_RIGHT, SPACING) is start


def test_structures_are_the_sides_or_all_labels() -> None:
    assert structures({"background": 0, "head": 1, "tail": 2}, {}) == ((1, 2),)
    sides = {"head_left": "left", "tail_left": "left", "head_right": "right", "tail_right": "right"}
    labels = {"background": 0, "head_left": 1, "head_right": 2, "tail_left": 3, "tail_right": 4}
    assert structures(labels, sides) == ((1, 3), (2, 4))


def test_words() -> None:
    assert Postprocessing().text == "no post-processing" and Postprocessing().nothing
    both = Postprocessing(keep="largest of each structure", fill_holes=True)
    assert both.text == "the largest part of each structure alone, holes filled"
