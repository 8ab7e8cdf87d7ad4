"""A scan whose field of view is much larger than that of the training scans."""

from pathlib import Path

from tests.synthetic import Command, blob_case, read_mask, run_predict, save_nifti, write_scans


def test_row_28_prediction_warns_with_both_sizes(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "crop.nii.gz")
    save_nifti(scans / "brain.nii.gz", blob_case(5, (40, 48, 36))[0])
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0 and "brain: field of view 36 x 48 x 40 mm" in err and "at most 14 x 26 x 18 mm; crop it" in err
    assert "crop: field of view" not in err
    assert read_mask(tmp_path / "out" / "brain.nii.gz").shape == (40, 48, 36)
