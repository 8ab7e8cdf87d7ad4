"""Backgrounds that ring or have another value: back to 0 there, and nothing else is touched."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, zoom

from hippopt.imaging.background import with_zero_background
from tests.records import changed, small_plan

STRIPPED = changed(small_plan(), crop="nonzero", normalisation__region="nonzero")


def brain() -> np.ndarray:
    """(1, 40, 40, 40): a ball of tissue within zeros."""
    z, y, x = np.indices((40, 40, 40)) - 19.5
    ball = z**2 + y**2 + x**2 < 14**2
    return np.where(ball, np.random.default_rng(0).uniform(400, 1000, ball.shape), 0)[None].astype(np.float32)


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_a_cubic_copy_has_its_background_back(kind: type) -> None:
    image = brain()
    copy = zoom(image[0], 1.25, order=3)[None].astype(kind)
    inside = zoom((image[0] > 0).astype(np.float32), 1.25, order=1)[None] > 0.5
    assert copy.min() < 0 and (copy != 0).sum() > 1.1 * inside.sum()
    cleaned, rings = with_zero_background(copy, STRIPPED)
    assert rings and cleaned.dtype == copy.dtype and cleaned.min() == 0
    assert 1 <= (cleaned != 0).sum() / inside.sum() < 1.15  # a blurred rim; before it were 1.8 (int16) and 5.5 times
    deep = binary_erosion(inside[0], iterations=2)
    np.testing.assert_array_equal(cleaned[0][deep], copy[0][deep])
    again, more = with_zero_background(cleaned, STRIPPED)
    assert again is cleaned and not more


def test_what_does_not_ring_is_returned_as_it_is() -> None:
    clean = brain()
    assert with_zero_background(clean, STRIPPED)[0] is clean
    signed = np.where(clean > 0, (clean - 700) / 150, 0)  # z-scored tissue: its negative values are meant
    assert with_zero_background(signed, STRIPPED) == (signed, [])
    dark = np.where(clean > 0, clean - 1100, 0)
    assert with_zero_background(dark, STRIPPED) == (dark, [])


def test_only_under_plans_that_go_by_zeros() -> None:
    ringing = zoom(brain()[0], 1.25, order=3)[None]
    whole = changed(small_plan(), crop="none", normalisation__region="image")
    assert with_zero_background(ringing, whole) == (ringing, [])
    assert with_zero_background(ringing, changed(whole, crop="nonzero"))[1]


def test_channel_by_channel() -> None:
    clean, ringing = zoom(brain()[0], 1.25, order=1), zoom(brain()[0], 1.25, order=3)
    both = np.stack([clean, ringing])
    cleaned, rings = with_zero_background(both, STRIPPED)
    assert rings
    np.testing.assert_array_equal(cleaned[0], clean)
    assert cleaned[1].min() == 0


@pytest.mark.parametrize("moved", [lambda a: a + 1, lambda a: a - 5000, lambda a: (a - a.mean()) / a.std()])
def test_a_background_of_another_value_is_read_as_0(moved: Callable[[np.ndarray], np.ndarray]) -> None:
    image = brain()
    shifted = moved(image)
    cleaned, notes = with_zero_background(shifted, STRIPPED)
    np.testing.assert_array_equal(cleaned == 0, image == 0)
    scale = (shifted.max() - shifted.min()) / (image.max() - image.min())
    np.testing.assert_allclose(cleaned, image * scale, atol=2e-3)
    assert len(notes) == 1 and f"{shifted[0, 0, 0, 0]:g}" in notes[0]
    whole = changed(small_plan(), crop="none", normalisation__region="image")
    assert with_zero_background(shifted, whole)[0] is shifted


def test_only_one_exact_lowest_value_is_a_background() -> None:
    image = brain()
    noisy = np.where(image > 0, image, np.random.default_rng(1).uniform(1, 5, image.shape)).astype(np.float32)
    assert with_zero_background(noisy, STRIPPED)[0] is noisy
    bright = np.where(image > 0, image, 2000).astype(np.float32)  # inverted: the background is the brightest
    assert with_zero_background(bright, STRIPPED)[0] is bright
    inside = np.where(image > 0, image, 1)[:, 10:30, 10:30, 10:30]  # tissue at the faces
    assert with_zero_background(inside, STRIPPED)[0] is inside
