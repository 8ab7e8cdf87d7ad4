"""A label, mask or channel that holds the same points as its scan on
other axes is turned, at import, planning, prediction and evaluation.
"""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from tests.synthetic import Command, blob_case, read_mask, run_plan, save_nifti
from tests.trained import DATASET, contents

ORIENTATIONS = ("LPS", "SAR", "PIL")


def turned(image: nibabel.Nifti1Image, code: str) -> nibabel.Nifti1Image:
    steps = nibabel.orientations
    return image.as_reoriented(steps.ornt_transform(steps.io_orientation(image.affine), steps.axcodes2ornt(code)))


def turn_file(path: Path, code: str, to: Path | None = None) -> Path:
    image = turned(nibabel.load(path), code)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine), path)
    if to is not None:
        sitk.WriteImage(sitk.ReadImage(str(path)), str(to))
        path.unlink()
    return to or path


@pytest.mark.parametrize("code", ORIENTATIONS)
@pytest.mark.parametrize("picks", [(), ("--labels", "front=1", "back=2")])
def test_row_79_import(tmp_path: Path, run_command: Command, code: str, picks: tuple[str, ...]) -> None:
    affine = np.array([[0, 0, -2.0, 5], [0.8, 0, 0, -3], [0, 1.2, 0, 7], [0, 0, 0, 1]])
    for number in range(3):
        for kind, array in zip(("images", "labels"), blob_case(number), strict=True):
            save_nifti(tmp_path / kind / f"c{number}.nii.gz", array, affine)
    turn_file(tmp_path / "labels/c1.nii.gz", code)
    turn_file(tmp_path / "labels/c2.nii.gz", code, tmp_path / "labels/c2.nrrd")
    code_, _, err = run_command(
        "import_dataset", tmp_path, "--id", 1, "--name", "T", "--root", tmp_path / "root", *picks
    )
    assert code_ == 0 and "stored on other axes" in err and code in err, err
    for number in range(3):
        kept = nibabel.load(tmp_path / f"root/raw_data/Dataset001_T/labelsTr/c{number}.nii.gz")
        np.testing.assert_array_equal(np.asarray(kept.dataobj), blob_case(number)[1])
        np.testing.assert_allclose(kept.affine, affine, atol=1e-5)


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_row_79_planning_turns_and_leaves_the_file_alone(workspace: Path, run_command: Command, code: str) -> None:
    labels = workspace / "raw_data" / DATASET / "labelsTr"
    turn_file(labels / "case_002.nii.gz", code)
    before = contents(workspace)
    for more in ((), ("--fix-headers",)):
        exit_code, _, err = run_plan(run_command, workspace, "--verify-only", *more)
        assert exit_code == 0 and f"stored on other axes ({code})" in err, err
        assert ("its header is right and stays as it is" in err) == bool(more)
        assert contents(workspace) == before
    assert run_plan(run_command, workspace)[0] == 0
    arrays = workspace / "preprocessed" / DATASET
    image, label = np.load(arrays / "case_002.npy")[0], np.load(arrays / "case_002_label.npy")
    assert (
        image[label == 1].mean() > image[label == 2].mean() > image[label == 0].mean() + 0.5
    )  # they lie on each other


def test_row_79_evaluation(tmp_path: Path, run_command: Command) -> None:
    for number, code in enumerate(ORIENTATIONS):
        label = blob_case(number)[1]
        affine = np.diag([-1.0, 1.0, 2.0, 1])
        save_nifti(tmp_path / "labels" / f"c{number}.nii.gz", label, affine)
        save_nifti(tmp_path / "masks" / f"c{number}.nii.gz", label, affine)
        turn_file(tmp_path / "masks" / f"c{number}.nii.gz", code)
    exit_code, _, err = run_command("evaluate", "-p", tmp_path / "masks", "-l", tmp_path / "labels")
    assert exit_code == 0, err
    table = (tmp_path / "masks/metrics.csv").read_text()
    assert table.count(",1.0,0.0,1.0,0.0,") == 9, table


def test_row_79_points_between_those_of_the_scan_are_still_refused(workspace: Path, run_command: Command) -> None:
    path = workspace / "raw_data" / DATASET / "labelsTr/case_002.nii.gz"
    values = read_mask(path)
    save_nifti(path, values[::-1], np.array([[-1, 0, 0, 17.4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    exit_code, _, err = run_plan(run_command, workspace, "--verify-only")
    assert exit_code == 1 and "differs from" in err
