"""Folds that were drawn elsewhere: nnU-Net's splits_final.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hippopt.artifacts.case_tables import missing_path, near_names
from hippopt.artifacts.codec import parse_json
from hippopt.artifacts.plan import Fold
from hippopt.errors import PlanError

SPLITS = "splits_final.json"
FORM = 'a list of {"train": [case, ...], "val": [case, ...]}, as nnU-Net writes it'
SHOWN = 3


def read_splits(path: Path, cases: Sequence[str]) -> tuple[tuple[Fold, ...], list[str]]:
    """(folds, cases of the data set that are in none of them). cases: ids of the data set.

    Raises PlanError naming the file, the fold and what does not fit; whether a subject stands on both sides is a rule
    of plans.
    """
    try:
        data = parse_json(path.read_bytes(), path)
    except FileNotFoundError:
        raise PlanError(f"--splits {missing_path(path)}") from None
    except OSError as error:
        raise PlanError(f"--splits {path}: cannot be read ({error.strerror}); give a file") from None
    if not isinstance(data, list) or not data:
        raise PlanError(f"--splits {path}: {FORM} is expected")
    folds = tuple(_fold(number, entry, path, cases) for number, entry in enumerate(data))
    used = {case for fold in folds for case in (*fold.train, *fold.val)}
    return folds, [case for case in cases if case not in used]


def _fold(number: int, entry: Any, path: Path, cases: Sequence[str]) -> Fold:
    sides = [entry.get(side) if isinstance(entry, dict) else None for side in ("train", "val")]
    if not all(isinstance(side, list) and all(isinstance(case, str) for case in side) for side in sides):
        raise PlanError(f"--splits {path}: fold {number}: {FORM} is expected")
    train, val = (tuple(dict.fromkeys(side)) for side in sides if side is not None)
    unknown = [case for case in (*train, *val) if case not in cases]
    if unknown:
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        near = (
            near_names(unknown[0], cases)
            or f"; there are {', '.join(cases[:SHOWN])}{', ...' if len(cases) > SHOWN else ''}"
        )
        raise PlanError(f"--splits {path}: fold {number}: no such case: {', '.join(unknown[:SHOWN])}{more}{near}")
    return Fold(train=train, val=val)
