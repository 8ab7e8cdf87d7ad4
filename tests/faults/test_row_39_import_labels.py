"""An import reports label files whose values are not whole, or that label no voxel (rows 39 and 43)."""

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
    assert code == 1 and "task_001.nii.gz: 2 values not whole (0.75, 1.5)" in err and "nearest neighbour" in err
    assert made(tmp_path) == []


def test_row_43_nothing_labelled(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in", values=(0,))
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "every label file is empty" in err and made(tmp_path) == []


def test_malformed_picks_are_wrong_usage(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in")
    code, _, err = run_command(
        "import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path, "--labels", "a:1", "b=2", "c=2"
    )
    assert (
        code == 2 and "'a:1': write NAME=NUMBER" in err and "2 already belongs to 'b'" in err and made(tmp_path) == []
    )
