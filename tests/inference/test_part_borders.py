from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest

from hippopt.artifacts.codec import decode
from hippopt.artifacts.part_borders import PartBorders
from hippopt.errors import PlanError, WeightsError
from hippopt.inference.part_borders import learned_borders, place_borders
from hippopt.training.part_borders import fit_part_borders
from tests.part_shapes import two_parts

NAMES, CLASSES, MM = ("front", "back"), ("background", "front", "back"), (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def learned() -> PartBorders:
    rng = np.random.default_rng(0)
    found = fit_part_borders([two_parts(rng)[0] for _ in range(10)], NAMES, MM)
    assert found is not None
    return found


def found_by_a_network(labels: np.ndarray, late: int, sure: float = 0.9) -> np.ndarray:
    """(3, Z, Y, X): the whole structure as it is, its border `late` slices too far in front."""
    inside, border = labels > 0, int(np.flatnonzero((labels == 1).any((0, 2)))[0]) + late
    front = np.broadcast_to(np.arange(labels.shape[1])[None, :, None] >= border, labels.shape)
    out = np.full((3, *labels.shape), 0.05, np.float32)
    out[0][~inside] = 0.9
    out[1][inside & front], out[2][inside & ~front] = sure, sure
    return out / out.sum(0)


@pytest.mark.parametrize("late", [-4, 0, 4])
def test_a_border_is_brought_to_where_the_cross_section_falls(learned: PartBorders, late: int) -> None:
    """To within two slices; the networks' own opinion still pulls a little."""
    rng = np.random.default_rng(100)
    for _ in range(5):
        labels, border = two_parts(rng)
        before = found_by_a_network(labels, late)
        after = place_borders(before, [learned], CLASSES, MM)
        classes = after.argmax(0)
        np.testing.assert_array_equal(classes > 0, labels > 0)
        assert abs(int(np.flatnonzero((classes == 1).any((0, 2)))[0]) - border) <= 2
        assert int(np.flatnonzero((classes == 2).any((0, 2)))[-1]) < int(np.flatnonzero((classes == 1).any((0, 2)))[0])
        np.testing.assert_array_equal(after[0], before[0])
        np.testing.assert_allclose(after.sum(0), before.sum(0), rtol=1e-6)
        np.testing.assert_allclose(after[1] * after[2], 0)


def test_where_the_section_does_not_tell_the_networks_do(learned: PartBorders) -> None:
    """A border that knows nothing is outweighed."""
    blind = msgspec.structs.replace(
        learned,
        borders=tuple(
            msgspec.structs.replace(border, offset=0.0, weights=(0.0,) * len(border.weights))
            for border in learned.borders
        ),
    )
    labels, _ = two_parts(np.random.default_rng(7))
    before = found_by_a_network(labels, 4)
    np.testing.assert_array_equal(place_borders(before, [blind], CLASSES, MM).argmax(0), before.argmax(0))


def test_islands_take_their_slice_and_other_classes_stay(learned: PartBorders) -> None:
    labels, _ = two_parts(np.random.default_rng(8))
    before = np.concatenate([found_by_a_network(labels, 0), np.zeros((1, *labels.shape), np.float32)])
    before[:, 0, 0, 0] = (0, 1, 0, 0)  # "front" at the very back
    before[:, 0, 43, 23] = (0, 0, 0, 1)
    after = place_borders(before, [learned], (*CLASSES, "amygdala"), MM)
    assert after[:, 0, 0, 0].tolist() == [0, 0, 1, 0] and after[:, 0, 43, 23].tolist() == [0, 0, 0, 1]


def test_nothing_to_place(learned: PartBorders) -> None:
    empty = np.zeros((3, 4, 5, 6), np.float32)
    empty[0] = 1
    assert place_borders(empty, [learned], CLASSES, MM) is empty
    labels, _ = two_parts(np.random.default_rng(9))
    before = found_by_a_network(labels, 3)
    assert place_borders(before, [], CLASSES, MM) is before
    other = msgspec.structs.replace(learned, axis=0)
    assert place_borders(before, [learned, other], CLASSES, MM) is before


@dataclass
class Card:
    part_borders: PartBorders | None
    run: str = "a-run"


def test_only_features_that_are_measured_are_taken(learned: PartBorders) -> None:
    cards: list[Any] = [Card(None), Card(learned)]
    assert learned_borders(cards) == (learned,)
    short = msgspec.structs.replace(learned.borders[0], centre=(0.0,), scale=(1.0,), weights=(0.0,))
    cards.append(Card(msgspec.structs.replace(learned, borders=(short,))))
    with pytest.raises(WeightsError, match="part_borders of a-run"):
        learned_borders(cards)


@pytest.mark.parametrize(
    "change",
    [
        {"axis": 3},
        {"parts": ["back"]},
        {"parts": ["back", "back"]},
        {"borders": []},
        {"weights": [1.0]},
        {"scale": 0.0},
    ],
)
def test_unsound_numbers_are_refused(learned: PartBorders, change: dict[str, Any], tmp_path: Any) -> None:
    data = msgspec.to_builtins(learned)
    for key, value in change.items():
        if key == "weights":
            data["borders"][0]["weights"] = value
        elif key == "scale":
            data["borders"][0]["scale"] = [value] * len(data["borders"][0]["scale"])
        else:
            data[key] = value
    with pytest.raises(PlanError, match="part_borders"):
        decode(data, PartBorders, tmp_path / "adapter.json")
