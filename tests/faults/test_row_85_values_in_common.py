"""Masks and labels that have no value in common are not scored as Dice 0:
both sets of values are named, and --labels says what they mean.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.synthetic import Command, blob_case, save_nifti

CASES = 3


def written(folder: Path, values: tuple[int, int, int]) -> Path:
    for number in range(CASES):
        save_nifti(folder / f"c{number}.nii.gz", np.array(values, np.uint16)[blob_case(number)[1]])
    return folder


def dice(folder: Path) -> dict[str, float]:
    table = pd.read_csv(folder / "metrics.csv")
    return table.groupby("label").dice.mean().to_dict()


@pytest.mark.parametrize("values", [(0, 17, 53), (0, 255, 255), (0, 1000, 0)])
def test_row_85_nothing_in_common(tmp_path: Path, run_command: Command, values: tuple[int, int, int]) -> None:
    masks, labels = written(tmp_path / "p", (0, 1, 2)), written(tmp_path / "l", values)
    code, _, err = run_command("evaluate", "-p", masks, "-l", labels)
    assert code == 1 and "hold the values 1 2" in err and str(max(values)) in err and "--labels NAME=VALUE" in err
    assert not (masks / "metrics.csv").exists()


@pytest.mark.parametrize(
    ("held", "values", "names", "said"),
    [
        ((0, 1, 2), (0, 17, 53), ("left=17", "right=53"), "masks are read as 1 left, 2 right"),
        ((0, 17, 53), (0, 17, 53), ("left=17", "right=53"), ""),
        ((0, 1, 2), (0, 255, 255), ("whole=255,1,2",), ""),
        ((0, 1, 1), (0, 17, 53), ("whole=17,53",), "masks are read as 1 whole"),
    ],
)
def test_row_85_names_given(
    tmp_path: Path,
    run_command: Command,
    held: tuple[int, int, int],
    values: tuple[int, int, int],
    names: tuple[str, ...],
    said: str,
) -> None:
    masks, labels = written(tmp_path / "p", held), written(tmp_path / "l", values)
    code, out, err = run_command("evaluate", "-p", masks, "-l", labels, "--labels", *names)
    assert code == 0, err
    assert said in out
    found = dice(masks)
    assert {name.split("=")[0] for name in names} <= set(found) and set(found.values()) == {1.0}


def test_row_85_names_that_fit_neither(tmp_path: Path, run_command: Command) -> None:
    masks, labels = written(tmp_path / "p", (0, 5, 6)), written(tmp_path / "l", (0, 17, 53))
    code, _, err = run_command("evaluate", "-p", masks, "-l", labels, "--labels", "left=17", "right=53")
    assert code == 1 and "masks hold 5 6, which are neither its values 17 53 nor 1 left, 2 right" in err


def test_row_85_a_data_set_of_other_values(workspace: Path, tmp_path: Path, run_command: Command) -> None:
    labels = written(tmp_path / "l", (0, 17, 53))
    code, _, err = run_command("evaluate", "-p", labels, "-l", labels, "-d", "Blob", "--root", workspace)
    assert code == 1 and "front 1, back 2 are to be scored" in err


def test_row_85_empty_masks_are_scored(tmp_path: Path, run_command: Command) -> None:
    masks, labels = written(tmp_path / "p", (0, 0, 0)), written(tmp_path / "l", (0, 1, 2))
    assert run_command("evaluate", "-p", masks, "-l", labels)[0] == 0
