"""Labels by number: check the values of a label map, pick structures from a parcellation and merge them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hippopt.errors import UsageError
from hippopt.imaging.arrays import LabelMask, StoredMask, value_dtype

Picks = Mapping[str, Sequence[int]]
TABLE_SIZE = 1 << 16  # up to here a look-up table is faster than comparisons
PICK = "declare them, or pick structures with --labels NAME=NUMBER"
LARGEST_LABEL = 65535  # what a data set may declare
SHOWN = 20


def parse_picks(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """`name=48`, `name=1,2` or `name=1+2` as {name: numbers}, in the order given; a repeated name merges.

    Raises UsageError with a line for each text that does not fit.
    """
    picks: dict[str, tuple[int, ...]] = {}
    owner: dict[int, str] = {}
    faults = []
    for text in texts:
        name, equals, listed = text.partition("=")
        name = name.strip()
        parts = [part.strip() for part in listed.replace("+", ",").split(",")]
        if (
            not equals
            or not name
            or not name.isprintable()
            or not all(part.isascii() and part.isdigit() for part in parts)
        ):
            faults.append(
                f"--labels {text!r}: write NAME=NUMBER, or NAME=NUMBER,NUMBER to merge, such as hippocampus_left=17"
            )
            continue
        numbers = [int(part) for part in parts]
        if name.lower() == "background" or 0 in numbers:
            faults.append(f"--labels {text!r}: 0 is the background, which needs no name; pick numbers from 1 on")
            continue
        for number in numbers:
            if owner.setdefault(number, name) != name:
                faults.append(
                    f"--labels {text!r}: {number} already belongs to {owner[number]!r}; give each number one name"
                )
        picks[name] = tuple(dict.fromkeys((*picks.get(name, ()), *numbers)))
    if faults:
        raise UsageError("\n".join(faults))
    return picks


def count_values(label: LabelMask) -> dict[int, int]:
    """label: (Z, Y, X) integers. Voxels of each value that occurs, by rising value."""
    if label.size and label.min() >= 0 and label.max() < TABLE_SIZE:
        counts = np.bincount(label.ravel())
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, numbers = np.unique(label, return_counts=True)
    return {int(value): int(number) for value, number in zip(values, numbers, strict=True)}


def pick(label: LabelMask, picks: Picks) -> StoredMask:
    """label: (Z, Y, X) integers. uint8 (uint16 from 256 names on): 1..n for the names of `picks` in order,
    0 elsewhere.
    """
    dtype = value_dtype(len(picks))
    if label.size and label.min() >= 0 and label.max() < TABLE_SIZE:
        table = np.zeros(TABLE_SIZE, dtype)
        for value, numbers in enumerate(picks.values(), 1):
            table[[number for number in numbers if number < TABLE_SIZE]] = value
        return table[label]
    picked = np.zeros(label.shape, dtype)
    for value, numbers in enumerate(picks.values(), 1):
        for number in numbers:
            picked[label == number] = value
    return picked


def undeclared_values(
    path: Path, counts: Mapping[int, int], declared: Iterable[int] | None, remedy: str = PICK
) -> list[str]:
    """Faults: negative values, and those that are not `declared` (None: any from 0 to 65535 may occur)."""
    allowed = None if declared is None else set(declared)
    faults = []
    negative = {value: count for value, count in counts.items() if value < 0}
    if negative:
        faults.append(f"{path}: negative values {listed_counts(negative)}; give the background the value 0")
    unknown = {
        v: n for v, n in counts.items() if v >= 0 and (v > LARGEST_LABEL if allowed is None else v not in allowed)
    }
    if unknown:
        reason = f"above {LARGEST_LABEL}" if allowed is None else f"not in dataset.json's labels {sorted(allowed)}"
        faults.append(f"{path}: values {listed_counts(unknown)} are {reason}; {remedy}")
    return faults


def missing_numbers(picks: Picks, counts: Mapping[str, Mapping[int, int]]) -> tuple[list[str], list[str]]:
    """(faults, warnings) of picked numbers against {case: {value: voxels}}: found in no case, found in some only."""
    found = sorted({value for values in counts.values() for value in values})
    faults, warnings = [], []
    for name, numbers in picks.items():
        for number in numbers:
            lacking = [case for case, values in counts.items() if number not in values]
            if counts and len(lacking) == len(counts):
                faults.append(
                    f"--labels {name}={number}: in none of {len(counts)} label files, which hold"
                    f" {listed_values(found)}; correct the number"
                )
            elif lacking:
                names = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
                warnings.append(f"{name}={number}: missing in {len(lacking)} of {len(counts)} cases ({names})")
    return faults, warnings


def listed_values(values: Sequence[int]) -> str:
    """The values for people: the first 20 of many."""
    shown = " ".join(str(value) for value in values[:SHOWN])
    return f"{shown} ... ({len(values)} values up to {max(values)})" if len(values) > SHOWN else shown


def listed_counts(counts: Mapping[int, int]) -> str:
    """`3 (12 voxels), ...`, eight at most."""
    items = list(counts.items())
    return ", ".join(f"{value} ({count} voxels)" for value, count in items[:8]) + (", ..." if len(items) > 8 else "")
