"""What hippopt_best compared, as lines for a terminal."""

from collections.abc import Sequence

from hippopt.artifacts.best import Best, Candidate, Difference
from hippopt.reporting.comparison import number, p_text

STEPS = {"run": "runs", "ensemble": "ensembles", "postprocessing": "post-processing"}


def best_lines(best: Best) -> list[str]:
    """The table of candidates: a part per step, each with what it is held against, and the choice at the end."""
    lines: list[str] = []
    for step, title in STEPS.items():
        rows = [candidate for candidate in best.candidates if candidate.step == step]
        if rows:
            against = f", held against {rows[0].against}" if rows[0].against else ""
            lines += [f"{title}{against}:", *_aligned([_cells(row) for row in rows])]
    return [*lines, f"chosen: {best.text}"]


def _cells(row: Candidate) -> dict[str, str]:
    found = {
        "": "*" if row.kept else "",
        "candidate": row.name,
        "Dice": number(row.dice, 4),
        "HD95": number(row.hd95_mm, 2),
        "NSD": number(row.nsd_1mm, 4),
    }
    if row.dice_difference is not None:
        found["Dice, difference"] = difference_text(row.dice_difference, 4)
    if row.hd95_difference is not None:
        found["HD95, difference"] = difference_text(row.hd95_difference, 2)
    return found | {"why": row.why}


def difference_text(found: Difference, digits: int) -> str:
    """`+0.0100 (+0.0040 to +0.0160), p .0100`, p after Holm."""
    mean, low, high = (number(value, digits, sign=True) for value in (found.mean, found.low, found.high))
    p = "-" if found.p_holm is None else p_text(found.p_holm)
    return f"{mean} ({low} to {high}), p {p}"


def _aligned(rows: Sequence[dict[str, str]]) -> list[str]:
    listed = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(len(line[column]) for line in listed) for column in range(len(listed[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in listed]
