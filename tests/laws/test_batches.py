"""Batches are functions of (seed, index), mirrors swap sides, and without augmentation a patch is a plain cut."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hippopt.artifacts.plan import AugmentationSettings, Plan
from hippopt.artifacts.sides import Side, side_classes
from hippopt.batches.augmentation import MirrorWithSwap, PatchLoader, open_batches, swap_classes
from hippopt.batches.patches import TrainingCase, cut, draw_start
from tests.laws.strategies import labels, noise, seeds, shapes
from tests.records import changed, small_plan

EVERYTHING = {f"augmentation__{name}": 1.0 for name in AugmentationSettings.__struct_fields__ if name.startswith("p_")}
PATCH = (16, 16, 16)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    """Smaller than, as large as, and larger than the patch."""
    folder = tmp_path_factory.mktemp("cases")
    made = []
    for number, shape in enumerate([(12, 15, 9), (16, 16, 16), (20, 30, 25)]):
        case = TrainingCase(f"case_{number}", folder / f"{number}.npy", folder / f"{number}_label.npy")
        np.save(case.image_path, noise(number, 1, *shape))
        np.save(case.label_path, labels(number, shape))
        made.append(case)
    return made


def augmented() -> Plan:
    return changed(small_plan(patch_size=PATCH), **EVERYTHING)


@pytest.mark.parametrize("name", [name for name in AugmentationSettings.__struct_fields__ if name.startswith("p_")])
def test_every_probability_of_the_plan_changes_batches(cases: list[TrainingCase], name: str) -> None:
    plain, always = (
        next(iter(PatchLoader(cases, changed(small_plan(patch_size=PATCH), **{f"augmentation__{name}": p}), 5, 0, 0)))
        for p in (0.0, 1.0)
    )
    assert not torch.equal(plain["image"], always["image"])


def check_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first["cases"] == second["cases"]
    assert torch.equal(first["image"], second["image"]) and torch.equal(first["label"], second["label"])


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_nothing(cases: list[TrainingCase], workers: int) -> None:
    with open_batches(cases, augmented(), 5, 3, 0) as batches:
        alone = list(islice(batches, 5))
    with open_batches(cases, augmented(), 5, 3, workers) as batches:
        together = list(islice(batches, 5))
    for first, second in zip(alone, together, strict=True):
        check_same(first, second)


def test_a_batch_is_a_function_of_seed_and_index(cases: list[TrainingCase]) -> None:
    loader = PatchLoader(cases, augmented(), 5, 0, 0)
    in_turn = list(islice(iter(loader), 5))
    torch.rand(7)  # the state of the global generators does not matter
    np.random.rand(7)  # noqa: NPY002
    for index in (4, 0, 2):
        check_same(PatchLoader(cases, augmented(), 5, 0, 0).batch(index), in_turn[index])
    with open_batches(cases, augmented(), 5, 2, 0) as resumed:
        for first, second in zip(islice(resumed, 3), in_turn[2:], strict=True):
            check_same(first, second)
    other = PatchLoader(cases, augmented(), 6, 0, 0).batch(0)
    assert not torch.equal(other["image"], in_turn[0]["image"])
    assert len({batch["image"].numpy().tobytes() for batch in in_turn}) == 5


def test_what_a_batch_holds(cases: list[TrainingCase]) -> None:
    batch = PatchLoader(cases, changed(augmented(), batch_size=3), 0, 0, 0).batch(0)
    assert batch["image"].shape == (3, 1, *PATCH) and batch["image"].dtype == torch.float32
    assert batch["label"].shape == (3, 1, *PATCH) and batch["label"].dtype == torch.int16
    assert torch.isfinite(batch["image"]).all() and set(batch["label"].unique().tolist()) <= {0, 1, 2}


def test_without_augmentation_a_patch_is_a_plain_cut(cases: list[TrainingCase]) -> None:
    plan = changed(small_plan(patch_size=PATCH, foreground_oversampling=0.5), augmentation__flip_axes=())
    for index in range(6):
        batch = PatchLoader(cases, plan, 1, 0, 0).batch(index)
        rng = np.random.default_rng([1, index])
        rng.integers(2**32), rng.integers(2**63)  # the two seeds of the global generators
        for number in range(plan.batch_size):
            case = cases[int(rng.integers(len(cases)))]
            start = draw_start(case, PATCH, rng.random() < plan.foreground_oversampling, rng)
            assert batch["cases"][number] == case.id
            np.testing.assert_array_equal(batch["image"][number], cut(case.image, start, PATCH))
            np.testing.assert_array_equal(batch["label"][number, 0], cut(case.label, start, PATCH))


def test_image_and_label_are_augmented_together(cases: list[TrainingCase]) -> None:
    plan = changed(
        small_plan(patch_size=PATCH),
        augmentation__p_rotation=1.0,
        augmentation__p_scaling=1.0,
        augmentation__p_elastic=1.0,
        augmentation__flip_axes=("x", "y", "z"),
    )
    twins = []
    for case in cases:  # the image is 10 inside a box and 0 outside, and the label is the box
        box = np.zeros(case.label.shape, np.uint8)
        box[3:-3, 2:-5, 2:-2] = 1
        twin = TrainingCase(case.id, case.image_path, case.label_path)
        twin.__dict__.update(image=10 * box[None].astype(np.float32), label=box)
        twins.append(twin)
    agree = total = 0
    for index in range(8):
        batch = PatchLoader(twins, plan, 2, 0, 0).batch(index)
        agree += int(((batch["image"] > 5) == (batch["label"] == 1)).sum())
        total += batch["label"].numel()
    assert agree / total > 0.97  # both are interpolated, but not by the same order: voxels at the surface may differ


def test_an_elastic_deformation_moves_by_no_more_than_its_voxels(cases: list[TrainingCase]) -> None:
    """Of a ramp along x the deformed values tell where each voxel came from."""
    case = cases[0]
    ramp = np.broadcast_to(np.arange(200, dtype=np.float32), (1, 200, 200, 200))
    twin = TrainingCase(case.id, case.image_path, case.label_path)
    twin.__dict__.update(image=ramp, label=np.zeros(ramp.shape[1:], np.uint8), foreground=[])
    still = changed(small_plan(patch_size=PATCH), augmentation__flip_axes=())
    plan = changed(still, augmentation__p_elastic=1.0, augmentation__elastic_voxels=(2.0, 2.0))
    for index in range(4):
        moved = (
            PatchLoader([twin], plan, 3, 0, 0).batch(index)["image"]
            - PatchLoader([twin], still, 3, 0, 0).batch(index)["image"]
        ).abs()
        # the library takes the mean displacement away, so a little more than 2 on one side
        assert 1 < float(moved.max()) < 4 and float(moved.std()) > 0.1


@given(shape=shapes(1, 6), seed=seeds, axes=st.sets(st.sampled_from(["x", "y", "z"])))
def test_a_mirror_along_x_swaps_the_classes(shape: tuple[int, int, int], seed: int, axes: set[str]) -> None:
    mirror = MirrorWithSwap(("x", "y", "z"), ((1, 2), (3, 5)))
    image = torch.from_numpy(noise(seed, 2, *shape))
    label = torch.from_numpy(labels(seed, shape, (0, 1, 2, 3, 4, 5)).astype(np.int16))[None]
    dims = [{"z": 1, "y": 2, "x": 3}[axis] for axis in sorted(axes)]
    found_image = mirror._apply_to_image(image, axes=sorted(axes))
    found_label = mirror._apply_to_segmentation(label, axes=sorted(axes))
    assert torch.equal(found_image, torch.flip(image, dims))
    partner = torch.tensor([0, 2, 1, 5, 4, 3] if "x" in axes else [0, 1, 2, 3, 4, 5], dtype=torch.int16)
    assert torch.equal(found_label, partner[torch.flip(label, dims).long()])
    assert torch.equal(mirror._apply_to_segmentation(found_label, axes=sorted(axes)), label)  # twice is nothing


def test_a_mirror_takes_allowed_axes_half_of_the_time() -> None:
    torch.manual_seed(0)
    drawn = [tuple(MirrorWithSwap(("x", "z"), ()).get_parameters()["axes"]) for _ in range(400)]
    assert set(drawn) == {(), ("x",), ("z",), ("x", "z")}
    # a quarter each: 100 +- 5 standard deviations of 8.7
    assert all(56 < drawn.count(axes) < 144 for axes in set(drawn))


def test_the_plan_names_values_and_the_network_classes() -> None:
    sides: dict[str, Side] = {"left": "left", "right": "right"}
    plan = small_plan(
        labels={"background": 0, "left": 17, "right": 53, "both": 20}, sides=sides,
        side_classes=side_classes(("background", "left", "both", "right"), sides),
    )  # fmt: skip
    assert plan.label_values == (0, 17, 20, 53)
    assert plan.swapped_classes == ((1, 3),)
    assert swap_classes(torch.tensor([0, 1, 2, 3]), plan.swapped_classes).tolist() == [0, 3, 2, 1]


def test_what_a_plan_leaves_out_draws_no_numbers(cases: list[TrainingCase]) -> None:
    """Each transform in the list draws a number, also at probability 0: one that came later is left out of the list
    there, or else the batches of every earlier plan would change.
    """
    plan = small_plan(patch_size=PATCH)
    made = PatchLoader(cases, plan, 5, 0, 0).transforms.transforms
    names = [type(getattr(each, "transform", each)).__name__ for each in made]
    assert names == [
        "SpatialTransform", "GaussianNoiseTransform", "GaussianBlurTransform", "MultiplicativeBrightnessTransform",
        "ContrastTransform", "SimulateLowResolutionTransform", "GammaTransform", "GammaTransform", "MirrorWithSwap",
    ]  # fmt: skip
