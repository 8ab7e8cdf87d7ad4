"""ICC(2,1) and limits of agreement, against published and hand-sized examples."""

import math

import numpy as np
import pytest

from hippopt.scoring.agreement import agreement, icc_2_1

# Shrout and Fleiss (1979), table 2: six targets, four judges; their table 4 gives ICC(2,1) = .29
SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def test_the_published_example() -> None:
    assert round(icc_2_1(SHROUT_FLEISS), 2) == 0.29
    assert icc_2_1(SHROUT_FLEISS) == pytest.approx(0.2898, abs=5e-5)


def test_absolute_agreement_counts_a_constant_shift_against() -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    assert icc_2_1(np.column_stack([truth, truth])) == pytest.approx(1)
    # by hand: targets' mean square 10/3, judges' 2, error 0 -> (10/3) / (10/3 + 2 * 2 / 4)
    assert icc_2_1(np.column_stack([truth, truth + 1])) == pytest.approx((10 / 3) / (10 / 3 + 1))


def test_limits_of_agreement_by_hand() -> None:
    found = agreement([1.0, 3.0, 5.0], [0.0, 3.0, 6.0])  # differences 1, 0, -1: mean 0, standard deviation 1
    assert (found.bias, found.low, found.high, found.pairs) == (0, -1.96, 1.96, 3)


def test_what_cannot_be_told_is_nan() -> None:
    assert math.isnan(icc_2_1(np.array([[1.0, 2.0]]))) and math.isnan(icc_2_1(np.ones((4, 2))))
    one = agreement([2.0, math.nan], [1.0, 5.0])
    assert one.bias == 1 and one.pairs == 1 and math.isnan(one.low)
    assert agreement([], []).pairs == 0
