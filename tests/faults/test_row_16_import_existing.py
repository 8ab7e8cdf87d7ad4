"""A data set that is there is kept unless --overwrite is given, and a number belongs to one name."""

from pathlib import Path

from tests.import_sources import cut, made, write_pair
from tests.synthetic import Command


def test_row_16_existing_data_set(tmp_path: Path, run_command: Command) -> None:
    command = ("import_dataset", "--id", 4, "--name", "Test", "--root", tmp_path)
    assert run_command(*command, write_pair(tmp_path / "three", 3))[0] == 0
    stored = tmp_path / "raw_data" / "Dataset004_Test"
    before = {path: path.stat().st_mtime_ns for path in stored.rglob("*")}
    two = write_pair(tmp_path / "two", 2)

    code, _, err = run_command(*command, two)
    assert code == 1 and f"{stored}: exists; give --overwrite" in err

    cut(two / "labels" / "case_0.nii.gz")
    code, _, err = run_command(*command, two, "--overwrite")  # the new one is not whole: the old one stays
    assert code == 1 and "truncated" in err
    assert {path: path.stat().st_mtime_ns for path in stored.rglob("*")} == before

    assert run_command(*command, two, "--overwrite", "--cases", "case_1")[0] == 0
    assert [path.name for path in (stored / "labelsTr").iterdir()] == ["case_1.nii.gz"]
    assert made(tmp_path) == ["Dataset004_Test"]


def test_row_16_a_number_that_is_taken(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in")
    assert run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)[0] == 0
    code, _, err = run_command(
        "import_dataset", source, "--id", 4, "--name", "Other", "--root", tmp_path, "--overwrite"
    )
    assert code == 1 and "number 004 belongs to Dataset004_Test; choose another --id" in err
    assert made(tmp_path) == ["Dataset004_Test"]


def test_row_16_bad_numbers_and_names(tmp_path: Path, run_command: Command) -> None:
    source = write_pair(tmp_path / "in")
    for number, name, told in (
        (0, "Test", "--id 0"),
        (1000, "Test", "--id 1000"),
        (4, "../up", "--name '../up'"),
        (4, "", "--name ''"),
    ):
        code, _, err = run_command("import_dataset", source, "--id", number, "--name", name, "--root", tmp_path)
        assert code == 1 and told in err
    assert made(tmp_path) == []
