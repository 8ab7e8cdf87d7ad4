"""A source that does not exist is named in full, with the names that come near it."""

from pathlib import Path

from tests.import_sources import made, write_pair
from tests.synthetic import Command


def test_row_01_missing_source(tmp_path: Path, run_command: Command) -> None:
    write_pair(tmp_path / "scans", 1)
    code, out, err = run_command("import_dataset", tmp_path / "scnas", "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and out == ""
    assert err == f"hippopt_import: {tmp_path / 'scnas'}: not found; near matches: scans\n"
    assert made(tmp_path) == []


def test_row_01_missing_table_and_list(tmp_path: Path, run_command: Command) -> None:
    write_pair(tmp_path / "scans", 1)
    (tmp_path / "subjects.tsv").touch()
    common = ("import_dataset", tmp_path / "scans", "--id", 4, "--name", "Test", "--root", tmp_path)
    for option, name in (("--subjects", "subject.tsv"), ("--cases", "subjcts.tsv")):
        code, _, err = run_command(*common, option, tmp_path / name)
        assert code == 1 and f"{tmp_path / name}: not found; near matches: subjects.tsv" in err
    assert made(tmp_path) == []


def test_row_01_a_file_is_no_source(tmp_path: Path, run_command: Command) -> None:
    (tmp_path / "Task04.tar").write_bytes(b"x")
    code, _, err = run_command(
        "import_dataset", tmp_path / "Task04.tar", "--id", 4, "--name", "Test", "--root", tmp_path
    )
    assert code == 1 and "unpack it" in err
