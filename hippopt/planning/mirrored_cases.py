"""Cases whose labels lie where the mirror image of the other cases' labels would lie: flipped left to
right, perhaps.
"""

from collections.abc import Sequence

import numpy as np

from hippopt.artifacts.fingerprint import CaseFingerprint

LEAST_CASES = 4
# on 208 hippocampi of the Decathlon, all stored on one side: 2 cases suspected, and 194 of 208 when each is mirrored
FAR = 4.0  # robust standard deviations from the median
SMALLEST_MM = 0.5  # least standard deviation


def mirrored_cases(cases: Sequence[CaseFingerprint]) -> list[str]:
    """Ids of the cases whose labels' centre lies far from its usual place along x, while the mirrored place is usual.

    Places are relative to the middle of the field of view. Structures of both sides in one scan balance out there, so
    that nothing is found.
    """
    found = {case.id: x for case in cases if (x := _centre_x_mm(case)) is not None}
    if len(found) < LEAST_CASES:
        return []
    places = np.array(list(found.values()))
    usual = float(np.median(places))
    spread = max(1.4826 * float(np.median(np.abs(places - usual))), SMALLEST_MM)
    away, mirrored = np.abs(places - usual) / spread, np.abs(-places - usual) / spread
    return [case for case, far, near in zip(found, away, mirrored, strict=True) if far > FAR and near < far / 2]


def _centre_x_mm(case: CaseFingerprint) -> float | None:
    parts = [(label.voxels, label.centroid_mm[2]) for label in case.labels.values() if label.centroid_mm is not None]
    voxels = sum(count for count, _ in parts)
    return sum(count * x for count, x in parts) / voxels if voxels else None
