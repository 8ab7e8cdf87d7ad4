"""Orienting to RAS and back: nothing is lost, and every voxel keeps its place in the world."""

import nibabel
import numpy as np
import pytest
from hypothesis import given

from hippopt.artifacts.grid import Grid
from hippopt.imaging.orientation import axis_codes, from_ras, orientation_code, ras_shape, ras_triple, to_ras
from tests.laws.strategies import CODES, noise, oblique_grids, straight_grids
from tests.records import grid_of_code


def world_coordinates(grid: Grid) -> np.ndarray:
    """(3, Z, Y, X): the R, A and S coordinate of each voxel of the file, mm."""
    z, y, x = np.indices(grid.shape)
    affine = np.array(grid.affine)
    return (
        np.einsum("ij,jzyx->izyx", affine[:3, :3], np.stack([x, y, z]).astype(float)) + affine[:3, 3, None, None, None]
    )


@pytest.mark.parametrize("code", CODES)
def test_all_codes(code: str) -> None:
    grid = grid_of_code(code, (2, 3, 4), (1.0, 2.0, 3.0), (-7.0, 5.0, 11.0))
    assert orientation_code(grid) == code == "".join(nibabel.aff2axcodes(np.array(grid.affine)))
    array = noise(0, 2, *grid.shape)
    there = to_ras(array, grid)
    assert there.shape[1:] == ras_shape(grid)
    np.testing.assert_array_equal(from_ras(there, grid), array)
    # the same values at the same places as nibabel's own way to RAS
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(array[0].T, np.array(grid.affine)))
    np.testing.assert_array_equal(there[0], image.get_fdata().T)
    assert ras_triple(grid.spacing_mm, grid) == tuple(reversed(image.header.get_zooms()))


@given(straight_grids())
def test_world_coordinates_are_kept(grid: Grid) -> None:
    r, a, s = to_ras(world_coordinates(grid), grid)
    dz, dy, dx = ras_triple(grid.spacing_mm, grid)
    # on RAS axes R grows with x alone, A with y alone, S with z alone, each by the spacing
    z, y, x = np.indices(ras_shape(grid))
    np.testing.assert_allclose(r, r[0, 0, 0] + dx * x, atol=1e-9)
    np.testing.assert_allclose(a, a[0, 0, 0] + dy * y, atol=1e-9)
    np.testing.assert_allclose(s, s[0, 0, 0] + dz * z, atol=1e-9)
    # and no voxel is lost or doubled
    assert sorted(map(tuple, np.stack([r, a, s]).reshape(3, -1).T)) == sorted(
        map(tuple, world_coordinates(grid).reshape(3, -1).T)
    )


@given(oblique_grids())
def test_oblique_scans_take_each_axis_once_and_come_back(grid: Grid) -> None:
    assert sorted(world for world, _ in axis_codes(grid)) == [0, 1, 2]
    array = noise(1, *grid.shape)
    np.testing.assert_array_equal(from_ras(to_ras(array, grid), grid), array)
    np.testing.assert_array_equal(to_ras(from_ras(np.zeros(ras_shape(grid)), grid), grid), np.zeros(ras_shape(grid)))
