"""Names of folds: `0` and so on, `full-data` for a fit on all cases, `full-data-2` and so on for further ones."""

import re

from hippopt.errors import HippoptError

FULL_DATA = "full-data"
MOST_FITS = 9
_FIT = re.compile(rf"{FULL_DATA}(?:-([2-{MOST_FITS}]))?")


def folder_of_fold(fold: str) -> str:
    """The name of its folder: fold_0, full_data, full_data_2."""
    return f"fold_{fold}" if fold.isdigit() else fold.replace("-", "_")


def fold_of_folder(folder: str) -> str:
    """The fold whose folder has this name."""
    return folder.removeprefix("fold_") if folder.startswith("fold_") else folder.replace("_", "-")


def fit_number(fold: str) -> int | None:
    """1 for `full-data`, N for `full-data-N` (2 to 9): fits on all
    cases, each with a seed of its own. None for any other name.
    """
    found = _FIT.fullmatch(fold)
    return int(found[1] or 1) if found else None


def fold_names(requested: str, count: int, fits: int = 1) -> list[str]:
    """The folds that `0`-`4`, `all`, `full-data` or `full-data-2` stand for, with so many fits of `full-data`.

    Raises HippoptError listing the valid ones.
    """
    valid = [str(number) for number in range(count)]
    if fits != 1 and (requested != FULL_DATA or not 1 <= fits <= MOST_FITS):
        raise HippoptError(f"--fits {fits}: of full-data, from 1 to {MOST_FITS}")
    if requested == "all":
        if valid:
            return valid
        raise HippoptError("fold all: the plan has no folds (too few subjects); use full-data")
    if requested == FULL_DATA:
        return [requested, *(f"{FULL_DATA}-{number}" for number in range(2, fits + 1))]
    if requested in valid or fit_number(requested):
        return [requested]
    raise HippoptError(f"fold {requested!r}: choose one of {', '.join([*valid, 'all', 'full-data'])}")
