"""An empty source, and a source that is the data set itself, stop an import (rows 14 and 15)."""

from pathlib import Path

import pytest

from tests.import_sources import made, write_pair
from tests.synthetic import Command


def test_row_14_import_into_itself(tmp_path: Path, run_command: Command) -> None:
    assert (
        run_command("import_dataset", write_pair(tmp_path / "in"), "--id", 4, "--name", "Test", "--root", tmp_path)[0]
        == 0
    )
    itself = tmp_path / "raw_data" / "Dataset004_Test"
    code, _, err = run_command("import_dataset", itself, "--id", 4, "--name", "Test", "--root", tmp_path, "--overwrite")
    assert code == 2 and "is the data set itself" in err
    assert len(list((itself / "labelsTr").iterdir())) == 3


@pytest.mark.parametrize("hidden", [False, True])
def test_row_15_empty_folder(tmp_path: Path, run_command: Command, hidden: bool) -> None:
    (tmp_path / "in").mkdir()
    if hidden:
        (tmp_path / "in" / ".DS_Store").touch()
    code, _, err = run_command("import_dataset", tmp_path / "in", "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "empty folder; give a folder with" in err and len(err.splitlines()) == 1
    assert made(tmp_path) == []


def test_row_15_empty_folders_of_images_and_labels(tmp_path: Path, run_command: Command) -> None:
    (tmp_path / "in" / "images").mkdir(parents=True)
    (tmp_path / "in" / "labels").mkdir()
    code, _, err = run_command("import_dataset", tmp_path / "in", "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "labels: no image file" in err and made(tmp_path) == []
