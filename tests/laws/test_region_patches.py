"""Training patches of located scans: around a region's middle within
the jitter, some elsewhere; right windows as the network sees them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.regions import LEFT, RIGHT
from hippopt.batches.augmentation import PatchLoader
from hippopt.batches.locator_batches import CoarseCase, LocatorAugmentation, locator_batch
from hippopt.batches.patches import TrainingCase
from hippopt.batches.region_patches import as_network_sees, draw_place, region_middles
from hippopt.training.locator import swapped_regions
from hippopt.training.quick_validation import region_windows
from tests.inference.test_sides import relabelled, sided_plan
from tests.records import changed

SHAPE = (40, 40, 80)
MIDDLES = {LEFT: (20, 18, 20), RIGHT: (22, 18, 60)}
HALF = (3, 5, 4)


@pytest.fixture
def case(tmp_path: Path) -> TrainingCase:
    """Class 2 (48, left) and class 1 (47, right) in boxes around MIDDLES; the image holds the same values."""
    label = np.zeros(SHAPE, np.uint8)
    for side, value in ((LEFT, 2), (RIGHT, 1)):
        label[tuple(slice(middle - half, middle + half) for middle, half in zip(MIDDLES[side], HALF, strict=True))] = (
            value
        )
    made = TrainingCase("case", tmp_path / "image.npy", tmp_path / "label.npy")
    np.save(made.image_path, label[None].astype(np.float32))
    np.save(made.label_path, label)
    return made


def starts(case: TrainingCase, plan: Plan, count: int = 400) -> tuple[np.ndarray, Sequence[str]]:
    rng = np.random.default_rng(0)
    drawn = [draw_place(case, plan, rng) for _ in range(count)]
    return np.array([start for start, _ in drawn]), [region for _, region in drawn]


def test_patches_lie_around_the_regions_within_the_jitter(case: TrainingCase) -> None:
    plan = sided_plan(patches_elsewhere=0.0, jitter_mm=4.0)
    assert dict(region_middles(case, plan)) == MIDDLES
    found, regions = starts(case, plan)
    middles = found + np.array(plan.patch_size) // 2
    away = np.abs(middles - np.array([MIDDLES[region] for region in regions]))
    assert away.max() == 4 and away.min() == 0
    assert 150 < regions.count(LEFT) < 250


def test_some_patches_lie_elsewhere(case: TrainingCase) -> None:
    plan = changed(sided_plan(patches_elsewhere=0.25, jitter_mm=4.0), foreground_oversampling=0.0)
    found, _ = starts(case, plan)
    middles = found + np.array(plan.patch_size) // 2
    far = np.min([np.abs(middles - np.array(middle)).max(1) for middle in MIDDLES.values()], 0) > 4
    # a quarter of 400 is elsewhere, of which few happen to lie near a region
    assert 60 < far.sum() <= 140


def test_a_patch_of_a_case_without_labels_lies_anywhere(case: TrainingCase, tmp_path: Path) -> None:
    np.save(case.label_path, np.zeros(SHAPE, np.uint8))
    found, _ = starts(case, sided_plan(patches_elsewhere=0.0), 100)
    assert np.ptp(found[:, 2]) > 40


def test_a_network_of_one_side_sees_only_that_side_and_the_right_one_mirrored(case: TrainingCase) -> None:
    plan = sided_plan(mirror=True)
    image, label = np.asarray(case.image), np.asarray(case.label)
    left = as_network_sees(image, label, plan, LEFT)
    assert left[0] is image and (left[1] == (label == 2)).all()
    right = as_network_sees(image, label, plan, RIGHT)
    assert (right[0] == image[..., ::-1]).all() and (right[1] == (label == 1)[..., ::-1]).all()
    plain = sided_plan()
    assert (as_network_sees(image, label, plain, RIGHT)[1] == label).all()


@pytest.mark.parametrize("mirror", [False, True])
def test_batches_and_quick_looks_agree_on_what_the_network_sees(case: TrainingCase, mirror: bool) -> None:
    """Image and label hold the same boxes, so a label is right where the image has its value."""
    plan = changed(sided_plan(mirror, patches_elsewhere=0.0, jitter_mm=2.0), augmentation__flip_axes=())
    images, labels = region_windows([case], plan)
    batch = PatchLoader([case], plan, 0, 0, 0).batch(3)
    for image, label in ((images, labels), (batch["image"], batch["label"][:, 0])):
        seen = torch.round(image[:, 0])
        assert (label.bool() == (seen > 0)).all() and label.any()
        assert set(label.unique().tolist()) <= ({0, 1} if mirror else {0, 1, 2})
        if not mirror:
            assert (label == seen).all()


def coarse(seed: int) -> CoarseCase:
    regions = torch.zeros((3, 16, 16, 24))
    regions[1, 6:10, 6:10, 4:8], regions[2, 6:10, 6:10, 16:20] = 1, 1
    regions[0] = 1 - regions[1:].sum(0)
    image = torch.randn((1, 16, 16, 24), generator=torch.Generator().manual_seed(seed)) + 4 * regions[1:].sum(0)
    return CoarseCase(image, regions, torch.zeros(1))


def test_locator_batches_are_functions_of_seed_and_index_and_flips_swap_sides() -> None:
    settings = LocatorAugmentation((16, 16, 24), (0, 2, 1), True)
    cases = [coarse(0), coarse(1)]
    image, regions = locator_batch(cases, settings, 3, 5, 7)
    again = locator_batch(cases, settings, 3, 5, 7)
    assert torch.equal(image, again[0]) and torch.equal(regions, again[1])
    assert not torch.equal(image, locator_batch(cases, settings, 3, 5, 8)[0])
    assert torch.equal(regions.sum(1), torch.ones(3, 16, 16, 24)) and torch.isfinite(image).all()
    columns = torch.arange(24)
    both = 0
    for index in range(20):
        found = locator_batch(cases, settings, 2, 1, index)[1]
        for left, right in zip(found[:, 1], found[:, 2], strict=True):
            if left.sum() > 20 and right.sum() > 20:
                both += 1
                # whether flipped or not, the left region stays on the left: turns are of at most 20 degrees
                assert (left.sum((0, 1)) * columns).sum() / left.sum() < (
                    right.sum((0, 1)) * columns
                ).sum() / right.sum()
    assert both > 10


def test_regions_that_flips_exchange() -> None:
    assert swapped_regions(sided_plan()) == (0, 2, 1)
    alone = relabelled(sided_plan(), {"background": 0, "a_left": 1}, {"a_left": "left"})
    assert swapped_regions(alone) is None
    assert swapped_regions(relabelled(sided_plan(), {"background": 0, "a": 1, "b": 2}, {})) == (0, 1)
