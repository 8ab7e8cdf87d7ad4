"""Metrics: cases worked out by hand, laws, and two peers (brute force, MONAI)."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hippopt.errors import DatasetError
from hippopt.scoring.metrics import (
    EMPTY_RULE,
    LabelScore,
    directed_distances_mm,
    hd95_mm,
    mean_surface_distance_mm,
    normalised_surface_dice,
    score_case,
    score_label,
    surface_points_mm,
)

SPACING = (2.0, 0.5, 0.7)
SHAPE = (6, 7, 5)
LABELS = {"left": 1, "right": 2}

label_maps = arrays(np.uint8, SHAPE, elements=st.integers(0, 2))
spacings = st.tuples(*[st.sampled_from([0.3, 0.5, 0.7, 1.0, 1.3, 2.0])] * 3)
quick = settings(max_examples=40, deadline=None)


def box(start: tuple[int, int, int], stop: tuple[int, int, int], shape: tuple[int, ...] = (12, 12, 12)) -> np.ndarray:
    array = np.zeros(shape, dtype=np.uint8)
    array[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))] = 1
    return array


def only(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, float, float]) -> LabelScore:
    return score_case(prediction, reference, spacing_mm, {"it": 1})[0]


def numbers(score: LabelScore) -> list[float]:
    return [value for value in vars(score).values() if isinstance(value, float)]


def brute_force(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...]) -> dict[str, float]:
    """Surface metrics by looking at every voxel's neighbours and at every pair of surface voxels."""

    def surface(mask: np.ndarray) -> np.ndarray:
        found = []
        for voxel in np.argwhere(mask):
            for axis in range(3):
                for step in (-1, 1):
                    other = voxel.copy()
                    other[axis] += step
                    inside = ((other >= 0) & (other < mask.shape)).all() and mask[tuple(other)]
                    if not inside:
                        found.append(tuple(voxel))
        return np.array(sorted(set(found))) * spacing_mm

    p, r = surface(prediction), surface(reference)
    distance = np.sqrt(((p[:, None] - r[None]) ** 2).sum(axis=2))
    forth, back = distance.min(axis=1), distance.min(axis=0)
    pooled = np.concatenate([forth, back])
    return {
        "hd95_mm": max(np.percentile(forth, 95), np.percentile(back, 95)),
        "nsd_1mm": float(np.mean(pooled <= 1.0 + 1e-5)),
        "msd_mm": float(np.mean(pooled)),
    }


# by hand


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cube_moved_by_one_voxel_along_an_anisotropic_axis(axis: int) -> None:
    # a 4-cube has 56 surface voxels. Moved by one: the 16 of its leading face lie one step outside the other cube; the
    # 4 inner ones of its trailing face lie inside the other cube, one voxel from three of its faces, so that the
    # smallest spacing counts; the other 36 lie on the other's surface. By mirroring the same holds the other way.
    reference = box((3, 3, 3), (7, 7, 7))
    score = only(np.roll(reference, 1, axis), reference, SPACING)
    step = SPACING[axis]
    assert score.hd95_mm == pytest.approx(step)
    assert score.msd_mm == pytest.approx((16 * step + 4 * min(SPACING)) / 56)
    assert score.nsd_1mm == pytest.approx(40 / 56 if step > 1 else 1.0)
    assert score.dice == pytest.approx(48 / 64)
    assert score.volume_difference_mm3 == 0
    assert score.note == ""


def test_hd95_is_the_larger_direction_not_the_pooled_percentile() -> None:
    # single voxel against a row of 5 along x: forth = {0}; back = {0, 1, 2, 3, 4} mm, its 95th percentile 3.8 mm.
    # Pooled, {0, 0, 1, 2, 3, 4} would give 3.75 mm.
    voxel, row = box((5, 5, 5), (6, 6, 6)), box((5, 5, 5), (6, 6, 10))
    for score in (only(voxel, row, (1, 1, 1)), only(row, voxel, (1, 1, 1))):
        assert score.hd95_mm == pytest.approx(3.8)
        assert score.msd_mm == pytest.approx(10 / 6)
        assert score.nsd_1mm == pytest.approx(3 / 6)  # 0, 0 and the one at exactly 1 mm


def test_volumes_are_signed_and_relative_to_the_reference() -> None:
    score = only(box((0, 0, 0), (2, 2, 3)), box((0, 0, 0), (2, 2, 2)), SPACING)
    assert score.volume_predicted_mm3 == pytest.approx(12 * 0.7)
    assert score.volume_reference_mm3 == pytest.approx(8 * 0.7)
    assert score.volume_difference_mm3 == pytest.approx(4 * 0.7)
    assert score.volume_difference_percent == pytest.approx(50.0)
    assert only(box((0, 0, 0), (2, 2, 1)), box((0, 0, 0), (2, 2, 2)), SPACING).volume_difference_percent == -50.0


def test_spacing_is_in_the_order_of_the_axes() -> None:
    reference = box((3, 3, 3), (5, 5, 5))
    moved = [only(np.roll(reference, 5, axis), reference, (1.0, 2.0, 3.0)).hd95_mm for axis in range(3)]
    assert moved == pytest.approx([5.0, 10.0, 15.0])


def test_one_millimetre_written_as_float32_stays_within_the_tolerance() -> None:
    reference = box((3, 3, 3), (7, 7, 7))
    assert only(np.roll(reference, 1, 0), reference, (1.0000002, 1.0, 1.0)).nsd_1mm == 1.0
    assert only(np.roll(reference, 1, 0), reference, (1.001, 1.0, 1.0)).nsd_1mm < 1.0


def test_mask_that_touches_the_array_edge_has_its_surface_there() -> None:
    full = np.ones((4, 4, 4), dtype=bool)
    assert len(surface_points_mm(full, (1, 1, 1))) == 56


# empty labels


def test_absent_in_both() -> None:
    (score,) = score_case(np.zeros(SHAPE, int), np.zeros(SHAPE, int), SPACING, {"it": 1})
    assert numbers(score) == [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert score.note == "absent in both"
    assert score.note in EMPTY_RULE


@pytest.mark.parametrize("present", ["prediction", "reference"])
def test_present_in_one_only(present: str) -> None:
    full, empty = box((1, 1, 1), (3, 3, 3)), np.zeros((12, 12, 12), np.uint8)
    score = only(full, empty, (1, 1, 1)) if present == "prediction" else only(empty, full, (1, 1, 1))
    assert score.dice == score.nsd_1mm == 0.0
    assert math.isnan(score.hd95_mm)
    assert math.isnan(score.msd_mm)
    assert score.note == ("absent in reference" if present == "prediction" else "missing in prediction")
    assert score.note in EMPTY_RULE
    if present == "prediction":
        assert score.volume_difference_mm3 == 8.0
        assert math.isnan(score.volume_difference_percent)
    else:
        assert score.volume_difference_mm3 == -8.0
        assert score.volume_difference_percent == -100.0


def test_labels_are_scored_apart_in_the_given_order_and_others_ignored() -> None:
    reference = np.zeros((8, 8, 8), np.int16)
    reference[1:3, 1:3, 1:3], reference[5:7, 5:7, 5:7], reference[0, 0, 7] = 17, 53, 99
    prediction = np.where(reference == 53, 0, reference)
    right, left = score_case(prediction, reference, (1, 1, 1), {"right": 53, "left": 17})
    assert (right.label, right.dice, right.note) == ("right", 0.0, "missing in prediction")
    assert (left.label, left.dice, left.hd95_mm, left.note) == ("left", 1.0, 0.0, "")


# faults


def test_all_faults_are_named_together() -> None:
    with pytest.raises(DatasetError) as caught:
        score_case(np.zeros((3, 3, 3)), np.zeros((3, 3), int), (1.0, 0.0, 1.0), {"it": 1})
    for part in ("(3, 3, 3)", "2 axes", "float64", "(1.0, 0.0, 1.0)"):
        assert part in str(caught.value)


def test_shape_mismatch() -> None:
    with pytest.raises(DatasetError, match=r"\(3, 3, 3\).*\(3, 3, 4\)"):
        score_case(np.zeros((3, 3, 3), int), np.zeros((3, 3, 4), int), (1, 1, 1), {"it": 1})


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, math.nan), (1, 1, math.inf), (-1, 1, 1)])
def test_impossible_spacing(spacing: tuple[float, ...]) -> None:
    with pytest.raises(DatasetError, match="spacing"):
        score_case(np.zeros(SHAPE, int), np.zeros(SHAPE, int), spacing, {"it": 1})


def test_background_is_no_label() -> None:
    with pytest.raises(ValueError, match="background"):
        score_case(np.zeros(SHAPE, int), np.zeros(SHAPE, int), SPACING, {"background": 0, "it": 1})


# laws


@quick
@given(label_maps, label_maps, spacings)
def test_swapping_keeps_all_but_the_volumes(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float]) -> None:
    for one, two in zip(score_case(a, b, spacing, LABELS), score_case(b, a, spacing, LABELS), strict=True):
        symmetric = [[s.dice, s.hd95_mm, s.nsd_1mm, s.msd_mm, abs(s.volume_difference_mm3)] for s in (one, two)]
        np.testing.assert_allclose(symmetric[0], symmetric[1], rtol=1e-12)
        assert one.volume_difference_mm3 == -two.volume_difference_mm3


@quick
@given(label_maps, label_maps, st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4))] * 3))
def test_padding_and_moving_both_changes_nothing(a: np.ndarray, b: np.ndarray, pads: tuple[tuple[int, int]]) -> None:
    expected = score_case(a, b, SPACING, LABELS)
    for one, two in zip(expected, score_case(np.pad(a, pads), np.pad(b, pads), SPACING, LABELS), strict=True):
        np.testing.assert_array_equal(numbers(one), numbers(two))
        assert one.note == two.note


@quick
@given(label_maps, label_maps, st.permutations(range(3)), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_turning_and_mirroring_both_changes_nothing(
    a: np.ndarray,
    b: np.ndarray,
    order: list[int],
    flips: tuple[bool, bool, bool],
) -> None:
    axes = tuple(axis for axis, flip in enumerate(flips) if flip)
    turned_a, turned_b = (np.flip(array.transpose(order), axes) for array in (a, b))
    spacing = [SPACING[axis] for axis in order]
    for one, two in zip(
        score_case(a, b, SPACING, LABELS), score_case(turned_a, turned_b, spacing, LABELS), strict=True
    ):
        np.testing.assert_allclose(numbers(one), numbers(two), rtol=1e-12, atol=1e-12)


@quick
@given(label_maps, label_maps, st.floats(0.1, 10))
def test_scaling_the_spacing_scales_distances_and_volumes(a: np.ndarray, b: np.ndarray, factor: float) -> None:
    scaled = tuple(factor * step for step in SPACING)
    for one, two in zip(score_case(a, b, SPACING, LABELS), score_case(a, b, scaled, LABELS), strict=True):
        np.testing.assert_allclose([two.hd95_mm, two.msd_mm], np.multiply(factor, [one.hd95_mm, one.msd_mm]), rtol=1e-9)
        assert two.volume_predicted_mm3 == pytest.approx(factor**3 * one.volume_predicted_mm3)
        assert two.dice == one.dice
        assert two.volume_difference_percent == pytest.approx(one.volume_difference_percent, nan_ok=True)


@quick
@given(label_maps, label_maps, spacings)
def test_ranges(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float]) -> None:
    farthest = math.hypot(*(step * (size - 1) for step, size in zip(spacing, SHAPE, strict=True)))
    for score in score_case(a, b, spacing, LABELS):
        assert 0 <= score.dice <= 1
        assert 0 <= score.nsd_1mm <= 1
        if not math.isnan(score.hd95_mm):
            assert 0 <= score.hd95_mm <= farthest + 1e-9
            assert 0 <= score.msd_mm <= farthest + 1e-9


@quick
@given(label_maps, spacings)
def test_a_label_map_agrees_with_itself(a: np.ndarray, spacing: tuple[float, float, float]) -> None:
    for score in score_case(a, a, spacing, LABELS):
        assert (score.dice, score.hd95_mm, score.nsd_1mm, score.msd_mm, score.volume_difference_percent) == (
            1,
            0,
            1,
            0,
            0,
        )


@quick
@given(label_maps, label_maps, st.floats(0, 5), st.floats(0, 5))
def test_nsd_grows_with_its_tolerance(a: np.ndarray, b: np.ndarray, one: float, other: float) -> None:
    if (a == 1).any() and (b == 1).any():
        both = directed_distances_mm(a == 1, b == 1, SPACING)
        assert normalised_surface_dice(*both, min(one, other)) <= normalised_surface_dice(*both, max(one, other))


# peers


def blobs(seed: int, shape: tuple[int, int, int] = (14, 12, 13)) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping smooth masks with holes and specks, from one generator."""
    from scipy.ndimage import gaussian_filter

    generator = np.random.default_rng(seed)
    common, first, second = (gaussian_filter(generator.normal(size=shape), 1.2) for _ in range(3))
    return common + 0.4 * first > 0.1, common + 0.4 * second > 0.1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), SPACING])
def test_agrees_with_brute_force(seed: int, spacing: tuple[float, float, float]) -> None:
    prediction, reference = blobs(seed)
    score = score_label("it", prediction, reference, spacing)
    for name, expected in brute_force(prediction, reference, spacing).items():
        assert getattr(score, name) == pytest.approx(expected, rel=1e-12), name


@settings(max_examples=30, deadline=None)
@given(label_maps, label_maps, spacings)
def test_agrees_with_brute_force_on_noise(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float]) -> None:
    if (a == 1).any() and (b == 1).any():
        score = score_label("it", a == 1, b == 1, spacing)
        for name, expected in brute_force(a == 1, b == 1, spacing).items():
            assert getattr(score, name) == pytest.approx(expected, rel=1e-12, abs=1e-12), name


def test_agrees_with_monai() -> None:
    torch = pytest.importorskip("torch")
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    spacing = [1.3, 0.5, 0.7]  # no sum of squares falls on 1 mm, where MONAI's float32 may land on either side
    for seed in range(3):
        prediction, reference = blobs(seed)
        score = score_label("it", prediction, reference, spacing)
        p, r = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (prediction, reference))
        peers = {
            "dice": compute_dice(p, r),
            "hd95_mm": compute_hausdorff_distance(p, r, include_background=True, percentile=95, spacing=spacing),
            "nsd_1mm": compute_surface_dice(p, r, [1.0], include_background=True, spacing=spacing),
            "msd_mm": compute_average_surface_distance(p, r, include_background=True, symmetric=True, spacing=spacing),
        }
        for name, value in peers.items():
            assert getattr(score, name) == pytest.approx(value.item(), rel=1e-5), (seed, name)


def test_directed_sets_by_hand() -> None:
    forth, back = np.array([0.0, 0.0, 3.0]), np.array([1.0])
    assert hd95_mm(forth, back) == pytest.approx(2.7)
    assert mean_surface_distance_mm(forth, back) == pytest.approx(1.0)
    assert normalised_surface_dice(forth, back) == pytest.approx(3 / 4)


def test_distances_of_an_empty_mask_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        directed_distances_mm(np.zeros(SHAPE, bool), np.ones(SHAPE, bool), SPACING)
