"""What is usual for the training scans: volumes, asymmetry of the sides, number of parts."""

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from hippopt.artifacts.codec import load_record
from hippopt.artifacts.cohort import Cohort, Spread
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.errors import PlanError

Pairs = Sequence[tuple[str, str]]  # (left, right) labels of one structure


def asymmetry_percent(left_mm3: float, right_mm3: float) -> float | None:
    """200 (left - right) / (left + right): positive where the left side is larger; None where a side is missing."""
    return 200 * (left_mm3 - right_mm3) / (left_mm3 + right_mm3) if left_mm3 > 0 and right_mm3 > 0 else None


def cohort_of(fingerprint: Fingerprint, pairs: Pairs, cases: Collection[str] | None = None) -> Cohort:
    """Of all cases of a fingerprint, or of those named."""
    chosen = [case for case in fingerprint.cases if cases is None or case.id in cases]
    volumes, parts, asymmetry = {}, {}, {}
    for name, value in fingerprint.labels.items():
        found = [case.labels[name] for case in chosen if value and case.labels[name].voxels]
        if found:
            volumes[name] = _spread([label.volume_mm3 for label in found])
            parts[name] = int(np.median([label.components for label in found]))
    for left, right in pairs:
        both = [asymmetry_percent(case.labels[left].volume_mm3, case.labels[right].volume_mm3) for case in chosen]
        known = [value for value in both if value is not None]
        if known:
            asymmetry[left] = _spread(known)
    return Cohort(fingerprint_hash=fingerprint.dataset_hash, volumes=volumes, parts=parts, asymmetry=asymmetry)


def known_cohort(beside_run: Path, fingerprint: Path, fingerprint_hash: str, pairs: Pairs) -> Cohort | None:
    """Of the scans that a plan was made for: from their fingerprint, or
    from what came with a model; None where both are gone.
    """
    with contextlib.suppress(PlanError):
        found = load_record(fingerprint, Fingerprint, "hippopt_plan")
        if found.dataset_hash == fingerprint_hash:
            return cohort_of(found, pairs)
    with contextlib.suppress(PlanError):
        kept = load_record(beside_run, Cohort, "hippopt_install")
        return kept if kept.fingerprint_hash == fingerprint_hash else None
    return None


def _spread(values: list[float]) -> Spread:
    first, median, third = (round(float(value), 3) for value in np.percentile(values, (25, 50, 75)))
    return Spread(scans=len(values), first_quartile=first, median=median, third_quartile=third)
