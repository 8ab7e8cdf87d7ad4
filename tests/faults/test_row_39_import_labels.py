"""An import tells of labels whose values are not whole, negative, undeclared or nowhere (rows 39, 40, 41 and 43)."""

from pathlib import Path

import numpy as np
import pytest

from tests.import_sources import labels, made, save, write_decathlon, write_pair
from tests.synthetic import Command


@pytest.mark.parametrize("pick", [(), ("--labels", "a=1")])
def test_row_39_interpolated_labels(tmp_path: Path, run_command: Command, pick: tuple[str, ...]) -> None:
    source = write_decathlon(tmp_path / "in")
    save(source / "labelsTr" / "task_001.nii.gz", labels(1).astype(np.float32) * 0.75)
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path, *pick)
    assert code == 1 and "task_001.nii.gz: 2 values are not whole (0.75, 1.5)" in err and "nearest neighbour" in err
    assert made(tmp_path) == []


def test_row_40_negative_labels(tmp_path: Path, run_command: Command) -> None:
    source = write_decathlon(tmp_path / "in")
    save(source / "labelsTr" / "task_001.nii.gz", labels(1).astype(np.int16) - 1)
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "task_001.nii.gz: negative values -1 (126 voxels)" in err and made(tmp_path) == []


def test_row_41_undeclared_labels(tmp_path: Path, run_command: Command) -> None:
    source = write_decathlon(tmp_path / "in")
    save(source / "labelsTr" / "task_001.nii.gz", labels(1, (0, 1, 7)))
    save(source / "labelsTr" / "task_002.nii.gz", labels(1, (0, 8)))
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and made(tmp_path) == []
    assert "task_001.nii.gz: values 7 (126 voxels) are not in dataset.json's labels [0, 1, 2]" in err
    assert "task_002.nii.gz: values 8 (189 voxels)" in err
    code, _, _ = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path, "--labels", "a=1,2", "b=7,8")
    assert code == 0  # the remedy that is named


def test_row_41_a_number_in_no_file(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in")
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path, "--labels", "a=1", "b=17,53")
    assert code == 1 and made(tmp_path) == []
    for number in (17, 53):
        assert f"--labels b={number}: in none of 3 label files, which hold 0 1 2; correct the number" in err


def test_row_43_nothing_labelled(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in", values=(0,))
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "every label file is empty" in err and made(tmp_path) == []


def test_malformed_picks_are_wrong_usage(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in")
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path, "--labels", "a:1", "b=2", "c=2")
    assert code == 2 and "'a:1': write NAME=NUMBER" in err and "2 already belongs to 'b'" in err and made(tmp_path) == []
