"""What the property tests draw: orientations, shapes, spacings, grids."""

from itertools import permutations, product

import numpy as np
from hypothesis import strategies as st

from hippopt.artifacts.grid import Grid, affine_rows
from hippopt.imaging.rotations import rotation
from tests.records import grid_of_code

# every way to lay three file axes along the world's, each in two directions: 3! * 2**3
CODES = ["".join(letters) for order in permutations(("RL", "AP", "SI")) for letters in product(*order)]
assert len(set(CODES)) == 48

seeds = st.integers(0, 2**32 - 1)
spacings_mm = st.tuples(*[st.floats(0.3, 6.0).map(lambda value: round(value, 3))] * 3)


def shapes(low: int = 1, high: int = 9) -> st.SearchStrategy[tuple[int, int, int]]:
    """(Z, Y, X) shapes."""
    return st.tuples(*[st.integers(low, high)] * 3)


@st.composite
def straight_grids(draw: st.DrawFn) -> Grid:
    """Grids along the world's axes, in any of the 48 orientations."""
    origin = draw(st.tuples(*[st.floats(-200, 200)] * 3))
    return grid_of_code(draw(st.sampled_from(CODES)), draw(shapes(1, 7)), draw(spacings_mm), origin)


@st.composite
def oblique_grids(draw: st.DrawFn) -> Grid:
    """Grids of any orientation, turned by any angles."""
    straight = draw(straight_grids())
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    affine = np.array(straight.affine)
    affine[:3, :3] = rotation(np.deg2rad(angles), ((0, 1), (1, 2), (0, 2))) @ affine[:3, :3]
    return Grid(shape=straight.shape, affine=affine_rows(affine))


def noise(seed: int, *shape: int) -> np.ndarray:
    """Normal values, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def labels(seed: int, shape: tuple[int, int, int], values: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """(Z, Y, X) uint8 labels drawn from `values`."""
    return np.random.default_rng(seed).choice(np.array(values, dtype=np.uint8), shape)
