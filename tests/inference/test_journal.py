"""Journals and tables: what is read is what was written, whatever was cut off."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from hippopt.artifacts.codec import TEMPORARY
from hippopt.inference.journal import Journal, is_left_over, part_journals, read_journals, single_journals
from hippopt.inference.volume_table import Failure, fields_of, lines_of, read_volumes, write_volumes
from hippopt.inference.volumes import COLUMNS
from tests.records import volume_row

ROW = volume_row(scan='odd\t"name"\nof two lines', volume_mm3=12.5)


def test_a_table_of_odd_names_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = lines_of([ROW, replace(ROW, value=2)])
    write_volumes({ROW.scan: lines, "b": lines_of([replace(ROW, scan="b")])}, tmp_path / "t.tsv")
    with (tmp_path / "t.tsv").open(newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t"))
    assert rows[0] == list(COLUMNS) and [row[0] for row in rows[1:]] == ["b", ROW.scan, ROW.scan]
    assert read_volumes(tmp_path / "t.tsv")[ROW.scan] == lines
    assert fields_of(lines)[1]["value"] == "2" and fields_of(lines)[0]["volume_low_mm3"] == ""


def test_a_journal_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    journal, lines = Journal(tmp_path, (3, 200), 17), lines_of([ROW])
    journal.stamp("a", journal.rows("a", lines), (10, 20, 5))
    journal.rows("b", lines)
    journal.failure("c", Failure("c.nii.gz", "empty file"))
    (path,) = part_journals(tmp_path, (3, 200))
    assert part_journals(tmp_path) == [path] and part_journals(tmp_path, (30, 200)) == []
    found, trusted = read_journals([path])
    assert trusted == 17 and found["a"].stamp == (10, 20, 5) and found["a"].lines == lines
    assert (
        found["b"].stamp is None
        and found["b"].lines == lines
        and found["c"].failure == Failure("c.nii.gz", "empty file")
    )
    path.write_bytes(path.read_bytes()[:-3])
    assert set(read_journals([path])[0]) == {"a", "b"}


def test_the_latest_of_several_journals_counts(tmp_path: Path) -> None:
    for number in range(3):
        Journal(tmp_path, (1, 1), number).failure("a", Failure("a", f"reason {number}"))
    Journal(tmp_path, (1, 1), 9).rows("b", lines_of([ROW]))
    found, trusted = read_journals(reversed(part_journals(tmp_path)))
    assert found["a"].failure == Failure("a", "reason 2") and trusted == 0


def test_rows_with_other_columns_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, (1, 1), 0)
    journal.rows("a", lines_of([ROW]))
    journal.failure("b", Failure("b", "empty file"))
    monkeypatch.setattr("hippopt.inference.journal.COLUMNS", (*COLUMNS, "more"))
    assert set(read_journals(part_journals(tmp_path))[0]) == {"b"}


def test_the_journal_of_a_single_run_is_a_temporary_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, None, 0)
    journal.begin()
    (path,) = single_journals([path.name for path in tmp_path.iterdir()], tmp_path)
    assert path.name.startswith(TEMPORARY) and is_left_over(path)
    gone = path.rename(path.with_name(path.name.replace(f".{path.name.split('.')[-3]}.", ".999999999.")))
    assert is_left_over(gone)
    assert not is_left_over(path.with_name(path.name.replace(f".{path.name.split('.')[-3]}.", ".1.")))
