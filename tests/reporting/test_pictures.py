"""Arrays as text: what a page unpacks is what was packed, and outlines enclose their voxels."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from hippopt.reporting.pages.pictures import mosaic, outline, picture, runs, to_bytes, window_of


def unpacked(text: str) -> list[int]:
    """As the page's script does it."""
    data, out, index = base64.b64decode(text), [], 0
    while index < len(data):
        value, length, shift = data[index], 0, 0
        index += 1
        while True:
            byte = data[index]
            index += 1
            length |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                break
        out += [value] * length
    return out


def area(path: str) -> float:
    """Enclosed area of an SVG path in voxels: holes count against it."""
    total = 0.0
    for x, y, steps in re.findall(r"M(\d+) (\d+)l([-\d ]+)z", path):
        points = (
            np.cumsum([(int(x), int(y)), *np.reshape([int(step) for step in steps.split()], (-1, 2)).tolist()], axis=0)
            / 2
        )
        total += float(np.sum(points[:, 0] * np.roll(points[:, 1], -1) - points[:, 1] * np.roll(points[:, 0], -1)) / 2)
    return abs(total)


@pytest.mark.parametrize("values", [[0], [1, 1, 2], [0] * 127 + [3] * 128 + [1] * 40000, []])
def test_runs_come_back(values: list[int]) -> None:
    assert unpacked(runs(np.array(values, np.uint8))) == values


def test_random_runs_come_back() -> None:
    values = np.random.default_rng(0).integers(0, 3, (7, 11, 5)).astype(np.uint8)
    assert unpacked(runs(values)) == values.ravel().tolist()


def test_an_outline_encloses_its_voxels_but_for_half_a_voxel_of_corners() -> None:
    inside = np.zeros((9, 12), bool)
    inside[2:5, 3:10] = True
    assert area(outline(inside)) == 3 * 7 - 4 / 8
    inside[3, 5] = False  # a hole of one voxel is a diamond of half a voxel
    assert area(outline(inside)) == 3 * 7 - 4 / 8 - 1 / 2


def test_an_outline_at_the_edge_is_closed_and_an_empty_one_is_none() -> None:
    assert area(outline(np.ones((2, 2), bool))) == 4 - 4 / 8
    assert outline(np.zeros((3, 3), bool)) == ""


def test_an_outline_lies_where_its_voxel_does() -> None:
    inside = np.zeros((4, 6), bool)
    inside[1, 4] = True  # row 1, column 4: from 8 to 10 across and 2 to 4 down, in half voxels
    numbers = [int(number) for number in re.findall(r"-?\d+", outline(inside))]
    points = np.cumsum(np.reshape(numbers, (-1, 2)), axis=0)
    assert points.min(0).tolist() == [8, 2] and points.max(0).tolist() == [10, 4]


def test_a_mosaic_holds_its_slices_row_by_row() -> None:
    slices = np.arange(5 * 2 * 3).reshape(5, 2, 3).astype(np.uint8)
    sheet, across = mosaic(slices)
    for index, one in enumerate(slices):
        top, left = index // across * 2, index % across * 3
        assert (sheet[top : top + 2, left : left + 3] == one).all()


def test_a_picture_is_decoded_to_the_size_asked_for() -> None:
    url = picture(np.full((10, 20), 200, np.uint8), (40, 30))
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert image.size == (40, 30) and abs(int(np.asarray(image.convert("L")).mean()) - 200) <= 2


def test_grey_values_of_odd_intensities() -> None:
    assert to_bytes(np.array([-1.0, 0.0, 5.0, 10.0, 99.0, np.nan]), (0.0, 10.0)).tolist() == [0, 0, 127, 255, 255, 0]
    assert window_of(np.full((2, 2), np.nan)) == (0.0, 1.0)
    assert (to_bytes(np.full((2, 2), 7.0), window_of(np.full((2, 2), 7.0))) == 0).all()  # a constant image
