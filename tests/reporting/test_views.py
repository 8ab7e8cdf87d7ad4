"""What a page shows of a region: the right side in the right place, slices in order, islands told."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from hippopt.reporting.pages.regions import find_regions
from hippopt.reporting.pages.views import AXIAL, CORONAL, MASK, SAGITTAL, Picture, overview, region_view, strip_slices
from tests.reporting.test_pictures import unpacked

MM = (1.0, 1.0, 1.0)


def pixels(url: str) -> np.ndarray:
    """(rows, columns) of a tile."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("L")).astype(float)


def block(shape: tuple[int, int, int], *corners: tuple[int, int, int], size: int = 6, value: int = 1) -> np.ndarray:
    mask = np.zeros(shape, np.uint16)
    for z, y, x in corners:
        mask[z : z + size, y : y + size, x : x + size] = value
    return mask


@pytest.mark.parametrize(
    ("plane", "axis", "row_end", "column_end"),
    [
        # letters of a neurological picture: L left, R right; a bright end of the scan stands where its letter does
        (AXIAL, "x", None, 1),
        (AXIAL, "y", 0, None),
        (CORONAL, "x", None, 1),
        (CORONAL, "z", 0, None),
        (SAGITTAL, "y", None, 0),
        (SAGITTAL, "z", 0, None),
    ],
)
def test_the_high_end_of_each_axis_stands_where_its_letter_says(
    plane: str, axis: str, row_end: int | None, column_end: int | None
) -> None:
    shape = (24, 24, 24)
    image = np.broadcast_to(
        np.moveaxis(np.arange(24.0)[:, None, None], 0, "zyx".index(axis)), shape
    )  # brighter to R, A, S
    view = region_view(
        Picture(image, {MASK: block(shape, (9, 9, 9))}, MM, {1: 1}), find_regions(block(shape, (9, 9, 9)), MM, {})[0]
    )  # fmt: skip
    tile = next(tile for tile in view.planes if tile.plane == plane)
    found = pixels(tile.image)
    across, down = found.mean(0), found.mean(1)
    if column_end is not None:
        bright, letter = across[-1] - across[0] > 0, tile.letters[1 if column_end else 0]
        assert bright == bool(column_end) and letter == {"x": "R", "y": "A"}[axis]
    else:
        assert down[0] > down[-1] and tile.letters[2] == {"y": "A", "z": "S"}[axis]


def test_slices_of_the_strip_go_from_front_to_back() -> None:
    inside = np.zeros((5, 60, 5), bool)
    inside[2, 10:51, 2] = True
    found = strip_slices(inside)
    assert found == sorted(found, reverse=True) and found[0] > 45 and found[-1] < 15 and found[2] == 30
    assert strip_slices(np.zeros((3, 3, 3), bool)) == []


def test_sides_by_label_and_by_distance() -> None:
    shape = (30, 40, 120)
    mask = block(shape, (10, 15, 20)) + block(shape, (10, 15, 90), value=2)
    assert [(region.name, region.values) for region in find_regions(mask, MM, {1: "left", 2: "right"})] == [
        ("left", (1,)),
        ("right", (2,)),
    ]
    both = np.minimum(mask, 1)
    found = find_regions(both, MM, {})
    assert [region.name for region in found] == ["left", "right"]
    assert found[0].box[2].stop <= 60 <= found[1].box[2].start
    assert [region.name for region in find_regions(both[..., :60], MM, {})] == [""]


def test_an_island_far_away_is_told_and_does_not_widen_the_picture() -> None:
    shape = (40, 60, 60)
    mask = block(shape, (15, 25, 25), size=8) + block(shape, (0, 0, 0), size=2)
    region = find_regions(mask, MM, {})[0]
    assert region.outside == 8 and max(region.shape) == 8 + 2 * 9


def test_an_empty_mask_shows_the_middle_of_the_scan() -> None:
    shape = (10, 300, 12)
    region = find_regions(np.zeros(shape, np.uint16), MM, {})[0]
    assert region.box == (slice(0, 10), slice(90, 210), slice(0, 12))
    view = region_view(Picture(np.ones(shape), {MASK: np.zeros(shape, np.uint16)}, MM, {}), region)
    assert view.strip == () and all(not tile.outlines for tile in view.planes)


def test_the_volume_to_scroll_through_holds_the_mask_front_to_back_top_to_bottom() -> None:
    rng = np.random.default_rng(1)
    mask = np.zeros((24, 26, 28), np.uint16)
    mask[9:14, 10:16, 11:17] = rng.integers(1, 3, (5, 6, 6))
    region = find_regions(mask, MM, {})[0]
    volume = region_view(Picture(rng.normal(size=mask.shape), {MASK: mask}, MM, {1: 1, 2: 2}), region).volume
    expected = mask[region.box][::-1, ::-1].transpose(1, 0, 2)
    assert volume["shape"] == list(expected.shape) and unpacked(volume["mask"]) == expected.ravel().tolist()
    at = volume["start"]
    assert expected[at[0]].any() and expected[:, at[1]].any() and expected[:, :, at[2]].any()


def test_a_large_volume_is_made_coarser_and_keeps_its_size() -> None:
    mask = block((120, 120, 120), (20, 20, 20), size=80)
    spacing = (0.4, 0.5, 0.5)
    region = find_regions(mask, spacing, {})[0]
    volume = region_view(Picture(mask.astype(float), {MASK: mask}, spacing, {1: 1}), region).volume
    count, rows, columns = volume["shape"]
    assert count * rows * columns < 220_000 and len(unpacked(volume["mask"])) == count * rows * columns
    size = [part * step for part, step in zip(region.shape, spacing, strict=True)]
    assert [rows * volume["spacing"][1], count * volume["spacing"][0], columns * volume["spacing"][2]] == pytest.approx(
        size, rel=0.03
    )


def test_only_scans_larger_than_their_regions_have_an_overview() -> None:
    crop, brain = block((30, 40, 30), (12, 16, 12)), block((30, 140, 120), (12, 60, 20))
    for mask, wanted in ((crop, False), (brain, True)):
        found = overview(Picture(mask.astype(float), {MASK: mask}, MM, {1: 1}), find_regions(mask, MM, {}))
        assert (found is not None) == wanted
