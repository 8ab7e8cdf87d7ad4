"""Which masks to correct first, since they are probably the worst: a mark in the `flag` column of volumes.tsv.

The mark is relative to the other scans of the folder, so it is set where the whole table is written, and taken off
where rows are read.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hippopt.console import Console
from hippopt.inference.flags import CONSTANT, CORRECT, SEEN
from hippopt.inference.volume_table import Lines, fields_of, line_of

MOST = 10  # masks: an afternoon of outlining
SHARE = 3  # and at most one mask in so many, since the order of the better ones says little
NAMED = 3
MEASURES = ("predicted_dice", "fold_agreement")  # the first that any scan has: the second needs no calibration


@dataclass(frozen=True)
class FirstToCorrect:
    """Scans by rising `measure`, a column of volumes.tsv."""

    scans: tuple[str, ...]
    measure: str


def first_to_correct(found: Mapping[str, Lines]) -> FirstToCorrect:
    """Choose the scans that a person should correct first: those of the lowest measure, in their worst label.

    Scans that the networks were trained on, constant ones, and masks that have no such figure (a person has corrected
    them already) are left out. Of the others at most MOST are chosen, and one in SHARE.
    """
    rows = {scan: fields_of(lines) for scan, lines in found.items()}
    left = {
        scan: fields
        for scan, fields in rows.items()
        if fields and not {SEEN, CONSTANT} & set(fields[0]["flag"].split("; "))
    }
    for measure in MEASURES:
        lowest = {
            scan: min(float(row[measure]) for row in fields if row[measure])
            for scan, fields in left.items()
            if any(row[measure] for row in fields)
        }
        if lowest:
            ordered = sorted(lowest, key=lambda scan: (lowest[scan], scan))
            return FirstToCorrect(tuple(ordered[: min(MOST, len(ordered) // SHARE)]), measure)
    return FirstToCorrect((), MEASURES[0])


def marked(found: Mapping[str, Lines], chosen: Collection[str]) -> dict[str, Lines]:
    """Put the mark first among the flags of every label of the chosen scans."""
    return {scan: _flagged(lines, [CORRECT]) if scan in chosen else lines for scan, lines in found.items()}


def unmarked(found: Mapping[str, Lines]) -> dict[str, Lines]:
    """Take the marks off."""
    return {scan: _flagged(lines, []) if CORRECT in "".join(lines) else lines for scan, lines in found.items()}


def say_first(found: FirstToCorrect | None, console: Console) -> None:
    """Say which masks to correct first, where any is marked so."""
    if found is None or not found.scans:
        return
    by = "predicted Dice" if found.measure == MEASURES[0] else "agreement of the folds"
    more = f" and {len(found.scans) - NAMED} more" if len(found.scans) > NAMED else ""
    console.say(
        f"to correct first, by the lowest {by}: {', '.join(found.scans[:NAMED])}{more} (`{CORRECT}` in volumes.tsv);"
        " hippopt_correct takes corrected masks"
    )


def _flagged(lines: Lines, first: list[str]) -> Lines:
    rows = []
    for fields in fields_of(lines):
        others = [flag for flag in fields["flag"].split("; ") if flag and flag != CORRECT]
        rows.append(line_of([*({**fields, "flag": "; ".join([*first, *others])}).values()]))
    return tuple(rows)
