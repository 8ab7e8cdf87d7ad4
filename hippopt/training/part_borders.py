"""Learn from training labels where the parts of a structure meet."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.part_borders import PartBorder, PartBorders
from hippopt.imaging.arrays import ClassMap, Numbers
from hippopt.imaging.cross_sections import best_borders, slice_features
from hippopt.imaging.mask_parts import largest_part

LEAST_CASES = 4
INVERSE_PENALTY = (
    3.0  # of the logistic regression on standardised features; from .5 to 10 hardly matters (docs/experiments.md)
)
LARGEST_SHARE = 0.01  # of the voxels that planes may misplace; labels of a protocol that cuts in slices have .002


def fit_part_borders(
    label_maps: Sequence[ClassMap], names: Sequence[str], spacing_mm: tuple[float, float, float]
) -> PartBorders | None:
    """None where no axis has planes across it that part the labels, or too few cases show them all.

    label_maps: (Z, Y, X) classes, 0 the background; names: of the classes from 1 on. spacing_mm: (Z, Y, X).
    """
    classes = range(1, len(names) + 1)
    whole = [np.asarray(labels) for labels in label_maps]
    whole = [labels for labels in whole if all((labels == value).any() for value in classes)]
    if len(names) < 2 or len(whole) < LEAST_CASES:
        return None
    candidates = []
    for axis in range(3):
        order = _order(whole, axis, len(names))
        found = [best_borders(labels, axis, order) for labels in whole]
        candidates.append((float(np.mean([share for _, share in found])), axis, order, [starts for starts, _ in found]))
    misplaced, axis, order, starts = min(candidates, key=lambda candidate: candidate[0])
    if misplaced > LARGEST_SHARE:
        return None
    rows, beyond = [], []
    for labels, begins in zip(whole, starts, strict=True):
        features, first = slice_features(largest_part(labels > 0), axis, spacing_mm[axis])
        rows.append(features)
        beyond.append(np.arange(first, first + len(features))[:, None] >= np.array(begins))
    values, truth = np.concatenate(rows), np.concatenate(beyond)
    if any(len(np.unique(column)) < 2 for column in truth.T):
        return None
    return PartBorders(
        axis=axis,
        parts=tuple(names[value - 1] for value in order),
        borders=tuple(_fit(values, column) for column in truth.T),
        cases=len(whole),
        misplaced=misplaced,
    )


def _order(whole: Sequence[ClassMap], axis: int, count: int) -> tuple[int, ...]:
    """Classes by their mean place along the axis."""
    middles = [np.mean([np.nonzero(labels == value)[axis].mean() for labels in whole]) for value in range(1, count + 1)]
    return tuple(int(index) + 1 for index in np.argsort(middles))


def _fit(values: Numbers, beyond: npt.NDArray[np.bool_]) -> PartBorder:
    from sklearn.linear_model import LogisticRegression

    centre, scale = values.mean(0), np.maximum(values.std(0), 1e-6)
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=5000).fit((values - centre) / scale, beyond)
    offset = float(model.intercept_[0])
    return PartBorder(offset=offset, centre=_numbers(centre), scale=_numbers(scale), weights=_numbers(model.coef_[0]))


def _numbers(values: Numbers) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
