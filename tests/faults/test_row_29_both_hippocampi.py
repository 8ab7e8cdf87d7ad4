"""Where two structures lie in the field, a model of crops reports
their number, and a model of whole brains tells left from right.
"""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.heads import new_head, to_ras
from tests.synthetic import Command, blob_case, run_predict, save_nifti, volumes


def bright_voxels(models: object, image: np.ndarray, *_: object) -> np.ndarray:
    """Probabilities of a network that finds what is bright."""
    front = (image[0] > 2).astype(np.float32)
    return np.stack([1 - front, front, np.zeros_like(front)])


def test_row_29_components_are_reported(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hippopt.inference.segmentation.predict_probabilities", bright_voxels)
    rng = np.random.default_rng(0)
    for name, places in (("one", [3]), ("two", [3, 12])):
        image = rng.normal(100, 1, blob_case(0)[0].shape).astype(np.float32)
        for x in places:
            image[x : x + 3, 8:14, 5:8] += 100
        save_nifti(tmp_path / "scans" / f"{name}.nii.gz", image)
    assert run_predict(run_command, trained_root, tmp_path / "scans", tmp_path / "out")[0] == 0
    found = volumes(tmp_path / "out").set_index(["scan", "label"])
    assert [found.loc[(name, "front"), "components"] for name in ("one", "two")] == [1, 2]
    assert [found.loc[(name, "front"), "voxels"] for name in ("one", "two")] == [54, 108]


def test_row_29_a_model_of_whole_brains_labels_each_side(head_root: Path, tmp_path: Path, run_command: Command) -> None:
    image, _ = new_head(102)
    (tmp_path / "scans").mkdir()
    nibabel.save(image, tmp_path / "scans" / "head.nii.gz")
    assert run_predict(run_command, head_root, tmp_path / "scans", tmp_path / "out")[0] == 0
    found = to_ras(tmp_path / "out" / "head.nii.gz")
    middle = found.shape[0] // 2
    assert (
        set(np.unique(found[:middle])) <= {0, 1}
        and set(np.unique(found[middle:])) <= {0, 2}
        and len(np.unique(found)) == 3
    )
