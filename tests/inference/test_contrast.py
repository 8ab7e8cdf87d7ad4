"""How bright a structure is beside what lies around it, whatever else the scan shows."""

from pathlib import Path

import numpy as np
import pytest

from hippopt.artifacts.model_file import UsualContrast
from hippopt.files.scan import Scan
from hippopt.inference.contrast import contrast, contrast_around, widened
from hippopt.inference.volumes import contrast_warning
from tests.records import grid_of_code

ONE = (1.0, 1.0, 1.0)


@pytest.fixture
def head() -> tuple[np.ndarray, np.ndarray]:
    """(image, mask): two grey structures in white matter, stripped."""
    image, mask = np.zeros((40, 40, 60)), np.zeros((40, 40, 60), np.uint8)
    image[5:35, 5:35, 5:55] = np.random.default_rng(0).normal(100, 5, (30, 30, 50))
    for label, left in ((1, 12), (2, 42)):
        where = (slice(18, 24), slice(14, 26), slice(left, left + 6))
        image[where], mask[where] = 60, label
    return image, mask


def test_by_hand() -> None:
    image, mask = np.full((1, 1, 9), 3.0), np.zeros((1, 1, 9), np.uint8)
    image[0, 0, :2], image[0, 0, 4], mask[0, 0, 4] = 0, 1, 1
    # within 1 mm: 3 1 3, mean 7/3, standard deviation sqrt(8)/3
    assert contrast_around(image, mask, ONE, 1.0) == pytest.approx((1 - 7 / 3) / (np.sqrt(8) / 3))
    # within 3 mm there is one voxel of nothing, which does not count: 3 3 1 3 3 3
    assert contrast_around(image, mask, ONE, 3.0) == pytest.approx((1 - 16 / 6) / np.std([3, 3, 1, 3, 3, 3]))
    # voxels of 3 mm: one is reached
    assert contrast_around(image, mask, (1.0, 1.0, 3.0), 1.0) == contrast_around(image, mask, ONE, 1.0)


def test_another_scale_is_the_same_and_inversion_turns_the_sign(head: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = head
    found = contrast_around(image, mask, ONE, 10.0)
    assert found is not None and found < -0.5
    assert contrast_around(image * 1e-6, mask, ONE, 10.0) == pytest.approx(found)
    inverted = np.where(image != 0, 300 - image, 0)
    assert contrast_around(inverted, mask, ONE, 10.0) == pytest.approx(-found)


def test_what_lies_far_away_does_not_count(head: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = head
    with_skull = image.copy()
    with_skull[:3], with_skull[-3:] = 900, 900
    assert contrast_around(with_skull, mask, ONE, 10.0) == contrast_around(image, mask, ONE, 10.0)
    assert contrast(with_skull, mask != 0) != pytest.approx(contrast(image, mask != 0), abs=0.2)


def test_nothing_found_and_a_constant_image_have_none(head: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = head
    assert contrast_around(image, np.zeros_like(mask), ONE, 10.0) is None
    assert contrast_around(np.ones_like(image), mask, ONE, 10.0) is None
    image[20, 20, 20] = np.nan
    assert contrast_around(image, mask, ONE, 10.0) is not None


def test_an_inverted_scan_is_told(head: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = head
    low, high = widened([-0.8, -0.4])
    usual = UsualContrast(fingerprint_hash="x", low=low, high=high, around_mm=10.0)
    assert (low, high) == pytest.approx((-1.2, 0.0))
    grid = grid_of_code("RAS", image.shape)
    shown = contrast_around(image, mask, ONE, 10.0)
    assert shown is not None and (contrast_warning("a", mask, Scan(Path("a"), image, grid, None), usual) is None) == (
        shown >= low
    )
    told = contrast_warning("a", mask, Scan(Path("a"), np.where(image != 0, 300 - image, 0), grid, None), usual)
    assert told is not None and "within 10 mm" in told and "expected -1.20 to +0.00" in told


def test_one_training_scan_leaves_room_for_the_others() -> None:
    assert widened([-0.52]) == pytest.approx((-0.92, -0.12))  # of 208 hippocampi the mean; their range is -.74 to -.24
