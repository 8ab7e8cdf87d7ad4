"""Left and right by geometry: what lies on the other side gets the other side's class, whatever the network said."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.properties import CaseProperties
from hippopt.artifacts.regions import LEFT, MIDDLE, RIGHT, is_mirrored, network_classes, region_classes
from hippopt.artifacts.sides import Side, side_classes
from hippopt.inference.flags import NOT_LOCATED, OTHER_SIDE
from hippopt.inference.locating import Located, RegionWindow, region_starts
from hippopt.inference.region_windows import Ensemble, segment_located, window_probabilities
from hippopt.inference.regions import Choice, Region
from hippopt.inference.sides import give_sides, right_half
from hippopt.inference.windows import WindowSettings
from tests.inference.test_regions import SETTINGS
from tests.records import changed, grid_of_code, small_plan

PATCH = (16, 16, 16)
SHAPE = (24, 16, 48)
PAIR: dict[str, Side] = {"hippocampus_left": "left", "hippocampus_right": "right"}
CLASSES = ("background", "hippocampus_right", "hippocampus_left")


def sided_plan(mirror: bool = False, **locator: object) -> Plan:
    """Two labels with sides; the values in the files are 48 for the left and 47 for the right: classes 2 and 1."""
    return small_plan(
        labels={"background": 0, "hippocampus_left": 48, "hippocampus_right": 47},
        sides=PAIR,
        side_classes=side_classes(CLASSES, PAIR),
        locator=changed(SETTINGS, **locator),
        patch_size=PATCH,
        mirror_sides=mirror,
    )


def relabelled(plan: Plan, labels: dict[str, int], sides: dict[str, Side]) -> Plan:
    """The plan with other labels, given by rising value."""
    return changed(plan, labels=labels, sides=sides, side_classes=side_classes(tuple(labels), sides))


def properties() -> CaseProperties:
    return CaseProperties(
        grid=grid_of_code("RAS", SHAPE),
        ras_shape=SHAPE,
        ras_spacing_mm=(1, 1, 1),
        crop_start=(0, 0, 0),
        crop_shape=SHAPE,
        prepared_shape=SHAPE,
    )


class Bright(nn.Module):
    """Says one class wherever the image is bright."""

    def __init__(self, classes: int, says: int) -> None:
        super().__init__()
        self.classes, self.says = classes, says

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros((len(image), self.classes, *image.shape[2:]))
        logits[:, 0] = 10 - 20 * (image[:, 0] > 0.5)
        logits[:, self.says] = 10 * (image[:, 0] > 0.5)
        return logits


def scene() -> np.ndarray:
    """(1, *SHAPE): one bright box in each half."""
    image = np.zeros((1, *SHAPE), np.float32)
    image[0, 6:10, 6:10, 6:10] = 1
    image[0, 6:10, 6:10, 38:42] = 1
    return image


def located(*names: str) -> Located:
    """Both structures of the scene, or one, in windows around them."""
    boxes = {LEFT: ((6, 6, 6), (10, 10, 10)), RIGHT: ((6, 6, 38), (10, 10, 42))}
    regions = []
    for name in names:
        low, high = boxes[name]
        centre = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
        regions.append(Region(name, centre, low, high, 1000.0, 0.9))  # type: ignore[arg-type]
    windows = []
    for index, region in enumerate(regions):
        (start,) = region_starts(region, tuple(map(float, SHAPE)), SHAPE, sided_plan(margin_mm=2.0))  # type: ignore[arg-type]
        part = tuple(slice(first, first + size) for first, size in zip(start, PATCH, strict=True))
        windows.append(RegionWindow(index, start, scene()[(slice(None), *part)]))
    absent = tuple(name for name in (LEFT, RIGHT) if name not in names)
    return Located(Choice(tuple(regions), absent), tuple(windows), tuple(map(float, SHAPE)))  # type: ignore[arg-type]


def classes_of(segmentation: object) -> np.ndarray:
    """(Z, Y, X) classes over the whole scene."""
    found = np.zeros(SHAPE, int)
    within = segmentation.properties  # type: ignore[attr-defined]
    box = tuple(slice(a, a + n) for a, n in zip(within.crop_start, within.crop_shape, strict=True))
    found[box] = segmentation.probabilities.argmax(0)  # type: ignore[attr-defined]
    return found


def settings(plan: Plan) -> WindowSettings:
    return WindowSettings(PATCH, len(plan.network_classes))


def ensemble(models: list[nn.Module], plan: Plan) -> Ensemble:
    return Ensemble(models, plan, settings(plan), torch.device("cpu"))


@pytest.mark.parametrize("says", [1, 2])
def test_sides_are_right_whatever_side_the_network_says(says: int) -> None:
    plan = sided_plan()
    found = segment_located(
        ensemble([Bright(3, says)], plan), located(LEFT, RIGHT), np.zeros((1, 0, 0, 0)), properties()
    )
    classes = classes_of(found)
    assert (classes[..., :24] == 2 * scene()[0, ..., :24]).all()  # 48, the left
    assert (classes[..., 24:] == scene()[0, ..., 24:]).all()
    assert found.flags == ()  # half of it was moved, not more
    assert found.probabilities.shape[1:] != SHAPE  # only the box of the windows is brought back


def test_a_network_that_knows_one_side_only() -> None:
    plan = sided_plan(mirror=True)
    assert plan.network_classes == ("background", "hippocampus")
    found = segment_located(ensemble([Bright(2, 1)], plan), located(LEFT, RIGHT), np.zeros((1, 0, 0, 0)), properties())
    classes = classes_of(found)
    assert (classes[..., :24] == 2 * scene()[0, ..., :24]).all() and (classes[..., 24:] == scene()[0, ..., 24:]).all()


class FirstVoxel(nn.Module):
    """Class 1 in the first voxel along x alone."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros((len(image), 2, *image.shape[2:]))
        logits[:, 1] = -10
        logits[:, 1, ..., 0] = 10
        return logits


def test_right_windows_are_seen_mirrored_and_come_back() -> None:
    plan = sided_plan(mirror=True)
    seen = [
        window_probabilities(
            [FirstVoxel()], np.zeros((1, *PATCH), np.float32), side, plan, settings(plan), torch.device("cpu")
        )
        for side in (LEFT, RIGHT)
    ]
    assert (seen[0].argmax(0)[..., 0] == 2).all() and (seen[0].argmax(0)[..., 1:] == 0).all()
    assert (seen[1].argmax(0)[..., -1] == 1).all() and (seen[1].argmax(0)[..., :-1] == 0).all()


def test_one_side_alone_keeps_its_side_and_the_other_is_said_to_be_missing() -> None:
    plan = sided_plan()
    for name, value in ((LEFT, 2), (RIGHT, 1)):
        for says in (1, 2):
            found = segment_located(
                ensemble([Bright(3, says)], plan), located(name), np.zeros((1, 0, 0, 0)), properties()
            )
            assert set(np.unique(classes_of(found))) == {0, value}
            missing = RIGHT if name == LEFT else LEFT
            assert f"no {missing} side" in found.flags and any(
                f"the {missing} side lies outside" in line for line in found.warnings
            )
            assert (OTHER_SIDE in found.flags) == (says != value)


@pytest.mark.parametrize("mirror", [False, True])
def test_without_windows_the_network_looks_everywhere_and_says_so(mirror: bool) -> None:
    plan = sided_plan(mirror)
    nowhere = Located(Choice((), (), ("nothing is found",)), (), tuple(map(float, SHAPE)))  # type: ignore[arg-type]
    model = Bright(2, 1) if mirror else Bright(3, 2)
    found = segment_located(ensemble([model], plan), nowhere, scene(), properties())
    classes = classes_of(found)
    assert (classes[..., :24] == 2 * scene()[0, ..., :24]).all() and (classes[..., 24:] == scene()[0, ..., 24:]).all()
    assert NOT_LOCATED in found.flags and "nothing is found" in found.warnings[0] and "everywhere" in found.warnings[0]


class Turning(Bright):
    """As it is on images that grow brighter along z; finds nothing in one that is flipped."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = super().forward(image)
        flipped = image[:, 0, -1].mean((1, 2)) < image[:, 0, 0].mean((1, 2))
        logits[flipped] = torch.tensor([10.0] + [-10.0] * (self.classes - 1))[:, None, None, None]
        return logits


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("everywhere", [False, True])
def test_signals_are_of_the_unflipped_view_also_where_flips_are_averaged(mirror: bool, everywhere: bool) -> None:
    """What is looked at is the same with and without flips, though
    the average is another: signals are calibrated on the former.
    """
    plan = sided_plan(mirror)
    image = np.maximum(scene(), 0.015 * np.arange(SHAPE[0], dtype=np.float32)[:, None, None])
    where = located(LEFT, RIGHT)
    if everywhere:
        where = Located(Choice((), (), ("nothing is found",)), (), where.size_mm)
    else:
        boxes = [
            (slice(None), *(slice(a, a + n) for a, n in zip(window.start, PATCH, strict=True)))
            for window in where.windows
        ]
        windows = tuple(
            RegionWindow(w.region, w.start, image[box]) for w, box in zip(where.windows, boxes, strict=True)
        )
        where = Located(where.choice, windows, where.size_mm)
    models = [Turning(2, 1) if mirror else Turning(3, says) for says in (1, 2)]
    found, shown = [], []
    for flips in (((),), ((), ("z",))):
        views: dict[int, np.ndarray] = {}

        def look(number: int, axes: tuple[str, ...], view: np.ndarray, views: dict[int, np.ndarray] = views) -> None:
            if not axes:
                assert number not in views
                views[number] = view.copy()

        now = Ensemble(models, plan, WindowSettings(PATCH, len(plan.network_classes), flips), torch.device("cpu"))
        found.append(segment_located(now, where, image, properties(), look))
        shown.append(views)
    assert sorted(shown[0]) == sorted(shown[1]) == [0, 1]
    for number in (0, 1):
        np.testing.assert_allclose(shown[1][number], shown[0][number], atol=1e-6)
    assert found[0].mean[1:].max() > 0.9 > 0.6 > found[1].mean[1:].max()  # the flips did count for the mask


def test_a_large_region_gets_overlapping_windows_that_cover_it() -> None:
    plan = sided_plan(margin_mm=4.0)
    region = Region(LEFT, (8.0, 8.0, 24.0), (6.0, 6.0, 10.0), (10.0, 10.0, 38.0), 1000.0, 0.9)
    starts = region_starts(region, (24.0, 16.0, 48.0), SHAPE, plan)
    # 28 + 8 mm along x in windows of 16: from 6 to 42; the other axes are no larger than a window
    assert [start[:2] for start in starts] == [(0, 0)] * 4
    along = [start[2] for start in starts]
    assert along[0] <= 6 and along[-1] + 16 >= 42
    assert all(0 < after - before <= 8 for before, after in pairwise(along))


def test_the_plane_between_both_sides() -> None:
    half = right_half((0, 0, 0), (1, 2, 6), (1, 1, 1), (0.5, 1.0, 1.0), (0.5, 1.0, 5.0))
    assert half[0].tolist() == [[False] * 3 + [True] * 3] * 2
    turned = right_half(
        (0, 0, 0), (1, 4, 4), (1, 1, 1), (0.5, 0.5, 0.5), (0.5, 3.5, 3.5)
    )  # a head turned by 45 degrees
    assert turned[0].tolist() == [[x + y > 3 for x in range(4)] for y in range(4)]
    assert right_half((0, 0, 0), (1, 1, 1), (1, 1, 1), None, (0, 0, 0)).all()
    assert not right_half((0, 0, 0), (1, 1, 1), (1, 1, 1), (0, 0, 0), None).any()


def test_a_class_without_a_twin_becomes_background_on_the_other_side() -> None:
    labels = {"background": 0, "a_left": 1, "b_left": 2, "a_right": 3, "stem": 4}
    plan = relabelled(sided_plan(), labels, {"a_left": "left", "b_left": "left", "a_right": "right"})
    assert region_classes(plan) == {LEFT: (1, 2), RIGHT: (3,), MIDDLE: (4,)} and plan.class_sides.other == {
        1: 3,
        2: 0,
        3: 1,
    }
    found = np.full((5, 1, 1, 2), 0.2, np.float32)
    give_sides(found, np.array([[[False, True]]]), plan)
    np.testing.assert_allclose(found[:, 0, 0].T, [[0.2, 0.4, 0.2, 0, 0.2], [0.4, 0, 0, 0.4, 0.2]], atol=1e-6)


def test_classes_of_a_mirrored_network() -> None:
    labels = {"background": 0, "head_left": 5, "head_right": 6, "tail_left": 7, "tail_right": 8}
    sides: dict[str, Side] = {"head_left": "left", "head_right": "right", "tail_left": "left", "tail_right": "right"}
    plan = relabelled(sided_plan(mirror=True), labels, sides)
    assert plan.network_classes == ("background", "head", "tail") and plan.flip_axes == ()
    assert network_classes(plan, LEFT) == (0, 1, 0, 2, 0) and network_classes(plan, RIGHT) == (0, 0, 1, 0, 2)
    assert is_mirrored(plan, RIGHT) and not is_mirrored(plan, LEFT)
