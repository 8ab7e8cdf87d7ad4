"""Label values count as whole within half a step of the scale that
they were stored by, by one rule at import, planning and evaluation.
"""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from hippopt.errors import ImageError
from hippopt.files.label_reading import read_label, whole_numbers
from tests.synthetic import Command, blob_case, run_plan, save_nifti
from tests.trained import DATASET


def scaled(path: Path, values: np.ndarray, dtype: type) -> Path:
    """As nibabel stores a float array under an integer header: by a slope that the largest value sets."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values.astype(float), np.eye(4), header), path)
    return path


@pytest.mark.parametrize("dtype", [np.int16, np.uint8])
@pytest.mark.parametrize("values", [(0, 1, 2), (0, 48, 47), (0, 17, 53)])
def test_row_83_scaled_labels_are_read(tmp_path: Path, dtype: type, values: tuple[int, ...]) -> None:
    label = np.array(values)[blob_case(0)[1]]
    label[0, 0, 0] = 97 if dtype == np.uint8 else 207
    path = scaled(tmp_path / "a.nii.gz", label, dtype)
    assert not np.array_equal(nibabel.load(path).get_fdata(), label)
    np.testing.assert_array_equal(read_label(path).array, label.T)


def test_row_83_interpolated_and_lost_labels_are_refused(tmp_path: Path) -> None:
    label = blob_case(0)[1].astype(float)
    smooth = (label[1:] + label[:-1]) / 2
    for path in (
        scaled(tmp_path / "a.nii.gz", smooth, np.int16),
        save_nifti(tmp_path / "b.nii.gz", smooth.astype(np.float32)),
    ):
        with pytest.raises(ImageError, match=r"not whole.*interpolated"):
            read_label(path)
    coarse = np.array([0, 17, 1035])[label.astype(int)]
    with pytest.raises(ImageError, match=r"stored in steps of 4\.0\d+, which lose labels"):
        read_label(scaled(tmp_path / "c.nii.gz", coarse + np.arange(coarse.size).reshape(coarse.shape) % 7, np.uint8))


def test_row_83_ids_above_two_to_the_24th_stay_apart(tmp_path: Path, run_command: Command) -> None:
    first = 1 << 24
    label = np.array([0, first, first + 1])[blob_case(0)[1]]
    for name, dtype in (("a.nii.gz", np.float64), ("b.nii.gz", np.int32)):
        np.testing.assert_array_equal(read_label(save_nifti(tmp_path / name, label.astype(dtype))).array, label.T)
    for number in range(2):
        save_nifti(tmp_path / f"s/images/c{number}.nii.gz", blob_case(number)[0])
        save_nifti(tmp_path / f"s/labels/c{number}.nii.gz", label.astype(np.float64))
    picks = ("--labels", f"front={first}", f"back={first + 1}")
    assert (
        run_command("import_dataset", tmp_path / "s", "--id", 1, "--name", "T", "--root", tmp_path / "w", *picks)[0]
        == 0
    )
    kept = nibabel.load(tmp_path / "w/raw_data/Dataset001_T/labelsTr/c0.nii.gz")
    np.testing.assert_array_equal(np.asarray(kept.dataobj), blob_case(0)[1])


def test_row_83_the_rule_itself() -> None:
    assert whole_numbers(Path("a"), np.array([[[47.9985, 0.0]]]), 0.00316).tolist() == [[[48, 0]]]
    with pytest.raises(ImageError, match="not whole"):
        whole_numbers(Path("a"), np.array([[[47.9985, 0.0]]]), 0.0)
    with pytest.raises(ImageError, match="not whole"):
        whole_numbers(Path("a"), np.array([[[47.99, 0.0]]]), 0.00316)


def test_row_83_all_three_commands(workspace: Path, tmp_path: Path, run_command: Command) -> None:
    labels = workspace / "raw_data" / DATASET / "labelsTr"
    whole = tmp_path / "whole"
    for number, path in enumerate(sorted(labels.iterdir())):
        label = blob_case(number)[1]
        save_nifti(whole / path.name, label)
        scaled(path, label, np.int16)
        save_nifti(tmp_path / "s/images" / path.name, blob_case(number)[0])
        scaled(tmp_path / "s/labels" / path.name, label, np.int16)
    assert not np.array_equal(nibabel.load(labels / "case_000.nii.gz").get_fdata(), blob_case(0)[1])
    assert run_command("import_dataset", tmp_path / "s", "--id", 1, "--name", "T", "--root", tmp_path / "w")[0] == 0
    code, _, err = run_plan(run_command, workspace)
    assert code == 0, err
    counts = np.bincount(np.load(workspace / "preprocessed" / DATASET / "case_000_label.npy").ravel())
    np.testing.assert_array_equal(counts, np.bincount(blob_case(0)[1].ravel()))
    code, _, err = run_command("evaluate", "-p", whole, "-l", labels)
    assert code == 0 and ",front,1.0," in (whole / "metrics.csv").read_text(), err
