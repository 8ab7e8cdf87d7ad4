"""Metrics of one case: overlap, surface distances and volumes, label by label. Arrays are (Z, Y, X), spacing (z, y, x)
mm.

The surface of a mask is the set of its voxels with at least one of the 6 face neighbours outside the mask; what lies
beyond the edge of the array counts as outside. A distance is taken between voxel centres in mm, from each surface voxel
of one mask to the nearest surface voxel of the other. All surface voxels weigh the same, whatever area they cover.
These are the definitions of `monai.metrics` (without `use_subvoxels`), which the tests hold these numbers against.

The nearest voxel is found with `scipy.spatial.KDTree`: exact as a distance transform is, but its time follows the
number of surface voxels, not the box around them, so that one stray voxel in a corner of the scan costs nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from hippopt.errors import DatasetError
from hippopt.imaging.arrays import BinaryMask, LabelMask, Numbers
from hippopt.imaging.mask_parts import around, dice

NSD_TOLERANCE_MM = 1.0
# Spacings come from float32 headers: a voxel of "1 mm" may be 1.0000001 mm, and must not fall outside 1 mm for that.
TOLERANCE_SLACK_MM = 1e-5

ABSENT_IN_BOTH = "absent in both"
MISSING_IN_PREDICTION = "missing in prediction"
ABSENT_IN_REFERENCE = "absent in reference"

EMPTY_RULE = (
    "A label absent in prediction and reference scores Dice = NSD = 1 and distances of 0 mm (note 'absent in both'). A"
    " label present in only one of them scores Dice = NSD = 0 and has no HD95 and no mean surface distance (note"
    " 'missing in prediction' or 'absent in reference'): such cases stay in the means of Dice, NSD and volumes, are"
    " left out of the means of distances, and are counted in n_without_distance. Without a reference volume there is no"
    " relative volume difference. The mean over foreground labels has no distance where one of its labels has none."
)


@dataclass(frozen=True)
class LabelScore:
    """Scores of one label of one case; NaN where EMPTY_RULE leaves a value undefined.

    Differences: prediction - reference.
    """

    label: str
    dice: float
    hd95_mm: float
    nsd_1mm: float
    msd_mm: float
    volume_predicted_mm3: float
    volume_reference_mm3: float
    volume_difference_mm3: float
    volume_difference_percent: float
    note: str = ""


def score_case(
    prediction: LabelMask,
    reference: LabelMask,
    spacing_mm: Sequence[float],
    labels: Mapping[str, int],
) -> list[LabelScore]:
    """Score each label of `labels` (name -> value, without the background), in its order.

    prediction, reference: (Z, Y, X) integers on the same grid. Values that `labels` does not name are ignored. Empty
    labels follow EMPTY_RULE. Raises DatasetError for arrays or a spacing that cannot be compared, all faults at once.
    """
    if 0 in labels.values():
        raise ValueError(f"labels name the background (value 0): {dict(labels)}")
    _check(prediction, reference, spacing_mm)
    box = around((prediction != 0) | (reference != 0))
    prediction, reference = prediction[box], reference[box]
    return [score_label(name, prediction == value, reference == value, spacing_mm) for name, value in labels.items()]


def score_label(label: str, prediction: BinaryMask, reference: BinaryMask, spacing_mm: Sequence[float]) -> LabelScore:
    """Score one label. prediction, reference: (Z, Y, X) bool masks. Empty masks follow EMPTY_RULE."""
    voxel_mm3 = math.prod(float(step) for step in spacing_mm)
    n_predicted, n_reference = int(np.count_nonzero(prediction)), int(np.count_nonzero(reference))
    note = ""
    if n_predicted and n_reference:
        forth, back = directed_distances_mm(prediction, reference, spacing_mm)
        hd95, nsd, msd = (
            hd95_mm(forth, back),
            normalised_surface_dice(forth, back),
            mean_surface_distance_mm(forth, back),
        )
    elif n_predicted == n_reference:
        note, hd95, nsd, msd = ABSENT_IN_BOTH, 0.0, 1.0, 0.0
    else:
        note, hd95, nsd, msd = (ABSENT_IN_REFERENCE if n_predicted else MISSING_IN_PREDICTION), math.nan, 0.0, math.nan
    difference = n_predicted - n_reference
    percent = 100.0 * difference / n_reference if n_reference else (math.nan if difference else 0.0)
    return LabelScore(
        label=label,
        dice=dice(prediction, reference),
        hd95_mm=hd95,
        nsd_1mm=nsd,
        msd_mm=msd,
        volume_predicted_mm3=n_predicted * voxel_mm3,
        volume_reference_mm3=n_reference * voxel_mm3,
        volume_difference_mm3=difference * voxel_mm3,
        volume_difference_percent=percent,
        note=note,
    )


def directed_distances_mm(
    prediction: BinaryMask,
    reference: BinaryMask,
    spacing_mm: Sequence[float],
) -> tuple[Numbers, Numbers]:
    """Distances (mm) from each surface voxel of the prediction to the reference's surface, and the other way about.

    prediction, reference: (Z, Y, X) bool masks, neither of them empty.
    """
    predicted, referred = surface_points_mm(prediction, spacing_mm), surface_points_mm(reference, spacing_mm)
    if not len(predicted) or not len(referred):
        raise ValueError("an empty mask has no surface to measure from")
    return _nearest(predicted, referred), _nearest(referred, predicted)


def surface_points_mm(mask: BinaryMask, spacing_mm: Sequence[float]) -> Numbers:
    """Surface voxels of a bool mask (Z, Y, X), as (N, 3) positions in mm from voxel (0, 0, 0)."""
    box = around(mask)
    inside = mask[box]
    # default structuring element: the 6-neighbourhood; border_value 0: beyond the box lies outside
    surface = inside & ~binary_erosion(inside)
    corner = np.array([side.start for side in box])
    points: Numbers = (np.argwhere(surface) + corner) * np.asarray(spacing_mm, dtype=float)
    return points


def hd95_mm(forth: Numbers, back: Numbers) -> float:
    """The larger of the two directed 95th percentiles (linearly interpolated), not the percentile of the pooled sets.

    forth, back: (N,) and (M,) of `directed_distances_mm`, as in the two functions below.
    """
    return float(max(np.percentile(forth, 95), np.percentile(back, 95)))


def normalised_surface_dice(forth: Numbers, back: Numbers, tolerance_mm: float = NSD_TOLERANCE_MM) -> float:
    """Share of all surface voxels, of both masks together, that lie within the tolerance of the other surface."""
    limit = tolerance_mm + TOLERANCE_SLACK_MM
    within = int(np.count_nonzero(forth <= limit)) + int(np.count_nonzero(back <= limit))
    return within / (len(forth) + len(back))


def mean_surface_distance_mm(forth: Numbers, back: Numbers) -> float:
    """Average symmetric surface distance: the mean over the pooled sets, (sum forth + sum back) / (|forth|
    + |back|).
    """
    return float((forth.sum() + back.sum()) / (len(forth) + len(back)))


def _nearest(points: Numbers, targets: Numbers) -> Numbers:
    # points on a grid fill space evenly, so that the tree needs no balancing: built several times quicker, same answers
    distances: Numbers = KDTree(targets, balanced_tree=False, compact_nodes=False).query(points)[0]
    return distances


def _check(prediction: npt.NDArray[Any], reference: npt.NDArray[Any], spacing_mm: Sequence[float]) -> None:
    faults = []
    if prediction.shape != reference.shape:
        faults.append(f"prediction has shape {prediction.shape}, reference {reference.shape}; bring both to one grid")
    for name, array in (("prediction", prediction), ("reference", reference)):
        if array.ndim != 3:
            faults.append(f"{name} has {array.ndim} axes, expected 3 (Z, Y, X)")
        if array.dtype.kind not in "biu":
            faults.append(f"{name} holds {array.dtype}, expected integer labels; round them before scoring")
    if len(spacing_mm) != 3 or not all(math.isfinite(step) and step > 0 for step in spacing_mm):
        faults.append(f"spacing is {tuple(spacing_mm)}, expected three lengths above 0 mm")
    if faults:
        raise DatasetError("cannot score: " + "; ".join(faults))
