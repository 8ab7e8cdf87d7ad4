"""A scan in which the structure is dark where the training scans have it bright gets a warning and a flag."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import Command, blob_case, run_predict, save_nifti, volumes
from tests.trained import DATASET, copied

IMAGE, LABEL = blob_case(5)


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One scan as in training, one inverted; the network finds the structure in both."""
    monkeypatch.setattr(
        "hippopt.inference.segmentation.predict_probabilities",
        lambda *_: np.stack([value == LABEL.T for value in range(3)]).astype(np.float32),
    )
    save_nifti(tmp_path / "scans" / "same.nii.gz", IMAGE * 3 + 50)
    save_nifti(tmp_path / "scans" / "inverted.nii.gz", IMAGE.max() - IMAGE)
    return tmp_path / "scans"


def test_row_30_prediction_warns_and_flags(
    trained_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert (
        code == 0
        and "inverted: the segmented voxels lie" in err
        and "another modality" in err
        and "same: the segmented" not in err
    )
    flags = volumes(tmp_path / "out").groupby("scan").flag.first()
    assert flags.to_dict() == {"same": "", "inverted": "unlike training"}


def test_row_30_without_the_fingerprint_of_training_nothing_is_said(
    trained_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    root = copied(trained_root, tmp_path)
    shutil.rmtree(root / "plans" / DATASET)
    code, _, err = run_predict(run_command, root, scans, tmp_path / "out")
    assert code == 0 and "segmented voxels" not in err
