"""Label values that the data set does not declare are reported with
their counts by importing and by planning, and nothing is guessed.
"""

from pathlib import Path

import numpy as np

from tests.import_sources import labels, made, save, write_decathlon, write_pair
from tests.synthetic import Command, read_mask, run_plan, save_nifti
from tests.trained import DATASET, assert_stopped, contents


def change(workspace: Path, case: str, kind: type, *values: tuple[tuple[int, int, int], float]) -> Path:
    path = workspace / "raw_data" / DATASET / "labelsTr" / f"{case}.nii.gz"
    label = read_mask(path).astype(kind)
    for place, value in values:
        label[place] = value
    return save_nifti(path, label)


def test_row_41_values_that_are_not_declared(workspace: Path, run_command: Command) -> None:
    path = change(workspace, "case_003", np.int16, ((1, 1, 1), 3), ((2, 1, 1), 3), ((3, 1, 1), 300))
    other = change(workspace, "case_004", np.uint8, ((1, 1, 1), 9))
    before = contents(workspace)
    outcome = run_plan(run_command, workspace)
    assert_stopped(
        outcome,
        path,
        "3 (2 voxels), 300 (1 voxels)",
        other,
        "9 (1 voxels)",
        "dataset.json",
        "declare them",
        "2 of 6 cases",
        code=1,
    )
    assert contents(workspace) == before


def test_row_41_undeclared_labels(tmp_path: Path, run_command: Command) -> None:
    source = write_decathlon(tmp_path / "in")
    save(source / "labelsTr" / "task_001.nii.gz", labels(1, (0, 1, 7)))
    save(source / "labelsTr" / "task_002.nii.gz", labels(1, (0, 8)))
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and made(tmp_path) == []
    assert "task_001.nii.gz: values 7 (126 voxels) are not in dataset.json's labels [0, 1, 2]" in err
    assert "task_002.nii.gz: values 8 (189 voxels)" in err
    code, _, _ = run_command(
        "import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path, "--labels", "a=1,2", "b=7,8"
    )
    assert code == 0  # the remedy that is named


def test_row_41_a_number_in_no_file(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in")
    code, _, err = run_command(
        "import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path, "--labels", "a=1", "b=17,53"
    )
    assert code == 1 and made(tmp_path) == []
    for number in (17, 53):
        assert f"--labels b={number}: in none of 3 label files, which hold 0 1 2; correct the number" in err
