"""Names and colours for viewers: what the files hold, read as the viewers read them."""

from pathlib import Path

from hippopt.inference.label_tables import (
    COLOURS,
    FREESURFER,
    ITK_SNAP,
    SLICER,
    bids_table,
    colours,
    write_label_tables,
)

LABELS = {"hippocampus left": 1, "background": 0, "hippocampus_right": 20}


def test_each_file_holds_every_label(tmp_path: Path) -> None:
    write_label_tables(LABELS, tmp_path)
    first, second = COLOURS[:2]
    rows = [line.split() for line in (tmp_path / SLICER).read_text().splitlines() if not line.startswith("#")]
    assert rows == [
        ["0", "background", *"0000"],
        ["1", "hippocampus_left", *map(str, first), "255"],
        ["20", "hippocampus_right", *map(str, second), "255"],
    ]
    rows = [line.split() for line in (tmp_path / FREESURFER).read_text().splitlines() if not line.startswith("#")]
    assert rows[1:] == [
        ["1", "hippocampus_left", *map(str, first), "0"],
        ["20", "hippocampus_right", *map(str, second), "0"],
    ]
    rows = [line.split(None, 7) for line in (tmp_path / ITK_SNAP).read_text().splitlines() if not line.startswith("#")]
    assert rows[1] == ["1", *map(str, first), "1", "1", "1", '"hippocampus left"'] and len(rows) == 3
    assert "20\thippocampus_right\tHR\t#56b4e9\n" in bids_table(LABELS)


def test_many_labels_have_colours_of_their_own() -> None:
    found = colours({f"label{value}": value for value in range(21)})
    assert len(set(found.values())) == 20 and all(0 <= part <= 255 for colour in found.values() for part in colour)


def test_files_that_are_right_are_left_alone(tmp_path: Path) -> None:
    write_label_tables(LABELS, tmp_path)
    before = (tmp_path / SLICER).stat().st_mtime_ns
    write_label_tables(LABELS, tmp_path)
    assert (tmp_path / SLICER).stat().st_mtime_ns == before
    write_label_tables({**LABELS, "more": 3}, tmp_path)
    assert "more" in (tmp_path / SLICER).read_text()
