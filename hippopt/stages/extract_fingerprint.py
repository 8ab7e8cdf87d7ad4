"""Stage 2: what the cases have in common."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.dataset import Dataset
from hippopt.artifacts.fingerprint import CaseFingerprint, Fingerprint
from hippopt.artifacts.sides import unread_sides
from hippopt.planning.geometry import geometric_sides, ordered_axes, side_warnings
from hippopt.planning.mirrored_cases import mirrored_cases
from hippopt.sources.survey import CaseSurvey

SPREAD = 20.0  # a case whose contrast differs from the median this many times is worth a word
SHOWN = 5
OUTSIDE = 0.2  # share of a structure on zero-valued voxels that makes a flipped or shifted label likely


def extract_fingerprint(dataset: Dataset, surveys: Sequence[CaseSurvey]) -> Fingerprint:
    """Make the fingerprint of a verified data set. Whatever could be wrong with a case, verify_dataset has refused.

    Args:
        dataset: the data set as a record.
        surveys: what was read of each case, in the data set's order.

    Returns:
        Grids, boxes, volumes (mm3) and intensities per case, their median spacing (mm) and shape (Z, Y, X), hashes of
        all files, and warnings of what is odd.
    """
    cases = tuple(survey.fingerprint for survey in surveys if survey.fingerprint is not None)
    labels = list(dataset.foreground)
    geometric = geometric_sides(cases, labels)
    by_image: dict[str, list[str]] = {}
    for case in cases:
        by_image.setdefault(case.image_hash, []).append(case.id)
    duplicates = tuple(tuple(ids) for ids in by_image.values() if len(ids) > 1)
    unread = unread_sides(dataset.foreground, dataset.sides)
    warnings = [*([unread] if unread else []), *side_warnings(cases, dataset.sides, geometric)]
    warnings += [f"{', '.join(ids)}: identical images; they are kept in one fold" for ids in duplicates]
    warnings += _label_warnings(dataset, cases) + _place_warnings(surveys, cases)
    spacing = np.median([case.ras_spacing_mm for case in cases], 0)
    shape = np.median([case.ras_shape for case in cases], 0)
    return Fingerprint(
        dataset=dataset.name,
        dataset_hash=dataset_hash(dataset, {case.id: (case.image_hash, case.label_hash) for case in cases}),
        channel_names=dataset.channel_names,
        labels=dataset.labels,
        sides=dataset.sides,
        geometric_sides=geometric,
        ordered_axes=ordered_axes(cases, labels),
        median_spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        median_shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        orientations=dict(Counter(case.orientation for case in cases)),
        duplicates=duplicates,
        warnings=tuple(warnings),
        cases=cases,
    )


def dataset_hash(dataset: Dataset, contents: dict[str, tuple[str, str]]) -> str:
    """Hash over names, subjects and voxel data; where the files lie and how they are stored does not matter."""
    subjects = {case.id: case.subject for case in dataset.cases}
    return content_hash([dataset.channel_names, dataset.labels, dict(dataset.sides), subjects, contents])


def _label_warnings(dataset: Dataset, cases: Sequence[CaseFingerprint]) -> list[str]:
    warnings = []
    for label in dataset.foreground:
        absent = sum(case.labels[label].voxels == 0 for case in cases)
        if absent == len(cases):
            warnings.append(f"label {label} is in no case; remove it from dataset.json or check the label files")
    ranges = np.array([case.channels[0].percentile_99_5 - case.channels[0].percentile_00_5 for case in cases])
    wide = (ranges > SPREAD * np.median(ranges)) | (ranges < np.median(ranges) / SPREAD)
    if wide.any():
        named = _some([case.id for case, far in zip(cases, wide, strict=True) if far])
        warnings.append(
            f"{named}: intensities differ over {SPREAD:.0f} times from the other cases'; each image is normalised by"
            " itself"
        )
    return warnings


def _place_warnings(surveys: Sequence[CaseSurvey], cases: Sequence[CaseFingerprint]) -> list[str]:
    warnings = [
        f"{survey.case}: {survey.on_zero:.0%} of the labels lie on image voxels of value 0; was the label flipped or"
        " shifted?"
        for survey in surveys
        if survey.on_zero > OUTSIDE
    ]
    mirrored = mirrored_cases(cases)
    if mirrored:
        warnings.append(
            f"{_some(mirrored)}: the labels lie where the others' would lie mirrored left to right; was the label or"
            " the scan flipped?"
        )
    return warnings


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
