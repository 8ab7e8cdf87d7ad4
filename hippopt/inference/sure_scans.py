"""Which scans a run's masks are sure enough of for another network to learn from them."""

from collections.abc import Mapping

import numpy as np

from hippopt.inference.flags import CONSTANT, EMPTY, LOCATING, PARTS, SEEN, UNLIKE
from hippopt.inference.volume_table import Lines, fields_of

# what says that the network, and not the person, is unusual; SEEN: its labels are learned from already
DOUBTFUL = (CONSTANT, EMPTY, PARTS, UNLIKE, SEEN, *LOCATING)
LEFT_OUT = 0.2  # of the others, those of the lowest predicted Dice, or agreement of the networks where there is none
JUDGED_BY = ("predicted_dice", "fold_agreement")  # columns of volumes.tsv, the better judge first


def flags_against(lines: Lines) -> str:
    """The flags of a scan's rows that doubt the network, joined; empty where there are none."""
    flags = {flag for row in fields_of(lines) for flag in row["flag"].split("; ")}
    return "; ".join(flag for flag in DOUBTFUL if flag in flags)


def doubtful_scans(found: Mapping[str, Lines]) -> dict[str, str]:
    """Scan -> why its masks are not to be learned from, of the rows of volumes.tsv.

    A fifth of the scans that no flag speaks against is left out too: those of the lowest predicted Dice, the mean over
    their labels; where no Dice is predicted, those whose networks agree least; none where neither is known.
    """
    reasons: dict[str, str] = {}
    scores: dict[str, dict[str, float]] = {name: {} for name in JUDGED_BY}
    for scan, lines in found.items():
        rows, against = fields_of(lines), flags_against(lines)
        if against:
            reasons[scan] = against
            continue
        for name in JUDGED_BY:
            if all(row[name] for row in rows):
                scores[name][scan] = float(np.mean([float(row[name]) for row in rows]))
    sound = [scan for scan in found if scan not in reasons]
    judge = next((name for name in JUDGED_BY if sound and len(scores[name]) == len(sound)), None)
    if judge is not None:
        ranked = sorted(sound, key=lambda scan: (scores[judge][scan], scan))
        words = judge.replace("_", " ").replace("dice", "Dice")
        for scan in ranked[: int(LEFT_OUT * len(sound))]:
            reasons[scan] = f"{words} {scores[judge][scan]:.3f}, among the lowest fifth"
    return reasons
