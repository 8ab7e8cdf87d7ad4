"""A scan tilted by more than 10 degrees is resampled through its true axes,
in training and prediction, and its mask comes back on its own grid.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.grid import Grid, affine_rows
from hippopt.imaging.orientation import ras_triple, to_ras
from hippopt.imaging.preparation import prepare, restore_mask
from hippopt.imaging.rotations import rotation
from hippopt.imaging.scan_source import ScanSource
from hippopt.imaging.straightening import nearest_grid, straight_grid, tilt_degrees
from tests.records import changed, small_plan
from tests.synthetic import Command, run_plan, run_predict, save_nifti, volumes
from tests.trained import DATASET, assert_stopped, copied, edit_json, plan_path

CENTRE = np.array([3.0, -20.0, 8.0])  # RAS mm
RADII = np.array([5.0, 9.0, 4.0])


def placed_grid(
    angles: tuple[float, float, float],
    order: list[int],
    signs: list[int],
    spacing: tuple[float, ...],
    field_mm: float = 36.0,
) -> Grid:
    """A grid around CENTRE: its axes are turned by the angles, in degrees about x, then y, then z, and stored in some
    order and with some signs.
    """
    about_x, about_y, about_z = np.radians(angles)
    turn = rotation((about_z, about_y, about_x), ((0, 1), (2, 0), (1, 2)))
    axes = (turn @ np.eye(3)[:, order]) * np.array(signs) * np.array(spacing)
    counts = [round(field_mm / step) for step in spacing]
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = CENTRE - axes @ ((np.array(counts) - 1) / 2)
    return Grid(shape=(counts[2], counts[1], counts[0]), affine=affine_rows(affine))


def drawn(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """(image (1, Z, Y, X), label (Z, Y, X)): an ellipsoid along world axes, its front half 1, the rest 2."""
    index = np.stack(np.meshgrid(*(np.arange(count) for count in grid.shape), indexing="ij"))[::-1]
    affine = np.array(grid.affine)
    away = np.einsum("ab,bijk->aijk", affine[:3, :3], index) + (affine[:3, 3] - CENTRE)[:, None, None, None]
    inside = ((away / RADII[:, None, None, None]) ** 2).sum(0)
    label = np.where(inside < 1, np.where(away[1] > 0, 1, 2), 0).astype(np.uint8)
    image = 100 + 60 / (1 + np.exp(8 * (inside - 1))) + 20 * (away[1] > 0)
    return image[None].astype(np.float32), label


def centre(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """RAS mm."""
    where = np.argwhere(mask).mean(0)[::-1]
    return np.array(grid.affine)[:3] @ [*where, 1]


angles = st.tuples(*(st.floats(-60, 60),) * 3)
signs = st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3)
steps = st.tuples(*(st.floats(0.7, 1.8),) * 3)


@settings(max_examples=25, deadline=None)
@given(angles, st.permutations([0, 1, 2]), signs, steps)
def test_row_80_a_mask_comes_back_on_its_place(
    angles: tuple[float, float, float], order: list[int], signs: list[int], spacing: tuple[float, ...]
) -> None:
    grid = placed_grid(angles, order, signs, spacing)
    image, label = drawn(grid)
    plan = small_plan(target_spacing_mm=(1.0, 1.0, 1.0), straighten_degrees=10.0)
    case = prepare(image, grid, plan, label)
    assert case.label is not None and (case.properties.straight is not None) == (tilt_degrees(grid) > 10)
    probabilities = (case.label[None] == np.arange(3)[:, None, None, None]).astype(np.float32)
    mask = restore_mask(probabilities, case.properties, plan.label_values)
    assert mask.shape == grid.shape
    assert np.linalg.norm(centre(mask > 0, grid) - centre(label > 0, grid)) < 0.5 * min(1.0, *spacing)
    for value in (1, 2):  # their border lies between voxels of one grid, but not of the other
        apart = centre(mask == value, grid) - centre(label == value, grid)
        assert np.linalg.norm(apart) < 0.5 * max(1.0, *spacing)
        both = (mask == value).sum() + (label == value).sum()
        assert 2 * ((mask == value) & (label == value)).sum() / both > 0.8


@pytest.mark.parametrize("tilt", [15, 40, 60])
def test_row_80_the_network_sees_a_tilted_scan_upright(tilt: float) -> None:
    """As the same anatomy looks when it is drawn on RAS axes; without straightening it is turned."""
    plan = small_plan(target_spacing_mm=(1.0, 1.0, 1.0), straighten_degrees=10.0)
    grid = placed_grid((tilt, 0, 0), [2, 0, 1], [-1, 1, 1], (1.0, 0.8, 1.2), 40.0)
    image, label = drawn(grid)
    case = prepare(image, grid, plan, label)
    straight = case.properties.straight
    assert straight is not None and case.label is not None
    upright = drawn(straight)[1]
    for value in (1, 2):
        assert (
            2
            * ((case.label == value) & (upright == value)).sum()
            / ((case.label == value).sum() + (upright == value).sum())
            > 0.9
        )
    source = ScanSource(image, grid, plan)
    np.testing.assert_allclose(source.box((0, 0, 0), case.properties.prepared_shape), case.image, atol=1e-4)
    old = prepare(image, grid, changed(plan, straighten_degrees=None), label)
    assert old.properties.straight is None and old.label is not None
    np.testing.assert_array_equal(old.label.shape, [round(n * s) for n, s in zip(*_nearest(grid), strict=True)])


def _nearest(grid: Grid) -> tuple[tuple[int, ...], tuple[float, ...]]:
    return to_ras(np.empty(grid.shape), grid).shape, ras_triple(grid.spacing_mm, grid)


@settings(deadline=None, max_examples=25)
@given(angles, st.permutations([0, 1, 2]), signs)
def test_row_80_grids(angles: tuple[float, float, float], order: list[int], signs: list[int]) -> None:
    grid = placed_grid(angles, order, signs, (1.0, 1.5, 0.75))
    index = np.stack(np.meshgrid(*(np.arange(count) for count in grid.shape), indexing="ij"))[::-1]
    places = np.einsum("ab,bijk->aijk", np.array(grid.affine)[:3, :3], index)
    nearest = nearest_grid(grid)
    index = np.stack(np.meshgrid(*(np.arange(count) for count in nearest.shape), indexing="ij"))[::-1]
    again = np.einsum("ab,bijk->aijk", np.array(nearest.affine)[:3, :3], index)
    apart = (
        again + (np.array(nearest.affine) - np.array(grid.affine))[:3, 3][:, None, None, None] - to_ras(places, grid)
    )
    assert np.abs(apart).max() < 1e-6
    straight = straight_grid(grid, (1.0, 1.0, 1.0))
    inside = np.linalg.inv(np.array(straight.affine)) @ np.array(grid.affine)
    corners = [
        [x, y, z, 1] for x in (0, grid.shape[2] - 1) for y in (0, grid.shape[1] - 1) for z in (0, grid.shape[0] - 1)
    ]
    reached = (np.array(corners) @ inside.T)[:, :3]
    assert (reached > -0.5).all() and (reached < np.array(straight.shape[::-1]) - 0.5).all()


def test_row_80_hashes_of_plans_and_arrays_stay(trained_root: Path) -> None:
    plan = small_plan()
    assert (
        content_hash(plan)
        == content_hash(changed(plan, straighten_degrees=None))
        != content_hash(changed(plan, straighten_degrees=10.0))
    )
    assert plan.preparation_hash == changed(plan, straighten_degrees=10.0).preparation_hash


def test_row_80_planning_and_prediction(
    trained_root: Path, workspace: Path, tmp_path: Path, run_command: Command
) -> None:
    grid = placed_grid((35, 0, 0), [0, 1, 2], [1, 1, 1], (1.0, 1.0, 1.0), 26.0)
    image, label = drawn(grid)
    affine = np.array(grid.affine)
    folder = workspace / "raw_data" / DATASET
    save_nifti(folder / "imagesTr/case_003_0000.nii.gz", image[0].T, affine)
    save_nifti(folder / "labelsTr/case_003.nii.gz", label.T, affine)
    code, said, err = run_plan(run_command, workspace)
    assert code == 0 and "1 of 6 training scans (up to 35 degrees)" in said, err
    arrays = np.load(workspace / "preprocessed" / DATASET / "case_003_label.npy")
    where = [np.argwhere(arrays == value).mean(0) for value in (1, 2)]
    np.testing.assert_allclose(where[0][[0, 2]], where[1][[0, 2]], atol=0.6)  # in front of each other, along y alone

    scans = tmp_path / "scans"
    save_nifti(scans / "a.nii.gz", image[0].T, affine)
    code, _, err = run_predict(
        run_command, trained_root, scans, tmp_path / "out", "--save-uncertainty", "--save-probabilities"
    )
    assert code == 0 and "a: tilted by 35 degrees; resampled through its true axes" in err, err
    assert volumes(tmp_path / "out").scan.tolist() == ["a", "a"]
    old = copied(trained_root, tmp_path)
    for path in (plan_path(old), old / "results" / DATASET / "full" / "plan.json"):
        edit_json(path, lambda plan: plan.pop("straighten_degrees") and None)
    # a plan that is not the adapter's is refused, straightening or not
    assert_stopped(
        run_predict(run_command, old, scans, tmp_path / "old"), "trained with plan", "train the fold", code=1
    )
