"""volumes_wide.tsv: one row per scan, with the same figures as volumes.tsv."""

import csv
from pathlib import Path

from hippopt.inference.volume_table import OF_A_LABEL, lines_of, write_wide
from hippopt.inference.volumes import VolumeRow
from tests.records import volume_row


def row(scan: str, label: str, value: int, volume: float | None, *flags: str) -> VolumeRow:
    known = {"scan": scan, "label": label, "value": value, "volume_mm3": volume, "flags": flags}
    return volume_row(**known, head_size_mm3=1.5e6, head_size_of="head")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_one_row_per_scan_with_columns_per_label(tmp_path: Path) -> None:
    found = {
        "b": lines_of([row("b", "tail, or so", 2, 20.5), row("b", "head", 10, 7.0, "at edge", "seen in training")]),
        "001": lines_of([row("001", "tail, or so", 2, None)]),  # of another plan: without a head
    }
    write_wide(found, tmp_path / "wide.tsv")
    first, second = read(tmp_path / "wide.tsv")
    assert list(first) == [
        "scan",
        "head_size_mm3",
        "head_size_of",
        *(f"{label}_{name}" for label in ("tail, or so", "head") for name in OF_A_LABEL),
    ]
    assert (first["scan"], first["head_volume_mm3"], first["tail, or so_volume_mm3"]) == ("001", "", "")
    assert (second["scan"], second["head_size_mm3"], second["head_size_of"]) == ("b", "1500000.0", "head")
    assert (second["tail, or so_volume_mm3"], second["head_volume_mm3"], second["head_flag"]) == (
        "20.5",
        "7.0",
        "at edge; seen in training",
    )


def test_no_scan_gives_a_header_alone(tmp_path: Path) -> None:
    write_wide({}, tmp_path / "wide.tsv")
    assert (tmp_path / "wide.tsv").read_text().split("\t") == ["scan", "head_size_mm3", "head_size_of\n"]
