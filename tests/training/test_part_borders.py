import numpy as np
import pytest

from hippopt.training.part_borders import LARGEST_SHARE, LEAST_CASES, fit_part_borders
from tests.part_shapes import two_parts

NAMES, MM = ("front", "back"), (1.0, 1.0, 1.0)


def shapes(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [two_parts(rng)[0] for _ in range(count)]


def test_parts_and_axis_are_found() -> None:
    found = fit_part_borders(shapes(6), NAMES, MM)
    assert found is not None and (found.axis, found.parts, found.cases, found.misplaced) == (1, ("back", "front"), 6, 0)
    turned = fit_part_borders([labels.transpose(0, 2, 1)[:, :, ::-1] for labels in shapes(6)], NAMES, MM)
    assert turned is not None and (turned.axis, turned.parts) == (2, ("front", "back"))


def test_three_parts_have_two_borders() -> None:
    labels = shapes(5)
    for each in labels:
        first = int(np.flatnonzero((each == 2).any((0, 2)))[0])
        each[:, first : first + 6][each[:, first : first + 6] == 2] = 3
    found = fit_part_borders(labels, ("head", "body", "tail"), MM)
    assert found is not None and found.parts == ("tail", "body", "head") and len(found.borders) == 2


def test_too_few_whole_cases_teach_nothing() -> None:
    assert fit_part_borders(shapes(LEAST_CASES), NAMES, MM) is not None
    assert fit_part_borders(shapes(LEAST_CASES - 1), NAMES, MM) is None
    lacking = shapes(LEAST_CASES)
    lacking[0][lacking[0] == 2] = 0
    assert fit_part_borders(lacking, NAMES, MM) is None
    assert fit_part_borders([(labels > 0).astype(np.uint8) for labels in shapes(5)], ("whole",), MM) is None


@pytest.mark.parametrize("share", [0.4 * LARGEST_SHARE, 3 * LARGEST_SHARE])
def test_labels_that_no_plane_parts_are_left_alone(share: float) -> None:
    rng = np.random.default_rng(5)
    labels = shapes(5)
    for each in labels:
        voxels = np.argwhere(each > 0)
        for z, y, x in voxels[rng.random(len(voxels)) < share]:
            each[z, y, x] = 3 - each[z, y, x]
    found = fit_part_borders(labels, NAMES, MM)
    assert (found is None) == (share > LARGEST_SHARE)
