"""Sizes and volumes from affines."""

import numpy as np
import pytest

from hippopt.artifacts.grid import Grid, affine_rows


def test_sizes_of_a_turned_grid() -> None:
    cosine, sine = np.cos(0.4), np.sin(0.4)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.5, 0.8, 3.0])  # x is flipped: a volume has no sign
    grid = Grid(shape=(10, 20, 30), affine=affine_rows(affine))
    assert grid.spacing_mm == pytest.approx((3.0, 0.8, 0.5))
    assert grid.voxel_volume_mm3 == pytest.approx(1.2)
    assert grid.size_mm == pytest.approx((30, 16, 15))


def test_voxels_of_a_sheared_grid_are_smaller_than_their_sides() -> None:
    affine = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    grid = Grid(shape=(2, 2, 2), affine=affine_rows(affine))
    assert grid.voxel_volume_mm3 == pytest.approx(np.linalg.det(affine[:3, :3])) == pytest.approx(2)
    assert grid.spacing_mm == pytest.approx((2, np.sqrt(2), 1))
