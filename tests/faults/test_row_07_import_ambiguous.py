"""An import stops where it is in doubt which files make up a case (rows 7, 8, 12 and 45)."""

import shutil
from pathlib import Path

import pytest

from tests.import_sources import labels, made, save, scan, unzip, write_decathlon, write_pair
from tests.synthetic import Command


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_row_07_both_nii_and_nii_gz(tmp_path: Path, run_command: Command, folder: str) -> None:
    source = write_pair(tmp_path / "in")
    shutil.copy(source / folder / "case_1.nii.gz", tmp_path / "copy.nii.gz")
    unzip(source / folder / "case_1.nii.gz")
    shutil.copy(tmp_path / "copy.nii.gz", source / folder / "case_1.nii.gz")
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "ambiguous, case_1.nii and case_1.nii.gz are the same scan; keep one of them" in err
    assert made(tmp_path) == []


def test_row_08_ids_equal_up_to_letter_case(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in")
    save(source / "images" / "Case_1.nii.gz", scan(0))
    if len(list((source / "images").iterdir())) == 3:
        pytest.skip("this file system does not tell letter case apart")
    save(source / "labels" / "Case_1.nii.gz", labels(0))
    command = ("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    code, _, err = run_command(*command)
    assert code == 1 and "case 'case_1': differs from 'Case_1' in letter case or blanks only; rename one" in err
    assert made(tmp_path) == []
    assert run_command(*command, "--cases", "case_0,case_1")[0] == 0  # the clash is not among these


@pytest.mark.parametrize("write", [write_pair, write_decathlon])
def test_row_12_hidden_files_of_macos_are_ignored_with_a_note(
    tmp_path: Path, run_command: Command, write: object
) -> None:
    source = write(tmp_path / "in")  # type: ignore[operator]
    for path in list(source.rglob("*.nii.gz")):
        (path.parent / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
    code, out, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 0 and "3 cases" in out and err.count("3 hidden files (._") == 2


def test_row_45_missing_and_extra_labels_are_all_listed(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in", 5)
    (source / "labels" / "case_1.nii.gz").unlink()
    (source / "labels" / "case_2.nii.gz").unlink()
    (source / "images" / "case_3.nii.gz").unlink()
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and all(f"case_{number}.nii.gz: no " in err for number in (1, 2, 3)) and "3 fault(s)" in err
    assert made(tmp_path) == []
