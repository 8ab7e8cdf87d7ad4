"""Scans and labels in two folders of any names are imported with --images
and --labels-dir; half of the pair, or SOURCE besides, is refused.
"""

import json
from pathlib import Path

from tests.import_sources import write_pair
from tests.synthetic import Command


def test_row_93_two_folders(tmp_path: Path, run_command: Command) -> None:
    write_pair(tmp_path / "s", images="T1 of 2019", masks="drawn by AB")
    images, labels = tmp_path / "s/T1 of 2019", tmp_path / "elsewhere"
    (tmp_path / "s/drawn by AB").rename(labels)
    command = ("import_dataset", "--id", 1, "--name", "T", "--root", tmp_path / "w")
    code, said, err = run_command(*command, "--images", images, "--labels-dir", labels)
    assert code == 0 and "3 cases" in said, err
    assert json.loads((tmp_path / "w/raw_data/Dataset001_T/dataset.json").read_text())["numTraining"] == 3
    for wrong in (
        (),
        ("--images", images),
        ("--labels-dir", labels),
        (tmp_path / "s", "--images", images, "--labels-dir", labels),
    ):
        code, _, err = run_command(*command, *wrong)
        assert code == 2 and "give SOURCE, or both --images DIR and --labels-dir DIR" in err
    code, _, err = run_command(*command, "--overwrite", "--images", images, "--labels-dir", tmp_path / "label")
    assert code == 1 and "not found" in err
