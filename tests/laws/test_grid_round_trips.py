"""From the scan to the network's grid and back to the scan's own."""

from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippopt.artifacts.grid import Grid
from hippopt.artifacts.plan import NormalisationSettings
from hippopt.batches.patches import cut
from hippopt.imaging.mask_parts import bounding_box
from hippopt.imaging.orientation import from_ras, ras_shape, ras_triple, to_ras
from hippopt.imaging.preparation import normalise, place_in_scan, prepare, restore_mask, restore_probabilities
from tests.laws.strategies import CODES, labels, noise, seeds, shapes, straight_grids
from tests.records import grid_of_code, small_plan

T = TypeVar("T")
SPARSE = {"background": 0, "anterior": 3, "posterior": 700}  # values in the files need not be 0, 1, 2


def one_hot(label: np.ndarray, classes: int = 3) -> np.ndarray:
    """(classes, Z, Y, X) float32."""
    return (label[None] == np.arange(classes)[:, None, None, None]).astype(np.float32)


def _stored(code: str, ras: tuple[T, T, T]) -> tuple[T, T, T]:
    """A (Z, Y, X) triple on RAS axes, such as a shape, as (Z, Y, X) of a file whose axes point as the letters say."""
    of = {"R": ras[2], "L": ras[2], "A": ras[1], "P": ras[1], "S": ras[0], "I": ras[0]}
    return (of[code[2]], of[code[1]], of[code[0]])


@given(grid=straight_grids(), seed=seeds)
def test_a_mask_comes_back_whatever_the_orientation(grid: Grid, seed: int) -> None:
    plan = small_plan(target_spacing_mm=ras_triple(grid.spacing_mm, grid), labels=SPARSE)
    mask = np.random.default_rng(seed).choice([0, 3, 700], grid.shape).astype(np.int16)
    case = prepare(noise(seed, 1, *grid.shape), grid, plan, mask)
    assert case.label is not None
    assert case.image.shape == (1, *ras_shape(grid)) and case.label.shape == ras_shape(grid)
    np.testing.assert_array_equal(np.array([0, 3, 700])[case.label], to_ras(mask, grid))
    restored = restore_mask(one_hot(case.label), case.properties, plan.label_values)
    np.testing.assert_array_equal(restored, mask)


@pytest.mark.parametrize("code", ["RAS", "LPS", "PIR", "LAS", "AIL"])
def test_the_network_sees_the_same_however_a_scan_is_stored(code: str) -> None:
    ras = grid_of_code("RAS", (9, 11, 7), (1.5, 1.0, 0.8))
    stored = grid_of_code(code, _stored(code, ras.shape), _stored(code, ras.spacing_mm))
    image, mask = noise(3, 1, *ras.shape), labels(4, ras.shape)
    plan = small_plan()
    plain = prepare(image, ras, plan, mask)
    turned = prepare(from_ras(image, stored), stored, plan, from_ras(mask, stored))
    assert ras_shape(stored) == ras.shape
    np.testing.assert_array_equal(turned.image, plain.image)
    np.testing.assert_array_equal(turned.label, plain.label)
    # and a result lies at the same places of the head
    probabilities = (
        np.random.default_rng(5).dirichlet((1, 1, 1), plain.image.shape[1:]).transpose(3, 0, 1, 2).astype(np.float32)
    )
    on_plain, on_turned = (restore_mask(probabilities, case.properties, (0, 1, 2)) for case in (plain, turned))
    assert on_turned.shape == stored.shape
    np.testing.assert_array_equal(to_ras(on_turned, stored), on_plain)


@given(shape=shapes(1, 7), seed=seeds, code=st.sampled_from(CODES), margin=st.tuples(*[st.integers(0, 3)] * 6))
def test_crop_and_pad(shape: tuple[int, int, int], seed: int, code: str, margin: tuple[int, ...]) -> None:
    inner = np.abs(noise(seed, 1, *shape)) + 1
    padded = np.pad(inner, ((0, 0), (margin[0], margin[1]), (margin[2], margin[3]), (margin[4], margin[5])))
    assert bounding_box(padded[0] != 0) == ((margin[0], margin[2], margin[4]), shape)
    grid = grid_of_code(code, _stored(code, (padded.shape[1], padded.shape[2], padded.shape[3])))
    stored = from_ras(padded, grid)
    mask = from_ras(
        np.pad(labels(seed, shape), ((margin[0], margin[1]), (margin[2], margin[3]), (margin[4], margin[5]))), grid
    )
    case = prepare(stored, grid, small_plan(crop="nonzero"), mask)
    assert case.properties.crop_start == (margin[0], margin[2], margin[4])
    assert case.properties.crop_shape == case.image.shape[1:] == shape
    np.testing.assert_array_equal(place_in_scan(inner, case.properties), stored)
    assert case.label is not None
    np.testing.assert_array_equal(restore_mask(one_hot(case.label), case.properties, (0, 1, 2)), mask)


def test_an_empty_scan_is_kept_whole() -> None:
    grid = grid_of_code("LPS", (4, 5, 6))
    case = prepare(np.zeros((1, 4, 5, 6), np.float32), grid, small_plan(crop="nonzero"))
    assert case.properties.crop_shape == (4, 5, 6) and case.label is None
    np.testing.assert_array_equal(case.image, 0)


@given(shape=shapes(2, 8), prepared=shapes(2, 8), seed=seeds)
def test_probabilities_stay_probabilities(
    shape: tuple[int, int, int], prepared: tuple[int, int, int], seed: int
) -> None:
    grid = grid_of_code("RAS", shape)
    target = tuple(count / new for count, new in zip(shape, prepared, strict=True))
    case = prepare(noise(seed, 1, *shape), grid, small_plan(target_spacing_mm=target))
    assert case.properties.prepared_shape == prepared
    probabilities = np.random.default_rng(seed).dirichlet((1, 1, 1), prepared).transpose(3, 0, 1, 2).astype(np.float32)
    restored = restore_probabilities(probabilities, case.properties)
    assert restored.shape == (3, *shape) and restored.min() > -1e-6
    np.testing.assert_allclose(restored.sum(0), 1, atol=1e-5)


@given(shape=shapes(1, 9), size=shapes(1, 9), start=st.tuples(*[st.integers(-12, 12)] * 3), seed=seeds)
def test_a_cut_is_padding_with_zeros_then_slicing(
    shape: tuple[int, int, int], size: tuple[int, int, int], start: tuple[int, int, int], seed: int
) -> None:
    array = noise(seed, 2, *shape)
    padded = np.pad(array, ((0, 0), *[(12, 24)] * 3))
    window = tuple(slice(12 + first, 12 + first + count) for first, count in zip(start, size, strict=True))
    np.testing.assert_array_equal(cut(array, start, size), padded[(slice(None), *window)])


@given(seed=seeds, scale=st.floats(0.01, 1e4), shift=st.floats(-1e5, 1e5))
def test_z_scores_forget_scale_and_shift(seed: int, scale: float, shift: float) -> None:
    settings = NormalisationSettings(scheme="zscore", region="image", clip_percentiles=(0.5, 99.5))
    image = np.random.default_rng(seed).gamma(2.0, size=(2, 5, 6, 7))
    found = normalise(image, settings)
    np.testing.assert_allclose(found.astype(np.float64).mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.astype(np.float64).std((1, 2, 3)), 1, atol=1e-5)
    np.testing.assert_allclose(normalise(image * scale + shift, settings), found, atol=1e-3)


@given(seed=seeds, rim=st.integers(1, 4))
def test_zeros_around_a_brain_do_not_count(seed: int, rim: int) -> None:
    settings = NormalisationSettings(scheme="zscore", region="nonzero", clip_percentiles=(0.0, 100.0))
    brain = np.random.default_rng(seed).normal(100, 20, (1, 4, 5, 6)).astype(np.float32)
    padded = np.pad(brain, ((0, 0), (rim, rim), (rim, rim), (rim, rim)))
    found = normalise(padded, settings)
    inside = (slice(None), *[slice(rim, -rim)] * 3)
    np.testing.assert_allclose(found[inside], normalise(brain, settings), atol=1e-5)
    assert not found[padded == 0].any()


def test_the_mask_of_a_large_scan_is_that_of_its_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = grid_of_code("PIR", (30, 40, 50), (0.5, 0.7, 1.3))
    plan = small_plan(crop="nonzero")
    image = np.zeros((1, *grid.shape), np.float32)
    image[:, 4:, 3:-2, 5:] = noise(0, 1, 26, 35, 45) + 9
    case = prepare(image, grid, plan)
    probabilities = np.exp(noise(1, 3, *case.properties.prepared_shape))
    probabilities /= probabilities.sum(0)
    classes = restore_probabilities(probabilities, case.properties).argmax(0).astype(np.uint8)
    monkeypatch.setattr("hippopt.imaging.resampling.SLAB_VALUES", 5000)
    np.testing.assert_array_equal(
        restore_mask(probabilities, case.properties, (0, 1, 2)), place_in_scan(classes, case.properties)
    )
