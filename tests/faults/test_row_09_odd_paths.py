"""Letters beyond ASCII, blanks and quotes in paths work, and a name whose bytes are no text is reported."""

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tests.synthetic import (
    Command,
    assert_only_failed,
    blob_case,
    read_mask,
    run_plan,
    run_predict,
    write_dataset,
    write_scans,
)
from tests.trained import DATASET, assert_stopped

ODD = "Größe 'n\" 海馬 $(x); [1]*"
NO_TEXT = os.fsdecode(b"caf\xe9.nii.gz")  # Latin-1


def test_row_09_planning_in_an_odd_place(tmp_path: Path, run_command: Command) -> None:
    root = tmp_path / ODD
    folder = write_dataset(root)
    for kind, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        (folder / kind / f"case_003{ending}").rename(folder / kind / f"{ODD}{ending}")
    text = (folder / "dataset.json").read_text().replace('"case_003"', '"' + ODD.replace('"', '\\"') + '"')
    (folder / "dataset.json").write_text(text, encoding="utf-8")
    code, _, err = run_plan(run_command, root)
    assert code == 0, err
    assert (root / "preprocessed" / DATASET / f"{ODD}.npy").exists()


def test_row_09_prediction_from_and_to_an_odd_place(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / ODD, f"{ODD}.nii.gz")
    image = sitk.GetImageFromArray(blob_case(100)[0].T)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # RAS in ITK's world
    sitk.WriteImage(image, str(tmp_path / ODD / f"{ODD} itk.nrrd"))
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out" / ODD)
    assert code == 0, err
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / ODD / f"{ODD} itk.nrrd")))
    np.testing.assert_array_equal(mask.T, read_mask(tmp_path / "out" / ODD / f"{ODD}.nii.gz"))


def test_row_09_names_that_are_no_text(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz")
    (scans / "b.nii.gz").rename(scans / NO_TEXT)
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(outcome, tmp_path / "out", "caf\\udce9", ["a"], "not UTF-8", "rename")


def test_row_09_cases_whose_names_are_no_text(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET / "labelsTr"
    (folder / "case_002.nii.gz").rename(folder / NO_TEXT)
    assert_stopped(run_plan(run_command, workspace), "udce9", "not UTF-8", "rename", code=1)
