"""A file or folder that may not be read is named with its permission."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.synthetic import (
    Command,
    assert_only_failed,
    open_folder,
    run_plan,
    run_predict,
    without_privileges,
    write_scans,
)
from tests.trained import DATASET, assert_stopped


@pytest.fixture
def place(trained_root: Path, run_command: Command) -> Iterator[Path]:
    """A trained workspace that anybody may enter and write to. Everything that the commands import is imported."""
    with open_folder() as folder:
        shutil.copytree(trained_root, folder / "root")
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o777 if path.is_dir() else 0o666)
        assert (
            run_predict(run_command, folder / "root", write_scans(folder / "first", "a.nii.gz"), folder / "out_first")[
                0
            ]
            == 0
        )
        yield folder


def test_row_11_prediction_skips_an_unreadable_scan(place: Path, run_command: Command) -> None:
    scans = write_scans(place / "scans", "a.nii.gz", "b.nii.gz")
    (scans / "b.nii.gz").chmod(0)
    with without_privileges():
        outcome = run_predict(run_command, place / "root", scans, place / "out")
    assert_only_failed(outcome, place / "out", "b", ["a"], str(scans / "b.nii.gz"), "no permission to read", "chmod")


def test_row_11_prediction_from_an_unreadable_folder(place: Path, run_command: Command) -> None:
    scans = write_scans(place / "scans", "a.nii.gz")
    scans.chmod(0)
    with without_privileges():
        assert_stopped(
            run_predict(run_command, place / "root", scans, place / "out"), scans, "Permission denied", code=1
        )
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    "file",
    ["imagesTr/case_001_0000.nii.gz", "labelsTr/case_001.nii.gz", "dataset.json", "labelsTr", "imagesTr", "", ".."],
)
def test_row_11_planning_names_what_is_unreadable(place: Path, run_command: Command, file: str) -> None:
    path = (place / "root" / "raw_data" / DATASET / file).resolve()
    path.chmod(0)
    with without_privileges():
        outcome = run_plan(run_command, place / "root")
    path.chmod(0o777)
    assert_stopped(outcome, path, "ermission", code=1)
