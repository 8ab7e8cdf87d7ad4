"""Row 107: a table of subjects in which no case is found stops the
import, and names that differ in letter case only are reported.
"""

from pathlib import Path

import pytest

from tests.import_sources import made, write_pair
from tests.synthetic import Command

IDS = ("001", "002", "003")


def imported(run_command: Command, tmp_path: Path, data: bytes, name: str = "subjects.csv") -> tuple[int, str, str]:
    source = write_pair(tmp_path / "in", len(IDS))
    for number, case in enumerate(IDS):
        for folder in ("images", "labels"):
            (source / folder / f"case_{number}.nii.gz").rename(source / folder / f"{case}.nii.gz")
    (tmp_path / name).write_bytes(data)
    return run_command(
        "import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path, "--subjects", tmp_path / name
    )


@pytest.mark.parametrize(
    ("ids", "near"),
    [
        (("1", "2", "3"), "001"),
        (("001.nii.gz", "002.nii.gz", "003.nii.gz"), "001"),
        (("001_0000", "002_0000", "003_0000"), "001"),
    ],
    ids=["a spreadsheet took the zeros", "file names", "channels"],
)
def test_row_107_no_row_fits(tmp_path: Path, run_command: Command, ids: tuple[str, ...], near: str) -> None:
    rows = "".join(f"{case},A\r\n" for case in ids)
    code, _, err = imported(run_command, tmp_path, f"case,subject\r\n{rows}".encode())
    assert code == 1 and f"none of its 3 cases ({ids[0]}" in err and f"near matches: {near}" in err
    assert made(tmp_path) == []


def test_row_107_letter_case_makes_two_people_of_one(tmp_path: Path, run_command: Command) -> None:
    code, out, err = imported(run_command, tmp_path, b"case,subject\n001,S1\n002,s1\n003,S2\n")
    assert code == 0 and "subjects S1, s1 differ in letter case" in err and "3 subjects" in out, out


@pytest.mark.parametrize(
    "data",
    [
        b"sep=;\r\ncase;subject\r\n001;A\r\n002;A\r\n003;B\r\n",
        b"case\tsubject\n001\tA\n002\tA\n003\tB\n",
        b"case;subject\n001;A\n002;A\n003;B\n",
        "case\tsubject\r\n001\tA\r\n002\tA\r\n003\tB\r\n".encode("utf-16"),
    ],
    ids=["sep=", "tabs", "semicolons", "Unicode text"],
)
def test_row_107_tables_as_spreadsheets_write_them(tmp_path: Path, run_command: Command, data: bytes) -> None:
    code, out, err = imported(run_command, tmp_path, data)
    assert code == 0 and "2 subjects" in out, err


def test_row_107_one_row_that_fits_is_a_warning(tmp_path: Path, run_command: Command) -> None:
    code, _, err = imported(run_command, tmp_path, b"case,subject\n001,A\n2,A\n3,B\n")
    assert code == 0 and "lists 2 cases (2, 3) beyond" in err
