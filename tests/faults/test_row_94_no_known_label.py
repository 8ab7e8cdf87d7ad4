"""An unknown label value in a mask or a reference stops an evaluation and is named; a label that is absent everywhere
is reported.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import Command, blob_case, save_nifti


def written(folder: Path, values: tuple[int, int, int]) -> Path:
    for number in range(2):
        save_nifti(folder / f"c{number}.nii.gz", np.array(values, np.uint16)[blob_case(number)[1]])
    return folder


@pytest.mark.parametrize(
    ("mask", "label", "told"), [((0, 1, 7), (0, 1, 2), "masks in"), ((0, 1, 2), (0, 1, 7), "labels in")]
)
def test_row_94_a_value_that_no_label_has(
    workspace: Path,
    tmp_path: Path,
    run_command: Command,
    mask: tuple[int, int, int],
    label: tuple[int, int, int],
    told: str,
) -> None:
    masks, labels = written(tmp_path / "p", mask), written(tmp_path / "l", label)
    code, _, err = run_command("evaluate", "-p", masks, "-l", labels, "-d", "Blob", "--root", workspace)
    assert code == 1 and told in err and "hold 7, which is no label that is known (front 1, back 2)" in err
    assert not (masks / "metrics.csv").exists()


def test_row_94_without_names_the_labels_values_are_those_that_are_known(tmp_path: Path, run_command: Command) -> None:
    masks, labels = written(tmp_path / "p", (0, 1, 7)), written(tmp_path / "l", (0, 1, 2))
    code, _, err = run_command("evaluate", "-p", masks, "-l", labels)
    assert code == 1 and "hold 7" in err and "label_1 1, label_2 2" in err


def test_row_94_a_label_that_is_nowhere_is_said(workspace: Path, tmp_path: Path, run_command: Command) -> None:
    masks, labels = written(tmp_path / "p", (0, 1, 1)), written(tmp_path / "l", (0, 1, 1))
    code, _, err = run_command("evaluate", "-p", masks, "-l", labels, "-d", "Blob", "--root", workspace)
    assert code == 0 and "back: absent in every mask and in every label" in err and "front" not in err
