"""Warn of labels that a fold cannot learn, or cannot be judged by, since too few cases have them."""

from collections.abc import Sequence

from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Fold
from hippopt.console import counted


def uncovered_labels(folds: Sequence[Fold], fingerprint: Fingerprint) -> list[str]:
    """A line for each label that is in some case, but in none of a fold's training or validation cases."""
    holders = {
        label: {case.id for case in fingerprint.cases if case.labels[label].voxels}
        for label in fingerprint.labels
        if fingerprint.labels[label]
    }
    lines = []
    for label, cases in holders.items():
        for part, ids in (("training", [fold.train for fold in folds]), ("validation", [fold.val for fold in folds])):
            without = [str(number) for number, chosen in enumerate(ids) if cases and not cases & set(chosen)]
            if without:
                meaning = "it is not learnt there" if part == "training" else "its Dice there stays undefined"
                lines.append(
                    f"label {label} is in no {part} case of fold {', '.join(without)} (found in"
                    f" {counted(len(cases), 'case')}); {meaning}"
                )
    return lines
