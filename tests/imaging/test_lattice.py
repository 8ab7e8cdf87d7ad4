"""Laws of lattices: what was turned away and back is what it was, and lies in the same places."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hippopt.artifacts.grid import Grid, affine_rows
from hippopt.imaging.lattice import lattice_step, placed, same_points

AFFINE = np.array(
    [[-0.8, 0.0, 0.0, 31.5], [0.0, 1.2 * 0.96, -2.0 * 0.28, -12.25], [0.0, 1.2 * 0.28, 2.0 * 0.96, 7.0], [0, 0, 0, 1]]
)
SHAPE = (4, 6, 5)  # (Z, Y, X)


def stored(
    order: list[int], signs: list[int], first: tuple[int, ...], size: tuple[int, ...]
) -> tuple[np.ndarray, Grid, np.ndarray]:
    """(array (Z, Y, X), its grid, the whole) of a box of a lattice, its x, y, z axes stored in `order` with `signs`."""
    whole = np.arange(1, 1 + np.prod(SHAPE)).reshape(SHAPE[::-1])  # x, y, z
    part = whole[tuple(slice(a, a + n) for a, n in zip(first, size, strict=True))]
    step = np.zeros((4, 4))
    step[3, 3] = 1
    step[:3, 3] = first
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        step[axis, column] = sign
        step[axis, 3] += 0 if sign > 0 else size[axis] - 1
    array = part.transpose(order)
    array = np.flip(array, tuple(column for column, sign in enumerate(signs) if sign < 0))
    return array.T, Grid(shape=array.T.shape, affine=affine_rows(AFFINE @ step)), whole.T


@given(st.permutations([0, 1, 2]), st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3))
def test_all_axes_and_signs_come_back(order: list[int], signs: list[int]) -> None:
    array, grid, whole = stored(order, signs, (0, 0, 0), SHAPE[::-1])
    step = same_points(grid, Grid(shape=SHAPE, affine=affine_rows(AFFINE)))
    assert step is not None
    np.testing.assert_array_equal(step.turn(array), whole)


@given(
    st.permutations([0, 1, 2]),
    st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3),
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 1)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
)
def test_cut_extents_come_to_their_place(
    order: list[int], signs: list[int], first: tuple[int, ...], size: tuple[int, ...]
) -> None:
    array, grid, whole = stored(order, signs, first, size)
    target = Grid(shape=SHAPE, affine=affine_rows(AFFINE))
    step = lattice_step(grid, target)
    assert step is not None and same_points(grid, target) is None
    expected = np.zeros_like(whole)
    box = tuple(slice(a, a + n) for a, n in zip(first[::-1], size[::-1], strict=True))
    expected[box] = whole[box]
    np.testing.assert_array_equal(placed(array, step, target), expected)


def test_points_in_between_are_others() -> None:
    target = Grid(shape=SHAPE, affine=affine_rows(AFFINE))
    for column, shift in ((0, 0.4), (1, 0.03)):
        moved = AFFINE.copy()
        moved[:3, 3] += shift * AFFINE[:3, column]
        assert lattice_step(Grid(shape=SHAPE, affine=affine_rows(moved)), target) is None
    scaled = AFFINE @ np.diag([1.01, 1, 1, 1])
    assert lattice_step(Grid(shape=SHAPE, affine=affine_rows(scaled)), target) is None
