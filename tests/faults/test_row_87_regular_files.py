"""Whatever is no regular file (a named pipe, a socket, a device, a
folder) is passed over with a note, and nothing waits for it.
"""

import os
import socket
from pathlib import Path

import pytest

from hippopt.errors import ImageError
from hippopt.files.image_io import read_scan
from hippopt.files.nifti_bytes import nifti_layout
from tests.import_sources import write_pair
from tests.synthetic import Command, run_predict, volumes, write_scans


def test_row_87_prediction(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = write_scans(tmp_path / "s", "a.nii.gz")
    os.mkfifo(scans / "b.nii.gz")
    (scans / "c.nii.gz").mkdir()
    (scans / "d.nrrd").symlink_to("b.nii.gz")
    monkeypatch.chdir(scans)  # a socket's path must be short
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("e.mha")
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    listener.close()
    assert code == 0 and "4 that are no regular files (b.nii.gz is a named pipe) passed over" in err, err
    assert volumes(tmp_path / "out").scan.unique().tolist() == ["a"]
    code, _, err = run_predict(run_command, trained_root, scans / "b.nii.gz", tmp_path / "out2")
    assert code == 1 and "b.nii.gz: a named pipe, not a regular file" in err


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_row_87_import_and_evaluation(tmp_path: Path, run_command: Command, folder: str) -> None:
    write_pair(tmp_path / "s")
    os.mkfifo(tmp_path / "s" / folder / "case_9.nii.gz")
    command = ("import_dataset", tmp_path / "s", "--id", 1, "--name", "T", "--root", tmp_path / "w")
    code, _, err = run_command(*command)
    assert code == 0 and "case_9.nii.gz is a named pipe" in err
    labels = tmp_path / "s/labels"
    code, _, err = run_command("evaluate", "-p", labels, "-l", labels)
    assert code == 0 and ("case_9.nii.gz is a named pipe" in err) == (folder == "labels")


def test_row_87_reading(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.nii.gz")
    assert nifti_layout(tmp_path / "a.nii.gz") is None
    for path in (tmp_path / "a.nii.gz", Path("/dev/null")):
        with pytest.raises(ImageError, match=r"(a named pipe|a device), not a regular file"):
            read_scan(path)
    os.mkfifo(tmp_path / "voxels.raw")
    (tmp_path / "b.mhd").write_text(
        "NDims = 3\nDimSize = 4 4 4\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\nElementDataFile = voxels.raw\n"
    )
    with pytest.raises(ImageError, match=r"voxels\.raw: a named pipe"):
        read_scan(tmp_path / "b.mhd")
