"""Tell whether what was found is as bright or as dark in its scan as the structure was in the training scans.

A scan of another modality, or with inverted contrast, is normalised like any other, and the network finds something in
it. Contrast: mean intensity of the structure minus that of the scan, in standard deviations of the scan; or, for a
model of whole heads, with or without a skull, the same of the box around the structure alone.
"""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from hippopt.artifacts.codec import load_record
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.model_file import UsualContrast
from hippopt.errors import PlanError
from hippopt.imaging.arrays import BinaryMask, LabelMask

# on 208 hippocampi of the Decathlon the contrast is -.74 to -.24; inverted scans have +.24 to +.74. After one training
# scan this margin flags .2 % of the others (.3 flags 2.5 %) and all that are inverted
LEAST_MARGIN = 0.4


def usual_contrast(fingerprint: Fingerprint) -> tuple[float, float] | None:
    """(low, high): the training scans' range in the first channel, widened."""
    first = [case.channels[0] for case in fingerprint.cases if case.foreground_box is not None]
    found = [(channel.foreground_mean - channel.mean) / channel.std for channel in first if channel.std > 0]
    return widened(found) if found else None


def widened(found: Sequence[float]) -> tuple[float, float]:
    """(low, high): the range of these contrasts, widened on each side by its own width."""
    margin = max(max(found) - min(found), LEAST_MARGIN)
    return min(found) - margin, max(found) + margin


def contrast_around(
    image: npt.NDArray[Any],
    mask: LabelMask,
    spacing_mm: tuple[float, float, float],
    around_mm: float,
) -> float | None:
    """The contrast of a mask in an image, both (Z, Y, X), in the box that reaches around_mm beyond each of its labels,
    zeros left out: the mean over the labels; None where there is none.
    """
    found = []
    for box in filter(None, find_objects(mask)):
        reach = [math.ceil(around_mm / mm) for mm in spacing_mm]
        wide = tuple(slice(max(0, s.start - n), s.stop + n) for s, n in zip(box, reach, strict=True))
        values = np.where(np.isfinite(image[wide]), image[wide], 0).astype(np.float64)
        inside = values[mask[wide] != 0]
        tissue = values[values != 0]
        spread = float(tissue.std()) if tissue.size else 0.0
        if spread > 0:
            found.append((float(inside.mean()) - float(tissue.mean())) / spread)
    return float(np.mean(found)) if found else None


def known_contrast(beside_run: Path, fingerprint: Path, fingerprint_hash: str) -> UsualContrast | None:
    """Of the scans that a plan was made for: from their fingerprint, or
    from what came with a model; None where both are gone.
    """
    with contextlib.suppress(PlanError):
        found = load_record(fingerprint, Fingerprint, "hippopt_plan")
        usual = usual_contrast(found) if found.dataset_hash == fingerprint_hash else None
        if usual is not None:
            return UsualContrast(fingerprint_hash=fingerprint_hash, low=usual[0], high=usual[1])
    with contextlib.suppress(PlanError):
        kept = load_record(beside_run, UsualContrast, "hippopt_install")
        return kept if kept.fingerprint_hash == fingerprint_hash else None
    return None


def contrast(image: npt.NDArray[Any], inside: BinaryMask) -> float | None:
    """The contrast of the true voxels of `inside` in an image
    (Z, Y, X); None where it has none. NaN and Inf count as 0.
    """
    if not inside.any():
        return None
    total = squares = chosen = 0.0
    for slab, within in zip(image, inside, strict=True):  # a large scan in float64 at once would take gigabytes
        values = np.where(np.isfinite(slab), slab, 0).astype(np.float64)
        total += float(values.sum())
        chosen += float(values[within].sum())
    mean = total / image.size
    for slab in image:
        squares += float(np.square(np.where(np.isfinite(slab), slab, 0).astype(np.float64) - mean).sum())
    spread = math.sqrt(squares / image.size)
    return None if spread == 0 else (chosen / int(inside.sum()) - mean) / spread
