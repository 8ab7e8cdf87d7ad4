"""Two outputs of one command never have one name: the second is
given another one, or the command stops before it begins.
"""

from pathlib import Path

import pandas as pd
import pytest

from hippopt.recipes.evaluation import output_names
from tests.synthetic import Command, blob_case, run_predict, save_nifti, write_scans


@pytest.mark.parametrize("name", ["scores.json", "scores.csv", "scores", "scores.JSON", "a.b.json"])
def test_row_90_evaluation(tmp_path: Path, run_command: Command, name: str) -> None:
    labels = save_nifti(tmp_path / "l/c0.nii.gz", blob_case(0)[1]).parent
    code, said, err = run_command("evaluate", "-p", labels, "-l", labels, "-o", tmp_path / name)
    assert code == 0, err
    table, summary = output_names(tmp_path / name)
    assert table.name.casefold() != summary.name.casefold() and str(table) in said and str(summary) in said
    assert pd.read_csv(table).dice.mean() == 1 and summary.read_text().startswith("{")


def test_row_90_evaluation_into_a_folder(tmp_path: Path, run_command: Command) -> None:
    labels = save_nifti(tmp_path / "l/c0.nii.gz", blob_case(0)[1]).parent
    code, _, err = run_command("evaluate", "-p", labels, "-l", labels, "-o", tmp_path)
    assert code == 1 and "is a folder; give the name of a file" in err


@pytest.mark.parametrize("kind", ["uncertainty", "probabilities"])
def test_row_90_a_mask_and_a_map(trained_root: Path, tmp_path: Path, run_command: Command, kind: str) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", f"a_{kind}.nii.gz")
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out", f"--save-{kind}")
    assert code == 1 and f"a_{kind}.nii.gz would be the mask of one scan and a map of another" in err
    assert not (tmp_path / "out").exists()
    assert run_predict(run_command, trained_root, scans, tmp_path / "out")[0] == 0
