"""Where patches lie: inside a larger image, around a smaller one, on the voxel they were asked to hold."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hippopt.artifacts.triples import Voxels
from hippopt.batches.patches import JITTER_VOXELS, TrainingCase, centre_start, draw_start
from tests.laws.strategies import labels, seeds, shapes


def case_of(label: np.ndarray) -> TrainingCase:
    """A case whose arrays are in memory."""
    case = TrainingCase("case", None, None)  # type: ignore[arg-type]
    case.__dict__["label"] = label
    return case


def check_place(start: Voxels, shape: Voxels, patch: Voxels) -> None:
    for first, size, want in zip(start, shape, patch, strict=True):
        if size >= want:
            assert 0 <= first <= size - want  # inside
        else:
            assert size - want <= first <= 0  # covers the image


@given(shape=shapes(1, 12), patch=shapes(1, 12), seed=seeds, on_foreground=st.booleans())
def test_a_drawn_patch_stays_inside_or_covers(shape: Voxels, patch: Voxels, seed: int, on_foreground: bool) -> None:
    case = case_of(labels(seed, shape))
    start = draw_start(case, patch, on_foreground, np.random.default_rng(seed))
    check_place(start, shape, patch)
    assert draw_start(case, patch, on_foreground, np.random.default_rng(seed)) == start


@given(shape=shapes(1, 12), patch=shapes(1, 12), seed=seeds)
def test_a_foreground_patch_holds_foreground(shape: Voxels, patch: Voxels, seed: int) -> None:
    label = np.zeros(shape, np.uint8)
    rng = np.random.default_rng(seed)
    label[tuple(int(rng.integers(size)) for size in shape)] = 2
    start = draw_start(case_of(label), patch, True, rng)
    assert label[tuple(slice(max(first, 0), first + want) for first, want in zip(start, patch, strict=True))].any()


def test_every_class_is_drawn_alike_however_small() -> None:
    label = np.ones((1, 1, 1001), np.uint8)
    label[..., 1000] = 2
    rng = np.random.default_rng(0)
    starts = [draw_start(case_of(label), (1, 1, 1), True, rng)[2] for _ in range(400)]
    # 1 voxel of 1001, yet half of the draws: 200 +- 5 standard deviations of 10
    assert 150 < starts.count(1000) < 250


@given(shape=shapes(1, 12), patch=shapes(1, 30), seed=seeds)
def test_a_smaller_image_lies_near_the_middle_of_its_patch(shape: Voxels, patch: Voxels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = case_of(labels(seed, shape))
    for _ in range(5):
        start, middle = draw_start(case, patch, True, rng), centre_start(shape, patch)
        for first, centre, size, want in zip(start, middle, shape, patch, strict=True):
            assert size >= want or abs(first - centre) <= JITTER_VOXELS


def test_places_in_a_larger_patch_vary() -> None:
    rng = np.random.default_rng(0)
    drawn = {draw_start(case_of(np.zeros((4, 20, 4), np.uint8)), (6, 16, 4), False, rng) for _ in range(300)}
    assert drawn == {(z, y, 0) for z in (-2, -1, 0) for y in range(5)}


@given(shape=shapes(1, 12), patch=shapes(1, 12), centre=st.tuples(*[st.integers(0, 11)] * 3))
def test_the_central_patch(shape: Voxels, patch: Voxels, centre: Voxels) -> None:
    check_place(centre_start(shape, patch), shape, patch)
    inside = (min(centre[0], shape[0] - 1), min(centre[1], shape[1] - 1), min(centre[2], shape[2] - 1))
    start = centre_start(shape, patch, inside)
    check_place(start, shape, patch)
    assert all(first <= middle < first + want for first, middle, want in zip(start, inside, patch, strict=True))


def test_foreground_is_thinned_but_never_lost() -> None:
    label = np.zeros((30, 30, 30), np.uint8)
    label[5:] = 1
    label[0, 0, 0] = 7
    many, few = case_of(label).foreground
    assert few.tolist() == [[0, 0, 0]]
    assert 5000 <= len(many) < 10000 and (label[tuple(many.T)] == 1).all()
