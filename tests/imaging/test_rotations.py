"""Rotations by hand: quarter turns, whose matrices hold zeros and ones alone."""

import numpy as np
import pytest

from hippopt.imaging.rotations import rotation

QUARTER = np.pi / 2
X, Y, Z = np.eye(3)


@pytest.mark.parametrize("plane", [(0, 1), (1, 2), (2, 0), (0, 2)])
def test_a_quarter_turn_brings_the_first_axis_onto_the_second(plane: tuple[int, int]) -> None:
    first, second = plane
    turn = rotation([QUARTER], [plane])
    axes = np.eye(3)
    np.testing.assert_allclose(turn @ axes[first], axes[second], atol=1e-15)
    np.testing.assert_allclose(turn @ axes[second], -axes[first], atol=1e-15)
    still = 3 - first - second
    np.testing.assert_array_equal(turn @ axes[still], axes[still])


def test_the_last_turn_acts_first() -> None:
    both = rotation([QUARTER, QUARTER], [(0, 1), (1, 2)])
    np.testing.assert_allclose(both @ Y, Z, atol=1e-15)  # onto z, where the other turn leaves it
    np.testing.assert_allclose(both @ X, Y, atol=1e-15)
    other = rotation([QUARTER, QUARTER], [(1, 2), (0, 1)])
    np.testing.assert_allclose(other @ X, Z, atol=1e-15)  # onto y, and from there onto z


def test_any_angles_keep_lengths_and_handedness() -> None:
    turn = rotation(np.array([0.3, -1.1, 2.5]), [(0, 1), (1, 2), (0, 2)])
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(turn) == pytest.approx(1)
    cosine, sine = np.cos(0.3), np.sin(0.3)
    np.testing.assert_allclose(rotation([0.3], [(0, 1)]), [[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
