"""Resizing by matrices is scikit-image's resize; labels follow from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import resize as reference

from hippopt.imaging.resampling import (
    resample_image,
    resample_label,
    resampled_shape,
    resize,
    resize_axes,
    resize_slabs,
    separate_axis,
)
from tests.laws.strategies import labels, noise, seeds, shapes, spacings_mm


@pytest.mark.parametrize("order", [0, 1, 3])
@given(old=shapes(1, 12), new=shapes(1, 15), seed=seeds)
def test_equals_scikit_image(order: int, old: tuple[int, int, int], new: tuple[int, int, int], seed: int) -> None:
    array = noise(seed, *old)
    wanted = reference(array.astype(np.float64), new, order=order, mode="edge", anti_aliasing=False, clip=False)
    np.testing.assert_allclose(
        resize(array, new, order), wanted, atol=1e-5
    )  # float32: 3 products of at most 12 terms near 1


@given(old=shapes(2, 8), new=shapes(2, 8), seed=seeds, apart=st.sampled_from([None, 0, 1, 2]))
def test_channels_are_apart_and_an_axis_may_be(
    old: tuple[int, int, int], new: tuple[int, int, int], seed: int, apart: int | None
) -> None:
    image = noise(seed, 2, *old)
    both = resample_image(image, new, apart)
    for channel in range(2):
        np.testing.assert_array_equal(both[channel], resample_image(image[channel : channel + 1], new, apart)[0])
    if apart is not None:  # along the axis apart each new sample is a copy of one old one
        shape = tuple(new[axis] if axis == apart else old[axis] for axis in range(3))
        nearest = reference(image[0], shape, order=0, mode="edge", anti_aliasing=False)
        in_plane = (1 if apart == 0 else 3, 1 if apart == 1 else 3, 1 if apart == 2 else 3)
        np.testing.assert_allclose(both[0], resize_axes(nearest, new, in_plane), atol=1e-5)


@given(shape=shapes(), seed=seeds, apart=st.sampled_from([None, 0, 1, 2]))
def test_on_its_own_grid_nothing_changes(shape: tuple[int, int, int], seed: int, apart: int | None) -> None:
    label, image = labels(seed, shape), noise(seed, 1, *shape)
    np.testing.assert_array_equal(resample_label(label, shape, 3, apart), label)
    np.testing.assert_array_equal(resample_image(image, shape, apart), image)


@given(old=shapes(1, 9), new=shapes(1, 11), seed=seeds)
def test_labels_are_argmax_of_linear_one_hot(old: tuple[int, int, int], new: tuple[int, int, int], seed: int) -> None:
    label = labels(seed, old)
    shares = np.stack(
        [
            reference((label == value).astype(np.float64), new, order=1, mode="edge", anti_aliasing=False)
            for value in range(3)
        ]
    )
    found = resample_label(label, new, 3, None)
    first, second = np.sort(shares, 0)[:-3:-1]
    clear = first - second > 1e-5  # elsewhere two classes tie
    np.testing.assert_array_equal(found[clear], shares.argmax(0)[clear])
    assert found.dtype == np.uint8
    chosen = np.take_along_axis(shares, found[None].astype(int), 0)[0]
    np.testing.assert_allclose(chosen, first, atol=1e-5)


@given(old=shapes(1, 9), new=shapes(1, 11), value=st.floats(-100, 100), order=st.sampled_from([0, 1, 3]))
def test_constants_stay(old: tuple[int, int, int], new: tuple[int, int, int], value: float, order: int) -> None:
    np.testing.assert_allclose(resize(np.full(old, value), new, order), value, atol=1e-3)


@given(old=shapes(1, 9), new=shapes(1, 9), seed=seeds, order=st.sampled_from([1, 3]))
def test_mirrored_input_gives_mirrored_output(
    old: tuple[int, int, int], new: tuple[int, int, int], seed: int, order: int
) -> None:
    array = noise(seed, *old)
    np.testing.assert_allclose(resize(array[:, :, ::-1], new, order)[:, :, ::-1], resize(array, new, order), atol=1e-5)


@given(shape=shapes(1, 60), spacing=spacings_mm, target=spacings_mm)
def test_the_field_of_view_is_kept(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], target: tuple[float, float, float]
) -> None:
    new = resampled_shape(shape, spacing, target)
    assert resampled_shape(shape, spacing, spacing) == shape
    for count, step, found, wanted in zip(shape, spacing, new, target, strict=True):
        assert found >= 1
        assert found == 1 or abs(found * wanted - count * step) <= wanted / 2 + 1e-9


@pytest.mark.parametrize(
    ("scan", "target", "axis"),
    [
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), None),
        ((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), None),  # three times is not more than three times
        ((3.1, 1.0, 1.0), (1.0, 1.0, 1.0), 0),
        ((1.0, 1.0, 5.0), (1.0, 1.0, 1.0), 2),
        ((1.0, 1.0, 1.0), (1.0, 4.0, 1.0), 1),  # the target's coarse axis counts where the scan has none
        ((0.3, 1.2, 1.2), (1.0, 1.0, 1.0), None),  # two coarse axes: no plane to stay in
    ],
)
def test_the_axis_apart(scan: tuple[float, float, float], target: tuple[float, float, float], axis: int | None) -> None:
    assert separate_axis(scan, target) == axis


@given(old=shapes(1, 20), new=shapes(1, 24), seed=seeds, values=st.integers(1, 4000), order=st.sampled_from([0, 1, 3]))
def test_slabs_are_the_whole_to_the_last_bit(
    old: tuple[int, int, int], new: tuple[int, int, int], seed: int, values: int, order: int
) -> None:
    array = noise(seed, 2, *old)
    whole, found = resize(array, new, order), np.full((2, *new), np.nan, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hippopt.imaging.resampling.SLAB_VALUES", values)
        for where, part in resize_slabs(array, new, order):
            assert np.isnan(found[(slice(None), *where)]).all()  # nothing comes twice
            found[(slice(None), *where)] = part
    np.testing.assert_array_equal(found, whole)


def test_slabs_of_a_large_array_are_the_whole_to_the_last_bit() -> None:
    array = noise(0, 3, 40, 60, 50)
    for new in ((80, 120, 100), (40, 120, 100), (80, 31, 77), (13, 60, 99)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hippopt.imaging.resampling.SLAB_VALUES", 200_000)
            parts = list(resize_slabs(array, new, 1))
        assert len(parts) > 1
        whole = resize(array, new, 1)
        for where, part in parts:
            np.testing.assert_array_equal(part, whole[(slice(None), *where)])
