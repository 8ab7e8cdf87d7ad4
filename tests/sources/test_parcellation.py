"""Picking and merging labels by number."""

from pathlib import Path

import numpy as np
import pytest

from hippopt.errors import ImageError, UsageError
from hippopt.files.label_reading import whole_numbers
from hippopt.sources.parcellation import count_values, missing_numbers, parse_picks, pick, undeclared_values

FILE = Path("label.nii.gz")


def test_picks_keep_their_order_and_merge() -> None:
    assert parse_picks(["right=53", "left=17,1017", "both=3+4", "right=54", "left=17"]) == {
        "right": (53, 54),
        "left": (17, 1017),
        "both": (3, 4),
    }
    assert list(parse_picks(["b=2", "a=1"])) == ["b", "a"]


@pytest.mark.parametrize(
    "text",
    [
        "left",
        "left=",
        "=17",
        "left=a",
        "left=1,",
        "left=-3",
        "left=1.5",
        "left=0",
        "Background=4",
        "l\teft=3",
        "left=²",
    ],
)
def test_picks_that_do_not_fit_are_named(text: str) -> None:
    with pytest.raises(UsageError, match="--labels"):
        parse_picks([text])


def test_all_faults_of_picks_are_told_together() -> None:
    with pytest.raises(UsageError) as caught:
        parse_picks(["left=17", "right=17", "amygdala"])
    assert len(str(caught.value).splitlines()) == 2
    assert "17 already belongs to 'left'" in str(caught.value)


@pytest.mark.parametrize(
    ("low", "high", "dtype"), [(0, 140, np.uint8), (0, 14000, np.int32), (-5, 60, np.int16), (0, 90000, np.int64)]
)
def test_picking_is_comparing(low: int, high: int, dtype: type) -> None:
    rng = np.random.default_rng(high)
    label = rng.integers(low, high, (6, 7, 8)).astype(dtype)
    picks = {"a": tuple(int(v) for v in label.ravel()[:3] if v > 0), "b": (high + 5, 70000), "c": (17,)}
    expected = np.select([np.isin(label, picks["a"]), np.isin(label, picks["b"]), label == 17], [1, 2, 3])
    picked = pick(label, picks)
    np.testing.assert_array_equal(picked, expected)
    assert picked.dtype == np.uint8
    assert count_values(label) == dict(zip(*(x.tolist() for x in np.unique(label, return_counts=True)), strict=True))


def test_more_than_255_names_need_two_bytes() -> None:
    label = np.arange(1, 301).reshape(3, 10, 10)
    picked = pick(label, {f"n{value}": (value,) for value in range(1, 301)})
    np.testing.assert_array_equal(picked, label)


def test_whole_numbers_stored_as_float_become_integers() -> None:
    stored = (np.arange(256, dtype=np.float32) / np.float32(255)) * np.float32(255) + np.float32(1e-5)
    label = whole_numbers(FILE, stored.reshape(4, 8, 8))
    assert label.dtype.kind == "i"
    np.testing.assert_array_equal(label.ravel(), np.arange(256))
    integers = np.zeros((2, 2, 2), np.uint8)
    assert whole_numbers(FILE, integers) is integers


def test_values_between_whole_numbers_are_named() -> None:
    with pytest.raises(ImageError, match=r"2 values not whole \(0\.25, 1\.5\)"):
        whole_numbers(FILE, np.array([[[0, 0.25], [1.5, 2]]], np.float32))
    with pytest.raises(ImageError, match=r"NaN or Inf in a label \(1 voxels\)"):
        whole_numbers(FILE, np.array([[[0, np.nan], [1, 2]]], np.float32))


def test_undeclared_negative_and_huge_values_are_faults() -> None:
    assert undeclared_values(FILE, {0: 9, 1: 2}, [0, 1]) == []
    assert undeclared_values(FILE, {0: 9, 700: 2}, None) == []
    (fault,) = undeclared_values(FILE, {0: 9, 7: 2}, [0, 1])
    assert "7 (2 voxels)" in fault and "[0, 1]" in fault
    assert "negative values -1 (4 voxels)" in undeclared_values(FILE, {-1: 4}, None)[0]
    assert "70000 (1 voxels) are above 65535" in undeclared_values(FILE, {70000: 1}, None)[0]


def test_numbers_in_no_case_are_faults_and_in_some_cases_warnings() -> None:
    counts = {"a": {0: 5, 17: 3}, "b": {0: 5, 17: 1, 53: 2}}
    faults, warnings = missing_numbers({"left": (17,), "right": (53,), "other": (99,)}, counts)
    assert faults == ["--labels other=99: in none of 2 label files, which hold 0 17 53; correct the number"]
    assert warnings == ["right=53: missing in 1 of 2 cases (a)"]
    assert missing_numbers({"left": (17,)}, {}) == ([], [])
