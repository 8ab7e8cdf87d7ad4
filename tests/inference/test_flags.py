"""Flags and cohorts, on hand-sized cases."""

import numpy as np
import pytest

from hippopt.artifacts.cohort import Cohort, Spread
from hippopt.files.array_scan import scan_of_array
from hippopt.inference.cohort import asymmetry_percent, cohort_of
from hippopt.inference.flags import ASYMMETRY, AT_EDGE, EMPTY, PARTS, VOLUME, asymmetry_flags, label_flags, touches_edge
from hippopt.inference.volumes import Standards, Sureness, volume_rows
from tests.records import case_of_boxes, fingerprint_of, small_plan

PAIR = ("hippocampus_left", "hippocampus_right")


def sided_cohort(count: int = 11, parts: int = 1) -> Cohort:
    """Volumes of 40, 50, ... voxels on the left, 100 on the right."""
    cases = [
        case_of_boxes(f"case_{i:02d}", {PAIR[0]: ((5, 5, 2), (1, 10, 4 + i)), PAIR[1]: ((5, 5, 25), (2, 5, 10))})
        for i in range(count)
    ]
    found = cohort_of(fingerprint_of(cases, {PAIR[0]: "left", PAIR[1]: "right"}), [PAIR])
    assert parts == 1 and found.parts == {PAIR[0]: 1, PAIR[1]: 1}
    return found


def test_quartiles_by_hand() -> None:
    cohort = sided_cohort()
    assert cohort.volumes[PAIR[0]] == Spread(scans=11, first_quartile=65, median=90, third_quartile=115)
    assert cohort.volumes[PAIR[0]].limits == (65 - 150, 115 + 150)  # few scans: the outer fence
    assert sided_cohort(21).volumes[PAIR[0]] == Spread(scans=21, first_quartile=90, median=140, third_quartile=190)
    assert sided_cohort(21).volumes[PAIR[0]].limits == (90 - 150, 190 + 150)
    assert cohort.asymmetry[PAIR[0]].median == pytest.approx(200 * (90 - 100) / 190, abs=1e-3)


def test_only_the_cases_named_count() -> None:
    cases = [case_of_boxes(name, {"a": ((0, 0, 0), (1, 1, size))}) for name, size in (("x", 2), ("y", 4), ("z", 30))]
    cases.append(case_of_boxes("empty", {"a": None}))
    assert cohort_of(fingerprint_of(cases), (), ("x", "y", "empty")).volumes["a"] == Spread(
        scans=2, first_quartile=2.5, median=3, third_quartile=3.5
    )


def test_fewer_than_ten_scans_make_nothing_unusual() -> None:
    assert Spread(scans=9, first_quartile=1, median=1, third_quartile=1).limits is None
    few = Spread(scans=9, first_quartile=1, median=1, third_quartile=1)
    assert not few.unusual(99)
    assert [few.unusual_volume(value) for value in (0.3, 0.4, 2.9, 3.1, 20)] == [True, False, False, True, True]
    many = Spread(scans=20, first_quartile=1, median=1, third_quartile=1)
    assert many.unusual_volume(1.1) and not many.unusual_volume(1)
    for scans, limit in ((10, 5.0), (19, 5.0), (20, 3.5)):
        assert Spread(scans=scans, first_quartile=1, median=1, third_quartile=2).unusual(limit + 0.1)
        assert not Spread(scans=scans, first_quartile=1, median=1, third_quartile=2).unusual(limit)


def test_label_flags() -> None:
    cohort, sides = sided_cohort(), {PAIR[0]: "left"}
    assert label_flags(PAIR[0], 90, 1, False, sides, cohort) == []
    assert label_flags(PAIR[0], 0, 0, False, sides, cohort) == [EMPTY]
    assert label_flags(PAIR[0], 266, 2, True, sides, cohort) == [AT_EDGE, PARTS, VOLUME]
    # a label without a side may have as many parts as it had in training; where that is unknown, any number
    both = Cohort(fingerprint_hash="", volumes={}, parts={"hippocampus": 2}, asymmetry={})
    assert label_flags("hippocampus", 90, 2, False, {}, both) == []
    assert label_flags("hippocampus", 90, 3, False, {}, both) == [PARTS]
    assert label_flags("hippocampus", 90, 3, False, {}, None) == []


def test_asymmetry() -> None:
    assert asymmetry_percent(110, 90) == 20 and asymmetry_percent(90, 110) == -20 and asymmetry_percent(0, 90) is None
    cohort = sided_cohort()
    limits = cohort.asymmetry[PAIR[0]].limits
    assert limits is not None
    assert asymmetry_flags(PAIR, limits[1] + 1, cohort) == [ASYMMETRY] and asymmetry_flags(PAIR, 0, cohort) == []
    assert asymmetry_flags(PAIR, None, cohort) == [] and asymmetry_flags(PAIR, 190, None) == []


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, -1])
def test_a_mask_at_the_edge_of_the_scan(axis: int, end: int) -> None:
    inside = np.zeros((8, 9, 10), bool)
    inside[3:5, 3:5, 3:5] = True
    assert not touches_edge(inside)
    where: list[int] = [4, 4, 4]
    where[axis] = end
    inside[tuple(where)] = True
    assert touches_edge(inside)


def test_rows_hold_sides_asymmetry_and_flags() -> None:
    plan = small_plan(labels={"background": 0, PAIR[0]: 1, PAIR[1]: 2}, sides={PAIR[0]: "left", PAIR[1]: "right"})
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[5:12, 5:10, 2:6] = 1  # 140 voxels
    mask[5:10, 5:10, 12:15] = 2  # 75, and one at the edge
    mask[0, 0, 0] = 2
    scan = scan_of_array(np.zeros(mask.shape, np.float32), (1, 1, 2), None, "scan")
    left, right = volume_rows("scan", mask, scan, plan, Standards(pairs=(PAIR,), cohort=sided_cohort()), Sureness())
    assert (left.side, left.voxels, left.volume_mm3, left.components) == ("left", 140, 280.0, 1)
    assert (right.side, right.voxels, right.components) == ("right", 76, 2)
    assert left.asymmetry_percent == right.asymmetry_percent == round(200 * 64 / 216, 2)
    assert left.flags == ("volume unusual",)  # beyond 265
    assert right.flags == (
        "at edge",
        "several parts",
        "volume unusual",
    )
    assert left.predicted_dice is None and left.head_size_of == "-"
