import numpy as np
import pytest

from hippopt.imaging.cross_sections import FEATURES, NEIGHBOURS_MM, best_borders, slice_features
from hippopt.imaging.mask_parts import largest_part


def test_features_of_a_box_that_doubles() -> None:
    """Area 4 x 3 in front of slice 8, 8 x 3 from there: medians 12 and 4 of the thirteen slices' majority."""
    inside = np.zeros((10, 20, 5), bool)
    inside[2:6, 3:11, 1:4] = True
    inside[2:10, 11:16, 1:4] = True
    features, first = slice_features(inside, 1, 1.0)
    assert first == 3 and features.shape == (13, FEATURES)
    here = NEIGHBOURS_MM.index(0.0)
    np.testing.assert_allclose(features[:, here], [0] * 8 + [np.log(2)] * 5)
    np.testing.assert_allclose(features[:, len(NEIGHBOURS_MM) + here], [0] * 8 + [np.log(2)] * 5)
    ahead = NEIGHBOURS_MM.index(4.0)
    np.testing.assert_allclose(
        features[:, ahead], [0] * 4 + [np.log(2)] * 9
    )  # four slices earlier; the last one repeats
    np.testing.assert_allclose(features[:, -2], (np.arange(13) + 0.5) / 13)
    np.testing.assert_allclose(features[:, -1], 13 - np.arange(13))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_is_the_one_that_is_asked_for(axis: int) -> None:
    inside = np.random.default_rng(0).random((9, 8, 7)) < 0.7
    moved = np.moveaxis(inside, axis, 1) if axis else inside.transpose(1, 0, 2)
    features, first = slice_features(inside, axis, 2.0)
    wanted, same = slice_features(np.ascontiguousarray(moved), 1, 2.0)
    area = len(NEIGHBOURS_MM)  # thickness depends on the order of the other axes
    assert first == same
    np.testing.assert_array_equal(features[:, :area], wanted[:, :area])


def test_finer_slices_look_as_many_millimetres_away() -> None:
    inside = np.zeros((4, 40, 4), bool)
    inside[:2, 5:24], inside[:, 24:35] = True, True
    coarse, _ = slice_features(inside[:, ::2], 1, 2.0)
    fine, _ = slice_features(inside, 1, 1.0)
    for mm in (-4.0, -2.0, 0.0, 2.0, 4.0):
        column = NEIGHBOURS_MM.index(mm)
        np.testing.assert_array_equal(fine[1::2, column][:10], coarse[:10, column])


def test_the_best_border_misplaces_as_little_as_any() -> None:
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 4, (3, 6, 2))
    (first, second), share = best_borders(classes, 1, (2, 1, 3))
    place = np.arange(6)[None, :, None]

    def wrong(border: int, before: tuple[int, ...], beyond: tuple[int, ...]) -> int:
        return int(
            (np.isin(classes, before) & (place >= border)).sum() + (np.isin(classes, beyond) & (place < border)).sum()
        )

    by_hand = [
        min(wrong(border, (2,), (1, 3)) for border in range(7)),
        min(wrong(border, (2, 1), (3,)) for border in range(7)),
    ]
    assert [wrong(first, (2,), (1, 3)), wrong(second, (2, 1), (3,))] == by_hand
    assert share == sum(by_hand) / np.isin(classes, (1, 2, 3)).sum()


def test_the_largest_part_stays() -> None:
    inside = np.zeros((5, 5, 5), bool)
    inside[0, 0, 0] = inside[2:4, 2:4, 2:4] = True
    assert largest_part(inside).sum() == 8 and not largest_part(inside)[0, 0, 0]
    inside[1, 1, 1] = True  # joins them over corners
    assert largest_part(inside).sum() == 10
