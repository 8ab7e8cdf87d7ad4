"""Tables of subjects and lists of cases."""

from pathlib import Path

import pytest

from hippopt.artifacts.case_tables import read_case_list, read_subjects, unknown_cases
from hippopt.errors import DatasetError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.tsv", "case\tsubject\na\tS1\nb\tS1\n"),
        ("s.csv", "\ufeffage,Subject , CASE\r\n71,S1,a\r\n\r\n,S1,b\r\n"),
        ("s.csv", 'case;subject\n"a";S1\nb;S1'),
        ("s.txt", "subject\tcase\textra\nS1\ta\tx\nS1\tb\t\nS1\ta\ty\n"),
    ],
)
def test_tables_in_their_usual_forms(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, newline="")
    assert read_subjects(tmp_path / name) == {"a": "S1", "b": "S1"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: columns"),
        ("id\tsubject\na\tS1\n", "one case and one subject"),
        ("case\tcase\tsubject\n", "one case and one subject"),
        ("case\tsubject\na\n", "line 2: 1 cells, but the header has 2"),
        ("case\tsubject\na\t\n", "line 2: case 'a', subject ''"),
        ("case\tsubject\na\tS1\nb\tS2\na\tS3\n", "line 4: case a has subject 'S3' here and 'S1' above"),
        ("case\tsubject\n", "no row"),
    ],
)
def test_tables_that_do_not_fit_are_told_by_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "s.tsv").write_text(text)
    with pytest.raises(DatasetError, match=told):
        read_subjects(tmp_path / "s.tsv")


def test_many_bad_rows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "s.tsv").write_text("case\tsubject\n" + "a\n" * 30)
    with pytest.raises(DatasetError, match="10 more rows") as caught:
        read_subjects(tmp_path / "s.tsv")
    assert len(str(caught.value).splitlines()) == 21


def test_a_table_that_is_missing_or_no_text(tmp_path: Path) -> None:
    (tmp_path / "subjects.tsv").write_bytes(b"case\tsubject\n\xff\xfe\t1\n")
    with pytest.raises(DatasetError, match="not a UTF-8 text file"):
        read_subjects(tmp_path / "subjects.tsv")
    with pytest.raises(DatasetError, match=r"not found; near matches: subjects\.tsv"):
        read_subjects(tmp_path / "subject.tsv")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_subjects(tmp_path)


def test_case_lists_in_their_three_forms(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("b # the good one\n\na\nb\nc d, e\n")
    (tmp_path / "list.json").write_text('["b", "a"]')
    assert read_case_list(str(tmp_path / "list.txt")) == ["b", "a", "c d", "e"]
    assert read_case_list(str(tmp_path / "list.json")) == ["b", "a"]
    assert read_case_list("b, a,b") == ["b", "a"]
    assert read_case_list("1000") == ["1000"]


@pytest.mark.parametrize(
    ("text", "told"),
    [('{"train": ["a"]}', "expected a list of case ids"), ("[1, 2]", "expected a list"), ('["a",', "line 1, column")],
)
def test_malformed_json_lists(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(DatasetError, match=told):
        read_case_list(str(tmp_path / "list.json"))


def test_missing_and_empty_lists(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n# nothing\n")
    with pytest.raises(DatasetError, match="names no case"):
        read_case_list(str(tmp_path / "list.txt"))
    with pytest.raises(DatasetError, match=r"near matches: list\.txt"):
        read_case_list(str(tmp_path / "lists.txt"))


def test_unknown_cases_get_near_matches_and_a_bound() -> None:
    assert unknown_cases(["a_01", "zzz"], ["a_001", "b_001"]) == [
        "--cases a_01: no such case; near matches: a_001",
        "--cases zzz: no such case; correct the id",
    ]
    assert len(unknown_cases([str(n) for n in range(100, 150)], ["x"])) == 21


def test_a_list_longer_than_a_file_name_may_be() -> None:
    ids = [f"case_{number:04d}" for number in range(500)]
    assert read_case_list(",".join(ids)) == ids
