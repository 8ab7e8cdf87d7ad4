"""The sheet of contours."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from hippopt.reporting.contours import MASK, REFERENCE, Panel, edge_letters, plot_contours


def test_reference_and_mask_are_drawn(tmp_path: Path) -> None:
    """Blue where the reference is, orange where the mask is; an empty mask draws no orange."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(10, 24, 20))
    reference = np.zeros(image.shape, np.uint8)
    reference[4:6, 5:18, 6:14] = 1

    def colours(mask: np.ndarray) -> tuple[int, int]:
        plot_contours(
            [Panel("scan", image, reference, mask), Panel("other", image, reference * 0, mask * 0)],
            tmp_path / "sheet.png",
        )
        pixels = matplotlib.image.imread(tmp_path / "sheet.png")[..., :3]
        near = [np.abs(pixels - to_rgb(colour)).max(-1) < 0.1 for colour in (REFERENCE, MASK)]
        return int(near[0].sum()), int(near[1].sum())

    blue, orange = colours(np.roll(reference, 3, 1))
    assert blue > 50 and orange > 50
    blue, orange = colours(reference * 0)
    assert blue > 50 and orange == 0


def test_the_title_names_the_colours_that_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hue: what is called blue has most blue, what is called orange most red; whatever the sheet shows."""
    titles: list[str] = []
    monkeypatch.setattr("matplotlib.figure.Figure.suptitle", lambda self, title: titles.append(title))
    panel = Panel("scan", np.zeros((4, 4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8))
    plot_contours([panel], tmp_path / "sheet.png")
    plot_contours([panel], tmp_path / "sheet.png", "maps", "left hippocampus", "neighbours")
    assert titles == [
        "reference in blue, segmentation in orange",
        "maps: left hippocampus in blue, neighbours in orange",
    ]
    assert np.argmax(to_rgb(REFERENCE)) == 2 and np.argmax(to_rgb(MASK)) == 0


def test_colours_are_apart_for_colour_blind_eyes() -> None:
    """Without red cones, and without green ones (Viénot, Brettel
    and Mollon 1999, on linear RGB), the two still differ by far.
    """
    linear = [np.array(to_rgb(colour)) ** 2.2 for colour in (REFERENCE, MASK)]
    protan = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
    deutan = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    for seen in (protan, deutan):
        first, second = (np.clip(seen @ colour, 0, 1) ** (1 / 2.2) for colour in linear)
        assert np.linalg.norm(first - second) > 0.6
        red, green = (np.clip(seen @ np.array(to_rgb(colour)), 0, 1) ** (1 / 2.2) for colour in ("red", "lime"))
        assert np.linalg.norm(first - second) > np.linalg.norm(red - green)


@pytest.mark.parametrize(
    ("orientation", "across", "top", "right"),
    [("RAS", 0, "A", "R"), ("RAS", 1, "S", "R"), ("RAS", 2, "S", "A"), ("LPS", 0, "P", "L"), ("PIR", 2, "R", "I")],
)
def test_edges_bear_the_letters_of_where_they_point(orientation: str, across: int, top: str, right: str) -> None:
    """Arrays are (Z, Y, X); an orientation names where x, y and z point."""
    letters = edge_letters(orientation, across)
    assert letters[top][1] > 0.9 and letters[right][0] > 0.9 and len(letters) == 4
    assert letters[{"R": "L", "A": "P", "S": "I", "L": "R", "P": "A"}[top]][1] < 0.1
