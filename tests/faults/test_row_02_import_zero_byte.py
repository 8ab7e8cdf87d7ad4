"""An import names files that are empty, are no scan, or are broken links, all of them together (rows 2, 4,
5 and 10).
"""

from pathlib import Path

import pytest

from tests.import_sources import made, write_pair
from tests.synthetic import Command


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_row_02_zero_byte(tmp_path: Path, run_command: Command, folder: str) -> None:
    source = write_pair(tmp_path / "in")
    for number in (0, 2):
        (source / folder / f"case_{number}.nii.gz").write_bytes(b"")
    code, out, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and out == ""
    for number in (0, 2):
        assert f"{source / folder / f'case_{number}.nii.gz'}: empty file (0 bytes); copy it anew" in err
    assert "2 fault(s); nothing was imported" in err and made(tmp_path) == []


@pytest.mark.parametrize("folder", ["images", "labels"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"case,age\n1,70\n" * 40, "a text file"),
        (b"PK\x03\x04" + bytes(500), "a zip archive"),
        (bytes(128) + b"DICM" * 60, "DICOM"),
    ],
)
def test_row_05_not_an_image(tmp_path: Path, run_command: Command, folder: str, content: bytes, told: str) -> None:
    source = write_pair(tmp_path / "in")
    (source / folder / "case_1.nii.gz").write_bytes(content)
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "case_1.nii.gz" in err and told in err and "Traceback" not in err
    assert made(tmp_path) == []


def test_row_10_broken_link(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in")
    for folder in ("images", "labels"):
        (source / folder / "case_1.nii.gz").unlink()
    (source / "images" / "case_1.nii.gz").symlink_to("gone.nii.gz")
    (source / "labels" / "case_1.nii.gz").symlink_to("case_1.nii.gz")  # a loop
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "images/case_1.nii.gz: broken link to gone.nii.gz" in err and "labels/case_1.nii.gz" in err
    assert "Traceback" not in err and made(tmp_path) == []
