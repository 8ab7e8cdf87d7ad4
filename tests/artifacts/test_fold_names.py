"""Names of folds and of their folders."""

import pytest

from hippopt.artifacts.fold_names import MOST_FITS, fit_number, fold_names, fold_of_folder, folder_of_fold
from hippopt.errors import HippoptError


@pytest.mark.parametrize(
    ("requested", "fits", "names"),
    [
        ("3", 1, ["3"]),
        ("all", 1, ["0", "1", "2", "3", "4"]),
        ("full-data", 1, ["full-data"]),
        ("full-data", 3, ["full-data", "full-data-2", "full-data-3"]),
        ("full-data-4", 1, ["full-data-4"]),
    ],
)
def test_what_is_asked_for(requested: str, fits: int, names: list[str]) -> None:
    assert fold_names(requested, 5, fits) == names


@pytest.mark.parametrize(
    ("requested", "fits", "word"),
    [
        ("5", 1, "'5'"),
        ("full-data-1", 1, "full-data-1"),
        ("full-data-10", 1, "full-data-10"),
        ("full_data", 1, "full_data"),
        ("all", 2, "--fits 2"),
        ("full-data", 0, "--fits 0"),
        ("full-data", MOST_FITS + 1, "--fits"),
        ("full-data-2", 2, "--fits 2"),
    ],
)
def test_what_cannot_be(requested: str, fits: int, word: str) -> None:
    with pytest.raises(HippoptError, match=word):
        fold_names(requested, 5, fits)


def test_folders_there_and_back() -> None:
    names = [*fold_names("all", 12), *fold_names("full-data", 12, MOST_FITS)]
    assert [fold_of_folder(folder_of_fold(name)) for name in names] == names
    assert len({folder_of_fold(name) for name in names}) == len(names)


def test_numbers_of_fits() -> None:
    assert [fit_number(name) for name in ("full-data", "full-data-2", "full-data-9", "0", "all", "full-data-1")] == [
        1,
        2,
        9,
        None,
        None,
        None,
    ]
