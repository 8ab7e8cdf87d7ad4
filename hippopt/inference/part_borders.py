"""Place the borders between the parts of a structure by its cross-sections and by what the networks found there."""

from collections.abc import Sequence

import numpy as np

from hippopt.artifacts.part_borders import PartBorders
from hippopt.artifacts.weights import AdapterCard
from hippopt.errors import WeightsError
from hippopt.imaging.arrays import BinaryMask, Numbers, Probabilities
from hippopt.imaging.cross_sections import FEATURES, slice_features
from hippopt.imaging.mask_parts import largest_part

NETWORK_WEIGHT = 0.3  # of the networks' log-odds of a slice beside those of its cross-section (docs/experiments.md)
DOUBT = 0.02  # added to the networks' share of a slice: no slice is certain


def learned_borders(cards: Sequence[AdapterCard]) -> tuple[PartBorders, ...]:
    """What the folds learned, of those that learned any.

    Raises WeightsError where it is of other features than these.
    """
    found = tuple(card.part_borders for card in cards if card.part_borders)
    if any(len(border.centre) != FEATURES for learned in found for border in learned.borders):
        raise WeightsError(
            f"part_borders of {cards[0].run}: of other features than this hippopt measures; train the folds anew"
        )
    return found


def place_borders(
    probabilities: Probabilities,
    learned: Sequence[PartBorders],
    class_names: Sequence[str],
    spacing_mm: tuple[float, float, float],
) -> Probabilities:
    """(L, Z, Y, X) -> the same, the parts' common probability given in each slice to one of them. Other classes stay as
    they are.

    learned: by the folds; their log-odds are averaged. spacing_mm: (Z, Y, X). Without a structure, or folds that agree
    on parts and axis, the probabilities come back as they are.
    """
    if not learned or any((each.axis, each.parts) != (learned[0].axis, learned[0].parts) for each in learned):
        return probabilities
    axis, parts = learned[0].axis, learned[0].parts
    classes = [class_names.index(part) for part in parts]
    inside = np.isin(probabilities.argmax(0), classes)
    if not inside.any():
        return probabilities
    main = largest_part(inside)
    features, first = slice_features(main, axis, spacing_mm[axis])
    shares = _shares(probabilities[classes], main, axis)[:, first : first + len(features)]
    starts = [0]
    for border in range(len(parts) - 1):
        odds = np.mean([_log_odds(each, border, features) for each in learned], 0)
        odds = odds + NETWORK_WEIGHT * np.log(shares[border + 1 :].sum(0) / shares[: border + 1].sum(0))
        starts.append(max(starts[-1], first + _best_cut(odds)))
    # (slices,) part of each slice
    owner = np.searchsorted(starts, np.arange(probabilities.shape[axis + 1]), side="right") - 1
    common = probabilities[classes].sum(0)
    out = probabilities.copy()
    for part, value in enumerate(classes):
        out[value] = common * np.expand_dims(owner == part, tuple(other for other in range(3) if other != axis))
    return out


def _log_odds(learned: PartBorders, border: int, features: Numbers) -> Numbers:
    model = learned.borders[border]
    return np.asarray(
        model.offset + (features - np.array(model.centre)) / np.array(model.scale) @ np.array(model.weights)
    )


def _shares(parts: Probabilities, main: BinaryMask, axis: int) -> Numbers:
    """(P, slices): the mean probability of each part within the structure, slice by slice."""
    others = tuple(other for other in range(3) if other != axis)
    voxels = np.maximum(main.sum(others), 1)
    return np.stack([(values * main).sum(others) / voxels for values in parts]) + DOUBT


def _best_cut(odds: Numbers) -> int:
    """The number of slices before the border: the sum of log-odds beyond it less that before it is largest."""
    before = np.concatenate([[0.0], np.cumsum(odds)])
    return int(np.argmax(before[-1] - 2 * before))
