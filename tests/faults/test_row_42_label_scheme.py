"""Label values with gaps become classes without gaps, and are the same values again in the masks."""

import json
from pathlib import Path

import numpy as np

from tests.synthetic import Command, read_mask, run_plan, run_predict, save_nifti, volumes, write_scans
from tests.trained import DATASET, train_arguments

VALUES = {1: 17, 2: 300}


def test_row_42_values_with_gaps(trained_root: Path, workspace: Path, tmp_path: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    for path in (folder / "labelsTr").iterdir():
        label = read_mask(path)
        save_nifti(path, np.select([label == value for value in VALUES], list(VALUES.values()), 0).astype(np.int16))
    description = json.loads((folder / "dataset.json").read_text())
    description["labels"] = {"background": 0, "front": 17, "back": 300}
    (folder / "dataset.json").write_text(json.dumps(description))
    code, _, err = run_plan(run_command, workspace)
    assert code == 0, err
    for number in range(6):
        name = f"{DATASET}/case_{number:03d}_label.npy"
        np.testing.assert_array_equal(*(np.load(root / "preprocessed" / name) for root in (workspace, trained_root)))
    code, _, err = run_command("train", *train_arguments(workspace, steps=6))
    assert code == 0, err
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    for root, out in ((workspace, "gaps"), (trained_root, "plain")):
        assert run_predict(run_command, root, scans, tmp_path / out)[0] == 0
    found, plain = (read_mask(tmp_path / out / "a.nii.gz") for out in ("gaps", "plain"))
    assert plain.any()  # the same steps on the same data: the same mask
    np.testing.assert_array_equal(found, np.select([plain == value for value in VALUES], list(VALUES.values()), 0))
    assert volumes(tmp_path / "gaps").value.tolist() == [17, 300]
