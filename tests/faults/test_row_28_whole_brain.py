"""A field of view much larger than that of the training scans gets a
warning, and a model of whole brains locates the structure in it.
"""

import json
from pathlib import Path

import nibabel

from tests.heads import new_head
from tests.synthetic import Command, blob_case, read_mask, run_predict, save_nifti, volumes, write_scans
from tests.trained import plan_path


def test_row_28_a_model_of_crops_warns_with_both_sizes(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    assert json.loads(plan_path(trained_root).read_text())["locator"] is None
    scans = write_scans(tmp_path / "scans", "crop.nii.gz")
    save_nifti(scans / "brain.nii.gz", blob_case(5, (40, 48, 36))[0])
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0 and "brain: field of view 36 x 48 x 40 mm" in err and "at most 14 x 26 x 18 mm; crop it" in err
    assert "crop: field of view" not in err
    assert read_mask(tmp_path / "out" / "brain.nii.gz").shape == (40, 48, 36)


def test_row_28_a_model_of_whole_brains_locates(head_root: Path, tmp_path: Path, run_command: Command) -> None:
    image, _ = new_head(101)
    (tmp_path / "scans").mkdir()
    nibabel.save(image, tmp_path / "scans" / "head.nii.gz")
    code, _, err = run_predict(run_command, head_root, tmp_path / "scans", tmp_path / "out")
    assert code == 0 and "field of view" not in err, err
    assert list(volumes(tmp_path / "out").scan) == ["head", "head"]
