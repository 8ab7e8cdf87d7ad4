"""Parts of a scan agree with preprocessing of the whole, and
probabilities of a box come back as those of the whole would.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippopt.artifacts.grid import Grid
from hippopt.batches.patches import cut
from hippopt.imaging import preparation
from hippopt.imaging.orientation import to_ras
from hippopt.imaging.preparation import place_in_scan, prepare, restore_probabilities
from hippopt.imaging.resampling import average_matrix
from hippopt.imaging.scan_source import ScanSource, coarse_shape, coarsen, restore_box
from tests.laws.strategies import CODES, noise, seeds
from tests.records import changed, grid_of_code, small_plan

spacings = st.sampled_from([(1.0, 1.0, 1.0), (0.7, 1.0, 1.3), (2.0, 0.8, 0.8), (1.75, 1.75, 1.75), (5.0, 1.0, 1.0)])


@st.composite
def scans(draw: st.DrawFn) -> tuple[np.ndarray, Grid]:
    """(image (1, Z, Y, X) with a border of zeros, its grid), in any orientation."""
    grid = grid_of_code(draw(st.sampled_from(CODES)), draw(st.tuples(*[st.integers(12, 40)] * 3)), draw(spacings))
    image = 100 + 30 * noise(draw(seeds), 1, *grid.shape)
    image[:, :2], image[:, :, -3:] = 0, 0
    return image, grid


@settings(max_examples=60, deadline=None)
@given(
    scan=scans(),
    crop=st.sampled_from(["none", "nonzero"]),
    region=st.sampled_from(["image", "nonzero"]),
    data=st.data(),
)
def test_a_box_is_what_preprocessing_makes_of_it(
    scan: tuple[np.ndarray, Grid], crop: str, region: str, data: st.DataObject
) -> None:
    image, grid = scan
    plan = changed(small_plan(), crop=crop, normalisation__region=region)
    whole = prepare(image, grid, plan)
    source = ScanSource(image, grid, plan)
    assert source.properties == whole.properties
    start = tuple(data.draw(st.integers(-6, size + 3)) for size in whole.image.shape[1:])
    size = tuple(data.draw(st.integers(1, 24)) for _ in range(3))
    np.testing.assert_allclose(source.box(start, size), cut(whole.image, start, size), atol=3e-5)  # type: ignore[arg-type]
    np.testing.assert_array_equal(source.whole(), whole.image)


def test_large_images_are_measured_in_pieces_to_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    image, grid = 1000 + 300 * noise(3, 1, 30, 40, 50), grid_of_code("PIR", (30, 40, 50))
    image[:, :9] = 0
    for region in ("image", "nonzero"):
        plan = changed(small_plan(), normalisation__region=region)
        whole, coarse = prepare(image, grid, plan).image, ScanSource(image, grid, plan).coarse(4.0)
        with monkeypatch.context() as patch:
            for module in ("preparation", "scan_source"):
                patch.setattr(f"hippopt.imaging.{module}.PIECE", 3777)
            np.testing.assert_allclose(preparation.prepare(image, grid, plan).image, whole, atol=1e-5)
            np.testing.assert_allclose(ScanSource(image, grid, plan).coarse(4.0), coarse, atol=1e-5)


def test_the_coarse_scan_is_the_mean_over_coarse_voxels() -> None:
    image = noise(1, 1, 8, 12, 16)
    plan = small_plan()
    source = ScanSource(image, grid_of_code("RAS", (8, 12, 16)), plan)
    blocks = prepare(image, source.grid, plan).image.reshape(1, 2, 4, 3, 4, 4, 4).mean((2, 4, 6))
    np.testing.assert_allclose(source.coarse(4.0), blocks, atol=1e-5)
    assert coarse_shape((8, 12, 16), (1.0, 2.0, 0.5), 4.0) == (2, 6, 2)


@given(old=st.integers(1, 40), new=st.integers(1, 40))
def test_means_keep_the_mean(old: int, new: int) -> None:
    matrix = average_matrix(old, new)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(matrix.sum(0), new / old, rtol=1e-5)  # every old sample counts alike
    assert coarsen(np.ones((2, old, 1, 1), np.float32), (new, 1, 1)).max() == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(scan=scans(), crop=st.sampled_from(["none", "nonzero"]), seed=seeds, data=st.data())
def test_a_box_comes_back_as_the_whole_would(
    scan: tuple[np.ndarray, Grid], crop: str, seed: int, data: st.DataObject
) -> None:
    image, grid = scan
    plan = changed(small_plan(), crop=crop)
    properties = ScanSource(image, grid, plan).properties
    shape = properties.prepared_shape
    start = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    size = tuple(data.draw(st.integers(1, total - first)) for first, total in zip(start, shape, strict=True))
    inside = (slice(None), *(slice(first, first + count) for first, count in zip(start, size, strict=True)))
    found = np.random.default_rng(seed).dirichlet((1, 1, 1), size).transpose(3, 0, 1, 2).astype(np.float32)
    whole = np.zeros((3, *shape), np.float32)
    whole[0] = 1
    whole[inside] = found
    expected = place_in_scan(restore_probabilities(whole, properties)[1:], properties)
    restored, within = restore_box(found, start, properties)  # type: ignore[arg-type]
    np.testing.assert_allclose(place_in_scan(restored[1:], within), expected, atol=1e-5)
    np.testing.assert_allclose(restored.sum(0), 1, atol=1e-5)
    assert to_ras(image, grid).shape[1:] == properties.ras_shape


def test_a_box_between_two_voxels_of_a_coarse_scan_reaches_none_of_them() -> None:
    """Prepared at 1 mm from slices of 5 mm, most slices of the prepared image lie between two of the scan's."""
    affine = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 5.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    grid = Grid(shape=(12, 12, 12), affine=affine)
    properties = ScanSource(
        noise(1, 1, 12, 12, 12), grid, changed(small_plan(), target_spacing_mm=(1, 1, 1))
    ).properties
    box = np.concatenate([np.zeros((1, 1, 1, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)])
    reached = [restore_box(box, (place, 3, 3), properties)[0] for place in range(properties.prepared_shape[0])]
    assert {float(found.sum(0).max()) for found in reached} == {1.0}
    assert 0 < sum(found[1].any() for found in reached) < len(reached)
