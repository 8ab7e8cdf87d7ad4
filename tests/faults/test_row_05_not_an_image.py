"""A file that is no image volume is refused with the kind of file that
was found; a header of noise gives one line, never a traceback.
"""

import gzip
from pathlib import Path

import numpy as np
import pytest

from hippopt.errors import ImageError
from hippopt.files.image_io import read_scan
from tests.synthetic import Command, assert_only_failed, run_plan, run_predict, write_scans
from tests.trained import assert_stopped

FOREIGN = {
    b"case,age\n1,70\n" * 40: "a text file",
    "Größe,Alter\n".encode() * 60: "a text file",
    gzip.compress(b"case,age\n1,70\n" * 40): "a text file",
    b"PK\x03\x04" + bytes(500): "a zip archive",
    gzip.compress(bytes(257) + b"ustar" + bytes(400)): "a tar archive",
    b"\x89PNG\r\n" + bytes(500): "a PNG picture",
    bytes(128) + b"DICM" + bytes(400): "a DICOM file",
    bytes(range(256)) * 4: "of unknown type",
}


@pytest.mark.parametrize(
    ("content", "found"), FOREIGN.items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_row_05_prediction_names_what_it_found(
    trained_root: Path, tmp_path: Path, run_command: Command, content: bytes, found: str
) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz")
    (scans / "b.nii.gz").write_bytes(content)
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(
        outcome,
        tmp_path / "out",
        "b",
        ["a"],
        str(scans / "b.nii.gz"),
        found,
        "NIfTI" if found != "of unknown type" else "NRRD",
    )


def test_row_05_planning_names_what_it_found(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / "Dataset007_Blob"
    for number, content in enumerate(list(FOREIGN)[:6]):
        (folder / "labelsTr" / f"case_{number:03d}.nii.gz").write_bytes(content)
    outcome = run_plan(run_command, workspace)
    assert_stopped(
        outcome,
        "case_000.nii.gz",
        "a text file",
        "a zip archive",
        "a tar archive",
        "a PNG picture",
        "6 of 6 cases",
        code=1,
    )
    assert not (workspace / "plans").exists()


def test_row_05_a_single_file_that_is_no_image(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "letter.txt").write_text("Dear colleague\n" * 40)
    assert_stopped(
        run_predict(run_command, trained_root, tmp_path / "in" / "letter.txt", tmp_path / "out"),
        "letter.txt",
        "a text file",
        code=1,
    )


def test_row_05_damaged_headers_are_told_in_one_line(tmp_path: Path) -> None:
    write_scans(tmp_path, "a.nii")
    data = (tmp_path / "a.nii").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        broken = bytearray(data)
        for place in rng.integers(4, 344, rng.integers(1, 10)):
            broken[place] = rng.integers(0, 256)
        (tmp_path / "a.nii").write_bytes(broken)
        try:
            read_scan(tmp_path / "a.nii")
        except ImageError as error:
            refused += 1
            assert "a.nii" in str(error) and "\n" not in str(error)
    assert refused > 50
