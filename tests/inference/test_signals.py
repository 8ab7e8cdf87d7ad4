"""Signals of a network's own probabilities, on cases whose numbers can be worked out by hand."""

import math

import numpy as np
import pytest

from hippopt.artifacts.calibration import SIGNAL_NAMES
from hippopt.inference.signals import SIGNALS, SignalCollector, measure_signals, normalised_entropy, signal_flips

LABELS = {"front": 1, "back": 2}


def one_hot(classes: np.ndarray, count: int = 3) -> np.ndarray:
    """(count, Z, Y, X) float32."""
    return (classes[None] == np.arange(count)[:, None, None, None]).astype(np.float32)


def block(start: int = 3, size: int = 4, value: int = 1) -> np.ndarray:
    classes = np.zeros((10, 10, 12), np.int64)
    classes[3:7, 3:7, start : start + size] = value
    return classes


def test_the_names_that_records_may_hold_are_those_of_the_signals() -> None:
    assert SIGNALS == SIGNAL_NAMES


def test_a_certain_network_has_the_best_signals() -> None:
    classes = block()
    found = measure_signals(one_hot(classes), classes, LABELS)
    assert set(found) == {"front"}  # the other label was not found
    assert (
        found["front"].soft_dice == 1 and found["front"].certainty_around == 1 and math.isnan(found["front"].flip_dice)
    )


def test_soft_dice_by_hand() -> None:
    probability = np.array(
        [0.8, 0.6, 0.3, 0.1], np.float32
    )  # of class 1 against the background, in a row of four voxels
    both = np.stack([1 - probability, probability]).reshape(2, 1, 1, 4)
    found = measure_signals(both, both.argmax(0), {"front": 1})["front"]
    assert found.soft_dice == pytest.approx(2 * 1.4 / (2 + 1.8))
    # around: the two voxels of .3 and .1, within two voxels of the mask; entropy in bits, since two classes
    bits = [-sum(p * math.log2(p) for p in (q, 1 - q)) for q in (0.3, 0.1)]
    assert found.certainty_around == pytest.approx(1 - sum(bits) / 2, abs=1e-6)


def test_entropy_is_nought_where_certain_and_one_where_all_are_as_likely() -> None:
    probabilities = np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]], np.float32).T
    found = normalised_entropy(probabilities)
    assert found[0] == 0
    np.testing.assert_allclose(found, [0, 1, math.log(2) / math.log(3)], atol=1e-6)


def test_flip_dice_is_the_overlap_with_the_flipped_masks() -> None:
    collector = SignalCollector(LABELS, signal_flips(("x", "y")))
    collector.look(0, (), one_hot(block(3)))
    collector.look(0, ("x",), one_hot(block(5)))  # half of it: Dice .5
    collector.look(0, ("y",), one_hot(block(3)))
    collector.look(0, ("x", "y"), one_hot(block(8)))  # of both axes: not looked at
    assert collector.signals()[0]["front"].flip_dice == pytest.approx(0.75)


def test_a_network_that_is_not_flipped_takes_the_mean_of_those_that_are() -> None:
    collector = SignalCollector(LABELS, signal_flips(("x",)))
    for number, start in enumerate((3, 5)):
        collector.look(number, (), one_hot(block(3)))
        collector.look(number, ("x",), one_hot(block(start)))
    collector.look(2, (), one_hot(block(3)))
    assert [found["front"].flip_dice for found in collector.signals()] == [1, 0.5, 0.75]


def test_without_flips_there_is_no_flip_dice() -> None:
    collector = SignalCollector(LABELS, ())
    collector.look(0, (), one_hot(block()))
    assert math.isnan(collector.signals()[0]["front"].flip_dice)
    assert collector.agreement(one_hot(block())) == {}  # one network cannot disagree


def test_agreement_is_the_mean_overlap_with_the_common_mask() -> None:
    collector = SignalCollector(LABELS, ())
    collector.look(0, (), one_hot(block(3)))
    collector.look(1, (), one_hot(block(5)))
    assert collector.agreement(one_hot(block(3))) == {"front": pytest.approx(0.75)}
