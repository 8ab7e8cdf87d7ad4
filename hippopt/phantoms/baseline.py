"""The best that an intensity band inside an average shape can do: what a network has to beat on phantoms."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scan = tuple[NDArray[Any], NDArray[Any]]

SHAPE_THRESHOLDS = tuple(float(share) for share in np.arange(1, 20) / 20)
BAND_EDGES = np.concatenate([[-np.inf], np.linspace(-2.5, 2.5, 51), [np.inf]])  # in standard deviations of the scan


@dataclass(frozen=True)
class BandFit:
    """The settings that gave a score: voxels where more than `shape_threshold` of the training masks agree and the
    z-scored intensity lies in [low, high)."""

    shape_threshold: float
    low: float
    high: float


@dataclass(frozen=True)
class ThresholdBaseline:
    """Mean Dice over the test scans, each score at the settings that suit it best on those very scans.

    mean_foreground_dice: the mean of label_dice, (label 1, label 2). whole_dice: both labels as one structure.
    """

    mean_foreground_dice: float
    label_dice: tuple[float, float]
    whole_dice: float
    mean_foreground_fit: BandFit
    whole_fit: BandFit


def threshold_baseline(train: list[Scan], test: list[Scan]) -> ThresholdBaseline:
    """Score the best intensity band inside the average training shape: an upper bound, since it is chosen on the test.

    train, test: (image, label) pairs, (Z, Y, X), all of one orientation and spacing, labels 0, 1 and 2. Scans of
    different shape are laid centre on centre. Inside the shape a voxel gets the label that most training masks have.
    """
    if not train or not test:
        raise ValueError("threshold_baseline needs at least one training and one test scan")
    canvas = tuple(max(sizes) for sizes in zip(*(label.shape for _, label in train + test), strict=True))
    masks = [_centred(label, canvas, 0) for _, label in train]
    first, second = (np.mean([mask == value for mask in masks], axis=0) for value in (1, 2))
    vote = np.where(first >= second, 1, 2)
    scans = [(_band_index(image, canvas), _centred(label, canvas, 0)) for image, label in test]

    best_mean, best_whole = -1.0, -1.0
    for threshold in SHAPE_THRESHOLDS:
        inside = first + second > threshold
        one, two, whole = (
            np.mean([_dice_of_bands(bins, where, truth) for bins, where, truth in triples], axis=0)
            for triples in (
                [(bins, inside & (vote == 1), label == 1) for bins, label in scans],
                [(bins, inside & (vote == 2), label == 2) for bins, label in scans],
                [(bins, inside, label > 0) for bins, label in scans],
            )
        )
        low, high = np.unravel_index(np.argmax(one + two), one.shape)
        if (mean := float(one[low, high] + two[low, high]) / 2) > best_mean:
            best_mean, labels = mean, (float(one[low, high]), float(two[low, high]))
            mean_fit = BandFit(threshold, float(BAND_EDGES[low]), float(BAND_EDGES[high]))
        low, high = np.unravel_index(np.argmax(whole), whole.shape)
        if whole[low, high] > best_whole:
            best_whole = float(whole[low, high])
            whole_fit = BandFit(threshold, float(BAND_EDGES[low]), float(BAND_EDGES[high]))
    return ThresholdBaseline(best_mean, labels, best_whole, mean_fit, whole_fit)


def _centred(array: NDArray[Any], canvas: tuple[int, ...], fill: int) -> NDArray[Any]:
    margins = [(total - size) // 2 for total, size in zip(canvas, array.shape, strict=True)]
    out = np.full(canvas, fill, array.dtype)
    out[tuple(slice(margin, margin + size) for margin, size in zip(margins, array.shape, strict=True))] = array
    return out


def _band_index(image: NDArray[Any], canvas: tuple[int, ...]) -> NDArray[Any]:
    """image (Z, Y, X) -> for each voxel of the canvas the bin of its z-score; -1 where the scan does not reach."""
    values = image.astype(np.float64)
    z_score = (values - values.mean()) / max(float(values.std()), 1e-12)
    return _centred(np.digitize(z_score, BAND_EDGES[1:-1]), canvas, -1)


def _dice_of_bands(bins: NDArray[Any], where: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice of {where, low <= intensity < high} with truth, for every (low, high) pair of BAND_EDGES.

    With counts cumulated over bins, voxels in a band are a difference of two entries: |A| = n[high] - n[low]. Bands
    with low >= high have no voxel and score 0; if truth is empty too, so does everything: such scans do not occur in a
    phantom.
    """
    size = len(BAND_EDGES)

    def cumulated(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        found = bins[mask & (bins >= 0)].astype(np.intp)
        counts = np.concatenate([[0], np.cumsum(np.bincount(found, minlength=size - 1))])
        return np.maximum(counts[None, :] - counts[:, None], 0).astype(np.float64)

    both = cumulated(where & truth)
    return 2 * both / np.maximum(cumulated(where) + truth.sum(), 1)
