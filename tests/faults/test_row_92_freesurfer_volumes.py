"""FreeSurfer's .mgz and .mgh are read at import, prediction and evaluation; masks beside them are written
as .nii.gz.
"""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from hippopt.errors import ImageError
from hippopt.files.image_io import read_scan
from tests.synthetic import Command, blob_case, run_predict, save_nifti

CONFORMED = np.array(
    [[-1, 0, 0, 17], [0, 0, 1, 0], [0, -1, 0, 13], [0, 0, 0, 1.0]]
)  # LIA, as FreeSurfer stores its volumes


def mgh(path: Path, array: np.ndarray, affine: np.ndarray = CONFORMED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.MGHImage(array, affine), path)
    return path


@pytest.mark.parametrize("ending", [".mgz", ".mgh"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_row_92_reading(tmp_path: Path, ending: str, dtype: type) -> None:
    array = blob_case(0)[0].astype(dtype)
    scan = read_scan(mgh(tmp_path / f"a{ending}", array))
    np.testing.assert_array_equal(scan.array, array.T)
    np.testing.assert_allclose(scan.grid.affine, CONFORMED, atol=1e-5)
    assert scan.array.dtype == dtype and scan.notes == []


def test_row_92_damage_is_named(tmp_path: Path) -> None:
    path = mgh(tmp_path / "a.mgz", blob_case(0)[0])
    whole = path.read_bytes()
    for data in (whole[:-2000], whole[:4000] + bytes(50) + whole[4050:], b"text", whole[:200]):
        path.write_bytes(data)
        with pytest.raises(ImageError, match=r"a\.mgz: ") as caught:
            read_scan(path)
        assert "\n" not in str(caught.value)
    plain = mgh(tmp_path / "b.mgh", blob_case(0)[0])
    plain.write_bytes(plain.read_bytes()[:2000])
    with pytest.raises(ImageError, match="truncated, read 2000 of"):
        read_scan(plain)
    flag = bytearray(mgh(tmp_path / "c.mgh", blob_case(0)[0]).read_bytes())
    flag[28:30] = b"\0\0"  # goodRASFlag
    (tmp_path / "c.mgh").write_bytes(flag)
    with pytest.raises(ImageError, match="neither voxel size nor orientation"):
        read_scan(tmp_path / "c.mgh")


def test_row_92_prediction(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    image = blob_case(7)[0]
    mgh(tmp_path / "s/a.mgz", image)
    save_nifti(tmp_path / "s/b.nii.gz", image, CONFORMED)
    code, _, err = run_predict(run_command, trained_root, tmp_path / "s", tmp_path / "out")
    assert code == 0, err
    first, second = (nibabel.load(tmp_path / "out" / name) for name in ("a.nii.gz", "b.nii.gz"))
    np.testing.assert_array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj))
    np.testing.assert_allclose(first.affine, CONFORMED, atol=1e-5)


def test_row_92_import_and_evaluation(tmp_path: Path, run_command: Command) -> None:
    for number in range(3):
        image, label = blob_case(number)
        mgh(tmp_path / f"s/images/c{number}.mgz", image)
        mgh(tmp_path / f"s/labels/c{number}.mgz", label.astype(np.int32))
    assert run_command("import_dataset", tmp_path / "s", "--id", 1, "--name", "T", "--root", tmp_path / "w")[0] == 0
    kept = tmp_path / "w/raw_data/Dataset001_T/labelsTr"
    np.testing.assert_array_equal(np.asarray(nibabel.load(kept / "c0.nii.gz").dataobj), blob_case(0)[1])
    code, _, err = run_command("evaluate", "-p", kept, "-l", tmp_path / "s/labels")
    assert code == 0 and ",label_1,1.0," in (kept / "metrics.csv").read_text(), err
