"""Signals: what one network's probabilities tell of its own mask, label by label. Calibration turns them into a
predicted Dice.

Every signal is oriented so that a better mask tends to have a higher value. All are taken at the target spacing, where
the network saw the scan, so that validation and prediction measure the same thing. Which were tried and left out, and
what a flip is worth: docs/experiments.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from hippopt.imaging.arrays import BinaryMask, ClassMap, Probabilities, Values, class_dtype
from hippopt.imaging.mask_parts import bounding_box, dice

SHELL_VOXELS = 2  # how far "around" a mask reaches: where its border may truly lie
FLIPPED_NETWORKS = 2  # of an ensemble: the flips of more tell little more


@dataclass(frozen=True)
class Signals:
    """One label of one network's mask M.

    soft_dice: the Dice that the probabilities p themselves expect of M, 2 sum_M p / (|M| + sum p). certainty_around: 1
    - mean entropy of all classes (0 to 1) in the shell of SHELL_VOXELS around M. flip_dice: mean Dice of M with the
    masks of the scan flipped along one axis, flipped back; NaN where nothing was flipped.
    """

    soft_dice: float
    certainty_around: float
    flip_dice: float = math.nan


SIGNALS = tuple(field.name for field in fields(Signals))


def signal_flips(axes: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The flips that signals are taken from: each axis that was flipped in training, by itself."""
    return tuple((axis,) for axis in axes)


class SignalCollector:
    """Looks at what each network finds in each flip (`predict_probabilities`), and keeps its signals and its mask.

    labels: name -> class of the network; flips: those that count for flip_dice.
    """

    def __init__(self, labels: Mapping[str, int], flips: tuple[tuple[str, ...], ...]) -> None:
        self._labels, self._flips = labels, flips
        self._classes: list[ClassMap] = []  # by network
        self._signals: list[dict[str, Signals]] = []
        self._flip_dice: list[dict[str, list[float]]] = []

    def look(self, number: int, axes: tuple[str, ...], probabilities: Probabilities) -> None:
        """probabilities: (L, Z, Y, X) of network `number`.

        The scan as it is comes before its flips, networks in their order.
        """
        if axes and axes not in self._flips:
            return
        classes = _class_map(probabilities)
        if not axes:
            assert number == len(self._classes)
            self._classes.append(classes)
            self._signals.append(measure_signals(probabilities, classes, self._labels))
            self._flip_dice.append({label: [] for label in self._signals[-1]})
            return
        for label, found in self._flip_dice[number].items():
            index = self._labels[label]
            found.append(dice(self._classes[number] == index, classes == index))

    def signals(self) -> list[dict[str, Signals]]:
        """By network and label; a label that a network did not find is missing from it.

        A network that was not flipped is given the mean flip_dice of those that were.
        """
        dice = [
            {label: float(np.mean(found)) for label, found in by_label.items() if found} for by_label in self._flip_dice
        ]
        means: dict[str, float] = {}
        for label in self._labels:
            known = [by_label[label] for by_label in dice if label in by_label]
            means[label] = float(np.mean(known)) if known else math.nan
        return [
            {
                label: replace(found, flip_dice=dice[number].get(label, means[label]))
                for label, found in by_label.items()
            }
            for number, by_label in enumerate(self._signals)
        ]

    def agreement(self, mean: Probabilities) -> dict[str, float]:
        """Mean Dice of each network's mask with that of the mean
        probabilities (L, Z, Y, X), by label; empty for one network.
        """
        if len(self._classes) < 2:
            return {}
        whole = _class_map(mean)
        found = {}
        for label, index in self._labels.items():
            inside = whole == index
            if inside.any():
                found[label] = float(np.mean([dice(inside, classes == index) for classes in self._classes]))
        return found


def measure_signals(probabilities: Probabilities, classes: ClassMap, labels: Mapping[str, int]) -> dict[str, Signals]:
    """Signals, but for flip_dice, of each label that the mask
    holds. probabilities: (L, Z, Y, X); classes: their argmax.
    """
    found = {}
    for name, index in labels.items():
        inside = classes == index
        if not inside.any():
            continue
        box = _box_around(inside)
        within = float(probabilities[index][box][inside[box]].sum(dtype=np.float64))
        whole = float(probabilities[index].sum(dtype=np.float64))
        found[name] = Signals(
            soft_dice=2 * within / (float(np.count_nonzero(inside)) + whole),
            certainty_around=_certainty_around(probabilities[(slice(None), *box)], inside[box]),
        )
    return found


def normalised_entropy(probabilities: Values) -> Values:
    """(L, ...) -> (...) float32: -sum p log p over log L; 0 where one class is certain, 1 where all are as likely."""
    total = np.zeros(probabilities.shape[1:], np.float32)
    for values in probabilities:
        total -= values * np.log(np.maximum(values, np.float32(1e-12)))
    total /= np.float32(math.log(max(len(probabilities), 2)))
    return np.clip(total, 0, 1, out=total)


def _class_map(probabilities: Probabilities) -> ClassMap:
    return probabilities.argmax(0).astype(class_dtype(len(probabilities)))


def _certainty_around(probabilities: Probabilities, inside: BinaryMask) -> float:
    from scipy import ndimage

    around = ndimage.binary_dilation(inside, np.ones((3, 3, 3)), iterations=SHELL_VOXELS) & ~inside
    return 1 - float(normalised_entropy(probabilities[:, around]).mean(dtype=np.float64)) if around.any() else 1.0


def _box_around(inside: BinaryMask) -> tuple[slice, slice, slice]:
    """The box of a mask that is not empty, SHELL_VOXELS wider on each side."""
    found = bounding_box(inside)
    assert found is not None
    z, y, x = (
        slice(max(first - SHELL_VOXELS, 0), first + count + SHELL_VOXELS) for first, count in zip(*found, strict=True)
    )
    return z, y, x
