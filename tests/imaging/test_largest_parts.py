"""Of each label the largest connected part is kept."""

import numpy as np

from hippopt.imaging.mask_parts import keep_largest_parts


def test_smaller_parts_of_each_value_become_background() -> None:
    values = np.zeros((8, 8, 8), np.uint8)
    values[1:4, 1:4, 1:4] = 1
    values[4, 4, 4] = 1  # hangs on by a corner
    values[6, 6, 0] = 1
    values[5:7, 1:3, 5:7] = 2
    values[0, 0, 7] = 2
    wanted = values.copy()
    wanted[6, 6, 0] = wanted[0, 0, 7] = 0
    keep_largest_parts(values)
    assert np.array_equal(values, wanted)
    empty = np.zeros((2, 2, 2), np.uint8)
    keep_largest_parts(empty)
    assert not empty.any()
