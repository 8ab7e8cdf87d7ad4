"""A malformed description, subject table or case list stops an import with the line and the column (rows 50 and 54)."""

from pathlib import Path

from tests.import_sources import made, write_decathlon, write_pair
from tests.synthetic import Command


def test_row_50_malformed_dataset_json(tmp_path: Path, run_command: Command) -> None:
    source = write_decathlon(tmp_path / "in")
    (source / "dataset.json").write_text('{\n "modality": {"0": "MRI"},\n "labels": {"0" "background"}\n}')
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "dataset.json: malformed JSON at line 3, column 17" in err and made(tmp_path) == []


def test_row_50_malformed_subjects_table(tmp_path: Path, run_command: Command) -> None:
    (tmp_path / "s.tsv").write_text("case\tsubject\ncase_0\tS1\ncase_1 S1\ncase_2\t\n")
    command = ("import_dataset", write_pair(tmp_path / "in"), "--id", 4, "--name", "Test", "--root", tmp_path)
    code, _, err = run_command(*command, "--subjects", tmp_path / "s.tsv")
    assert code == 1 and "s.tsv: line 3: 1 cells" in err and "s.tsv: line 4: case 'case_2', subject ''" in err
    assert made(tmp_path) == []


def test_row_54_unknown_cases(tmp_path: Path, run_command: Command) -> None:
    command = ("import_dataset", write_pair(tmp_path / "in"), "--id", 4, "--name", "Test", "--root", tmp_path)
    code, _, err = run_command(*command, "--cases", "case_0,cse_1,xyz")
    assert code == 1 and made(tmp_path) == []
    assert (
        "--cases cse_1: no such case; near matches: case_1" in err
        and "--cases xyz: no such case; correct the id" in err
    )
    assert "2 fault(s)" in err
