"""What label positions tell: sides, order along axes, and labels that contradict their names."""

from collections.abc import Sequence

import numpy as np

from hippopt.artifacts.fingerprint import CaseFingerprint
from hippopt.artifacts.sides import Side, pair_names
from hippopt.imaging.arrays import Numbers

LEAST_CASES = 5
ONE_HANDED = 0.9  # share of the cases that must agree
AXES = ("z", "y", "x")
CONSISTENT = 0.95  # share of the cases that must agree
ORDERED_SHARE = 0.25  # least share of the distance between two labels that lies along the axis


def _differences(cases: Sequence[CaseFingerprint], first: str, second: str) -> Numbers:
    """(N, 3) centroid of `second` minus centroid of `first`, mm (Z, Y, X), over the cases that have both."""
    pairs = [(case.labels[first].centroid_mm, case.labels[second].centroid_mm) for case in cases]
    rows = [np.subtract(b, a) for a, b in pairs if a is not None and b is not None]
    return np.array(rows).reshape(-1, 3)


def ordered_axes(cases: Sequence[CaseFingerprint], labels: Sequence[str]) -> tuple[str, ...]:
    """Axes along which some pair of labels stands in the same order in nearly all cases."""
    found = set()
    for position, first in enumerate(labels):
        for second in labels[position + 1 :]:
            differences = _differences(cases, first, second)
            if not len(differences):
                continue
            positive = (differences > 0).mean(0)
            share = np.abs(differences.mean(0)) / max(float(np.linalg.norm(differences.mean(0))), 1e-6)
            agree = np.maximum(positive, 1 - positive) >= CONSISTENT
            found |= {AXES[axis] for axis in range(3) if agree[axis] and share[axis] >= ORDERED_SHARE}
    return tuple(axis for axis in ("x", "y", "z") if axis in found)


def one_handed(cases: Sequence[CaseFingerprint], labels: Sequence[str]) -> bool:
    """Whether all scans show the structure of one side: a pair of labels lies one way across x, as no mirror image
    does.

    On 208 hippocampi of one side the posterior part lies 2.0 mm (standard deviation 1.5) left of the anterior one, in
    92 % of the cases. False where both sides are mixed, and where it cannot be told: few cases, or a single label.
    """
    for position, first in enumerate(labels):
        for second in labels[position + 1 :]:
            across = _differences(cases, first, second)[:, 2]
            agree = max(float((across > 0).mean()), float((across < 0).mean())) if len(across) >= LEAST_CASES else 0.0
            if agree >= ONE_HANDED and abs(across.mean()) >= across.std(ddof=1):
                return True
    return False


def geometric_sides(cases: Sequence[CaseFingerprint], labels: Sequence[str]) -> dict[str, Side]:
    """Labels that form a pair across the midplane: of like volume, apart along x in nearly all cases. +x is right."""
    sides: dict[str, Side] = {}
    for position, first in enumerate(labels):
        for second in labels[position + 1 :]:
            both = [case for case in cases if case.labels[first].box and case.labels[second].box]
            if not both:
                continue
            ratio = np.array([case.labels[first].volume_mm3 / case.labels[second].volume_mm3 for case in both])
            apart = np.array([_apart_along_x(case, first, second) for case in both])
            if not 0.5 < np.median(ratio) < 2:
                continue
            if (apart < 0).mean() >= CONSISTENT:
                sides.update({first: "left", second: "right"})
            elif (apart > 0).mean() >= CONSISTENT:
                sides.update({first: "right", second: "left"})
    return sides


def _apart_along_x(case: CaseFingerprint, first: str, second: str) -> int:
    """-1 when `first` lies wholly left of `second`, +1 when wholly right, 0 when they overlap along x."""
    a, b = case.labels[first].box, case.labels[second].box
    if a is None or b is None:
        return 0
    if a.start[2] + a.size[2] <= b.start[2]:
        return -1
    return 1 if b.start[2] + b.size[2] <= a.start[2] else 0


def side_warnings(cases: Sequence[CaseFingerprint], named: dict[str, Side], geometric: dict[str, Side]) -> list[str]:
    """Where names and geometry disagree: for the whole data set, or in single cases (a flipped label, perhaps)."""
    wrong = [label for label, side in named.items() if geometric.get(label, side) != side]
    if wrong:
        return [
            f"{', '.join(wrong)}: named {named[wrong[0]]}, but lies on the other side in the scans; check names and"
            " orientations"
        ]
    warnings = []
    for case in cases:
        for left, right in pair_names(named):
            first, second = case.labels[left].centroid_mm, case.labels[right].centroid_mm
            if first and second and first[2] > second[2]:
                warnings.append(f"{case.id}: {left} lies right of {right}; was the label or the scan flipped?")
    return warnings
