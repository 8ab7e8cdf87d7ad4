"""Hand-sized coarse maps: which regions are chosen from them, and what makes that uncertain. Voxels of 4
mm, (z, y, x).
"""

import msgspec
import numpy as np
import pytest

from hippopt.artifacts.plan import LocatorSettings
from hippopt.inference.regions import Choice, choose_regions

SHAPE = (10, 12, 20)
SIZE_MM = (40.0, 48.0, 80.0)
SETTINGS = LocatorSettings(
    spacing_mm=4.0,
    channels=(4, 8),
    steps=1,
    batch_size=1,
    learning_rate=1e-3,
    regions=2,
    margin_mm=4.0,
    volume_mm3=(500.0, 4000.0),
    apart_mm=(20.0, 60.0),
    offset_mm=(0.0, 0.0, 40.0),
    jitter_mm=4.0,
    patches_elsewhere=0.2,
)
Box = tuple[tuple[int, int, int], tuple[int, int, int]]
LEFT: Box = ((4, 4, 3), (2, 4, 3))  # 24 voxels, 1536 mm3; its middle at (20, 24, 18) mm
RIGHT: Box = ((4, 4, 13), (2, 4, 3))  # its middle at (20, 24, 58) mm
NAMES = ("left", "right")


def coarse_map(*places: tuple[int, Box, float], regions: int = 2) -> np.ndarray:
    """A map whose regions have these probabilities in these boxes of (start, size)."""
    found = np.zeros((1 + regions, *SHAPE), np.float32)
    for region, (start, size), probability in places:
        found[(region, *(slice(a, a + n) for a, n in zip(start, size, strict=True)))] = probability
    found[0] = 1 - found[1:].sum(0)
    return found


def choose(*places: tuple[int, Box, float]) -> Choice:
    return choose_regions(coarse_map(*places), NAMES, SIZE_MM, SETTINGS)


def test_both_sides() -> None:
    choice = choose((1, LEFT, 0.9), (2, RIGHT, 0.95))
    assert choice.doubts == () and choice.absent == ()
    left, right = choice.regions
    assert (left.name, right.name) == NAMES
    assert left.centre == pytest.approx((20, 24, 18)) and left.low == (16, 16, 12) and left.high == (24, 32, 24)
    assert right.centre == pytest.approx((20, 24, 58))
    assert left.volume_mm3 == pytest.approx(0.9 * 1536) and right.peak == pytest.approx(0.95)


def test_a_faint_cloud_around_does_not_move_a_region() -> None:
    cloudy = coarse_map((1, ((0, 0, 0), (10, 12, 10)), 0.3), (1, LEFT, 0.9), (2, RIGHT, 0.9))
    assert choose_regions(cloudy, NAMES, SIZE_MM, SETTINGS).regions == choose((1, LEFT, 0.9), (2, RIGHT, 0.9)).regions


@pytest.mark.parametrize(
    ("places", "word"),
    [
        ([], "not found"),
        ([(1, LEFT, 0.9)], "the right side is not found"),  # its place, 40 mm to the right, is in the image
        ([(2, RIGHT, 0.9)], "the left side is not found"),
        ([(1, LEFT, 0.6), (2, RIGHT, 0.9)], "probability 0.60"),
        ([(1, LEFT, 0.9), (1, ((8, 4, 3), (2, 3, 3)), 0.9), (2, RIGHT, 0.9)], "the left side could be in 2 places"),
        ([(1, RIGHT, 0.9), (2, LEFT, 0.9)], "left side lies right of the right"),
        ([(1, LEFT, 0.9), (2, ((4, 4, 7), (2, 4, 3)), 0.9)], "16 mm apart, expected 20 to 60"),
        ([(1, ((4, 4, 3), (1, 2, 2)), 0.9), (2, RIGHT, 0.9)], "the left side has 0.2 cm3, expected 0.5 to 4.0"),
        ([(1, ((1, 1, 1), (8, 8, 4)), 0.9), (2, RIGHT, 0.9)], "the left side has 14.7 cm3"),
        # one structure of which the locator calls one half left and the other right
        ([(1, ((4, 4, 9), (2, 4, 2)), 0.9), (2, ((4, 4, 11), (2, 4, 2)), 0.9)], "8 mm apart"),
    ],
)
def test_doubts(places: list[tuple[int, Box, float]], word: str) -> None:
    choice = choose(*places)
    assert any(word in doubt for doubt in choice.doubts), choice.doubts


@pytest.mark.parametrize(("name", "other", "cut"), [("left", "right", slice(0, 10)), ("right", "left", slice(10, 20))])
def test_a_side_that_was_cut_off_is_absent_and_the_other_keeps_its_name(name: str, other: str, cut: slice) -> None:
    half = coarse_map((1, LEFT, 0.9), (2, RIGHT, 0.9))[..., cut]
    choice = choose_regions(half, NAMES, (40.0, 48.0, 40.0), SETTINGS)
    assert choice.doubts == () and choice.absent == (other,)
    assert [region.name for region in choice.regions] == [name]


def test_a_speck_does_not_count_where_its_side_lies_beyond_the_image() -> None:
    speck = ((4, 4, 7), (1, 1, 1))
    half = coarse_map((1, LEFT, 0.9), (2, speck, 0.9))[..., :10]
    assert choose_regions(half, NAMES, (40.0, 48.0, 40.0), SETTINGS).absent == ("right",)
    assert "the right side has 0.1 cm3" in choose((1, LEFT, 0.9), (2, speck, 0.9)).doubts[0]


def test_a_part_of_a_structure_at_the_end_of_the_image_counts() -> None:
    small = ((4, 4, 0), (2, 2, 1))  # 256 mm3, less than any whole structure
    choice = choose((1, small, 0.9), (2, RIGHT, 0.9))
    assert choice.doubts == () and choice.regions[0].volume_mm3 < SETTINGS.volume_mm3[0]


def test_without_sides_up_to_two_places_are_regions() -> None:
    both = coarse_map((1, LEFT, 0.9), (1, RIGHT, 0.9), (1, ((0, 0, 0), (1, 1, 1)), 0.9), regions=1)
    choice = choose_regions(both, ("any",), SIZE_MM, SETTINGS)
    assert choice.doubts == () and len(choice.regions) == 2
    one = msgspec.structs.replace(SETTINGS, regions=1, apart_mm=None, offset_mm=None)
    assert "could be in 2 places" in choose_regions(both, ("any",), SIZE_MM, one).doubts[0]
    single = coarse_map((1, LEFT, 0.9), regions=1)
    assert choose_regions(single, ("any",), SIZE_MM, one).doubts == ()
    assert choose_regions(single, ("any",), SIZE_MM, SETTINGS).doubts == ("1 of 2 regions found",)


def test_a_label_without_a_side_beside_sides() -> None:
    stem = ((4, 4, 9), (2, 2, 2))
    choice = choose_regions(
        coarse_map((1, LEFT, 0.9), (2, RIGHT, 0.9), (3, stem, 0.99), regions=3), (*NAMES, "middle"), SIZE_MM, SETTINGS
    )
    assert choice.doubts == () and [region.name for region in choice.regions] == ["left", "right", "middle"]
    missing = choose_regions(
        coarse_map((1, LEFT, 0.9), (2, RIGHT, 0.9), regions=3), (*NAMES, "middle"), SIZE_MM, SETTINGS
    )
    assert missing.doubts == ("the middle is not found",)
