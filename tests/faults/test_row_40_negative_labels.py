"""Negative label values are reported with their counts by importing
and by planning, and are never taken for something else.
"""

from pathlib import Path

import numpy as np

from tests.import_sources import labels, made, save, write_decathlon
from tests.synthetic import Command, read_mask, run_plan, save_nifti
from tests.trained import DATASET, assert_stopped, contents


def change(workspace: Path, case: str, kind: type, *values: tuple[tuple[int, int, int], float]) -> Path:
    path = workspace / "raw_data" / DATASET / "labelsTr" / f"{case}.nii.gz"
    label = read_mask(path).astype(kind)
    for place, value in values:
        label[place] = value
    return save_nifti(path, label)


def test_row_40_negative_values(workspace: Path, run_command: Command) -> None:
    path = change(workspace, "case_002", np.int16, ((1, 1, 1), -1), ((2, 1, 1), -1))
    before = contents(workspace)
    assert_stopped(
        run_plan(run_command, workspace),
        path,
        "negative",
        "-1 (2 voxels)",
        "[0, 1, 2]",
        "hippopt_import --labels",
        code=1,
    )
    assert contents(workspace) == before


def test_row_40_negative_labels(tmp_path: Path, run_command: Command) -> None:
    source = write_decathlon(tmp_path / "in")
    save(source / "labelsTr" / "task_001.nii.gz", labels(1).astype(np.int16) - 1)
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "task_001.nii.gz: negative values -1 (126 voxels)" in err and made(tmp_path) == []
