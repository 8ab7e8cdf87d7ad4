"""A plan that was made for other data than those at hand is refused."""

import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.synthetic import Command, save_nifti, write_dataset
from tests.trained import DATASET, assert_stopped, contents, copied, edit_json, plan_path, run_path, train_arguments


def change_one_voxel(path: Path) -> None:
    image = nibabel.load(path)
    array = np.asarray(image.dataobj).copy()
    array[9, 13, 7] = 0 if array[9, 13, 7] else 1
    save_nifti(path, array, image.affine)


@pytest.mark.parametrize("file", ["imagesTr/case_002_0000.nii.gz", "labelsTr/case_002.nii.gz"])
def test_row_52_a_changed_voxel_stops_planning_and_training(
    trained_root: Path, tmp_path: Path, run_command: Command, file: str
) -> None:
    root = copied(trained_root, tmp_path)
    change_one_voxel(root / "raw_data" / DATASET / file)
    before = contents(root)
    assert_stopped(run_command("train", *train_arguments(root, fold=2)), "fingerprint.json", "case_002", "hippopt_plan")
    assert_stopped(run_command("plan", "--root", root, "--device", "cpu"), plan_path(root), "hash", "--overwrite")
    assert contents(root) == before


def test_row_52_a_case_more_or_less_stops_training(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    folder = root / "raw_data" / DATASET
    for kind in ("imagesTr/case_005_0000.nii.gz", "labelsTr/case_005.nii.gz"):
        (folder / kind).rename(folder / kind.replace("005", "006"))
    edit_json(folder / "dataset.json", lambda data: data["subjects"].update(case_006=data["subjects"].pop("case_005")))
    assert_stopped(run_command("train", *train_arguments(root, fold=2)), "fingerprint.json", "case_006", "case_005")


def test_row_52_other_labels_or_subjects_stop_training(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    edit_json(root / "raw_data" / DATASET / "dataset.json", lambda data: data["subjects"].update(case_000="S01"))
    assert_stopped(run_command("train", *train_arguments(root, fold=2)), "fingerprint.json", "dataset.json")


def test_row_52_files_that_were_only_touched_are_read_again_and_accepted(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    for path in (root / "raw_data" / DATASET).rglob("*.nii.gz"):
        os.utime(path, (0, 0))
    code, _, err = run_command("train", *train_arguments(root))
    assert code == 0, err


def test_row_52_the_records_of_another_dataset_are_refused(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    write_dataset(root, cases=3, name="Dataset008_Other")
    for folder in ("plans", "preprocessed"):
        shutil.copytree(root / folder / DATASET, root / folder / "Dataset008_Other")
    arguments = ["Other", *train_arguments(root)[1:]]
    assert_stopped(run_command("train", *arguments), "Dataset008_Other", DATASET)
    assert_stopped(run_command("plan", "Other", "--root", root, "--device", "cpu"), "Dataset008_Other", "hash")
    assert not run_path(root).with_name("Dataset008_Other").exists()
