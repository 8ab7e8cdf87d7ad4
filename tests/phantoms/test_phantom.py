"""Laws of the synthetic scans: what a grid, an orientation, a side or a seed may change, and how hard they are."""

from dataclasses import replace
from functools import cache

import nibabel as nib
import numpy as np
import pytest

from hippopt.phantoms.anatomy import ANTERIOR, POSTERIOR, paint
from hippopt.phantoms.baseline import ThresholdBaseline, threshold_baseline
from hippopt.phantoms.phantom import Phantom, draw_phantom, render

SEEDS = range(30)
WINDOW_VOXELS = (48, 64, 48)


def draw(seed: int, *, mirrored: bool = False) -> Phantom:
    return draw_phantom(np.random.default_rng(seed), mirrored=mirrored)


@cache
def scan(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return render(draw(seed))


@cache
def baseline() -> ThresholdBaseline:
    scans = [(image.transpose(2, 1, 0), label.transpose(2, 1, 0)) for image, label, _ in map(scan, SEEDS)]
    return threshold_baseline(scans[:20], scans[20:])


def centroid_mm(label: np.ndarray, affine: np.ndarray, values: tuple[int, ...] = (1, 2)) -> np.ndarray:
    return nib.affines.apply_affine(affine, np.argwhere(np.isin(label, values))).mean(axis=0)


def noiseless(phantom: Phantom) -> Phantom:
    return replace(phantom, scanner=replace(phantom.scanner, noise_sigma=0.0))


def test_a_seed_gives_the_same_phantom_and_the_same_scan():
    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
    image, label, affine = render(draw(3))
    assert np.array_equal(image, scan(3)[0])
    assert np.array_equal(label, scan(3)[1])
    assert np.array_equal(affine, scan(3)[2])


def test_dtypes_and_intensities_are_those_of_a_scan():
    peaks = []
    for seed in SEEDS:
        image, label, affine = scan(seed)
        assert (image.dtype, label.dtype, affine.dtype) == (np.float32, np.uint8, np.float64)
        assert image.shape == label.shape
        assert np.isfinite(image).all()
        assert image.min() >= 0
        peaks.append(image.max())
    assert 100 <= min(peaks) < 1_000  # the range is logarithmic, so 30 seeds reach both of its ends
    assert 10_000 < max(peaks) <= 110_000


def test_both_labels_have_the_volume_of_a_hippocampus():
    volumes = np.array([[(scan(seed)[1] == value).sum() for value in (ANTERIOR, POSTERIOR)] for seed in SEEDS])
    whole = volumes.sum(axis=1)
    assert volumes.min() > 600
    assert whole.min() > 1_600
    assert whole.max() < 6_500
    assert 3_000 < whole.mean() < 4_000
    assert all(set(np.unique(scan(seed)[1])) == {0, ANTERIOR, POSTERIOR} for seed in SEEDS)


def test_every_crop_fits_one_window():
    for seed in SEEDS:
        assert all(size <= window for size, window in zip(scan(seed)[0].shape, WINDOW_VOXELS, strict=True))


def test_the_structure_is_cut_by_no_edge_of_the_crop():
    for seed in SEEDS:
        for axis in range(3):
            assert not scan(seed)[1].take([0, -1], axis=axis).any(), (seed, axis)


def test_the_head_is_anterior_below_lateral_of_and_wider_than_the_tail():
    apart = []
    for seed in SEEDS:
        _, label, affine = scan(seed)
        apart.append(centroid_mm(label, affine, (POSTERIOR,)) - centroid_mm(label, affine, (ANTERIOR,)))
        assert apart[-1][1] < -10
    medially, _, upward = np.mean(apart, axis=0)
    assert medially > 0.5
    assert upward > 3


@pytest.mark.parametrize("orientation", ["LPS", "LAS", "PIR", "SRA", "IAL"])
def test_an_orientation_only_reorders_voxels(orientation):
    phantom = draw(5)
    image, label, affine = render(phantom, (0.9, 1.0, 1.5), orientation)
    assert "".join(nib.aff2axcodes(affine)) == orientation
    ras_image, ras_label, ras_affine = render(phantom, (0.9, 1.0, 1.5))
    back = nib.as_closest_canonical(nib.Nifti1Image(image, affine))
    assert np.array_equal(np.asanyarray(back.dataobj), ras_image)
    assert np.allclose(back.affine, ras_affine, atol=1e-9)
    back = nib.as_closest_canonical(nib.Nifti1Image(label, affine))
    assert np.array_equal(np.asanyarray(back.dataobj), ras_label)


@pytest.mark.parametrize("orientation", ["RAX", "RLS", "RA", "RASA", "ras"])
def test_an_impossible_orientation_is_refused(orientation):
    with pytest.raises(ValueError, match=orientation):
        render(draw(0), (3, 3, 3), orientation)


def test_a_mirrored_twin_is_the_mirror_image_in_voxels_and_in_the_world():
    image, label, affine = scan(6)
    twin_image, twin_label, twin_affine = render(draw(6, mirrored=True))
    assert np.array_equal(twin_image, image[::-1])
    assert np.array_equal(twin_label, label[::-1])
    assert np.allclose(centroid_mm(twin_label, twin_affine), centroid_mm(label, affine) * (-1, 1, 1), atol=1e-9)
    assert centroid_mm(label, affine)[0] < 0 < centroid_mm(twin_label, twin_affine)[0]


@pytest.mark.parametrize("spacing_mm", [(0.9, 0.9, 0.9), (1.2, 1.2, 1.2), (1.0, 1.0, 1.5), (0.7, 1.5, 1.0)])
def test_a_spacing_keeps_place_volume_and_intensity(spacing_mm):
    for seed in range(3):
        phantom = noiseless(draw(seed))
        image, label, affine = render(phantom)
        other_image, other_label, other_affine = render(phantom, spacing_mm)
        assert nib.affines.voxel_sizes(other_affine) == pytest.approx(spacing_mm)
        for value in (ANTERIOR, POSTERIOR):
            assert (other_label == value).sum() * np.prod(spacing_mm) == pytest.approx((label == value).sum(), rel=0.05)
            assert np.allclose(
                centroid_mm(other_label, other_affine, (value,)), centroid_mm(label, affine, (value,)), atol=0.2
            )
        assert other_image.mean() == pytest.approx(image.mean(), rel=0.02)


def test_a_field_of_view_can_be_given():
    image, label, affine = render(draw(1), (1.0, 1.0, 2.0), "PIR", (50, 70, 60))
    assert image.shape == (70, 30, 50)
    own_label, own_affine = scan(1)[1:]
    assert np.allclose(centroid_mm(label, affine), centroid_mm(own_label, own_affine), atol=0.2)


def test_the_label_is_the_half_share_of_the_structure():
    """With white in the structure's place, what changes most is what it covers by more than half."""
    anatomy = draw(2).anatomy
    axis = np.arange(-22.0, 23)
    points = np.stack(np.meshgrid(axis, axis + 0.0, axis, indexing="ij")).astype(np.float32)
    low, label = paint(anatomy, points, 1.2)
    high, _ = paint(replace(anatomy, tissues=replace(anatomy.tissues, hippocampus=1.76)), points, 1.2)
    share = (high - low) / (1.76 - anatomy.tissues.hippocampus)
    assert np.array_equal(share > 0.5, label > 0)
    assert share.min() >= -1e-5
    assert share.max() <= 1 + 1e-5


def test_neighbours_have_the_structures_intensities():
    """In a typical crop more voxels outside than inside lie between the structure's own quartiles."""
    lookalikes = []
    for seed in SEEDS:
        image, label, _ = scan(seed)
        low, high = np.quantile(image[label > 0], (0.25, 0.75))
        alike = (image >= low) & (image <= high)
        lookalikes.append((alike & (label == 0)).sum() / (alike & (label > 0)).sum())
    assert np.median(lookalikes) > 1
    assert min(lookalikes) > 0.5


def test_white_matter_is_brighter_and_fluid_darker_than_the_structure():
    for seed in SEEDS:
        image, label, _ = scan(seed)
        structure = np.median(image[label > 0])
        assert structure < np.median(image[label == 0])
        assert (image < 0.75 * structure).mean() > 0.01


def test_no_threshold_inside_an_average_shape_solves_it():
    found = baseline()
    assert 0.35 < found.mean_foreground_dice < 0.65
    assert found.mean_foreground_dice == pytest.approx(np.mean(found.label_dice))
    assert found.whole_dice < 0.72


def test_the_baseline_agrees_with_thresholding_by_hand():
    image = np.zeros((4, 6, 4))
    label = np.zeros((4, 6, 4), np.uint8)
    label[1:3, 1:3, 1:3], label[1:3, 3:5, 1:3] = 1, 2
    image[label > 0] = 5
    perfect = threshold_baseline([(image, label)], [(image, label)])
    assert (perfect.mean_foreground_dice, perfect.whole_dice) == (1.0, 1.0)

    # half of label 2 is as dark as the background, which the exact shape does not mind but a wider one does
    wide = np.ones_like(label)
    wide[:, 3:] = 2
    dim = image.copy()
    dim[2, 3:5, 1:3] = 0
    found = threshold_baseline([(dim, wide)], [(dim, label)])
    assert found.label_dice == pytest.approx((1.0, 2 * 4 / (4 + 8)))
    assert found.whole_dice == pytest.approx(2 * 12 / (12 + 16))


def test_the_baseline_lays_scans_centre_on_centre():
    image, label, _ = scan(0)
    image, label = image.transpose(2, 1, 0), label.transpose(2, 1, 0)
    padding = ((2, 2), (3, 3), (1, 1))
    wider = (np.pad(image, padding, mode="edge"), np.pad(label, padding))
    assert threshold_baseline([(image, label)], [wider]).mean_foreground_dice > 0.99
