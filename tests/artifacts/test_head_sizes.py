"""Head sizes from outside: which tables are read, and which are refused."""

from pathlib import Path

import pytest

from hippopt.artifacts.head_sizes import read_head_sizes
from hippopt.errors import DatasetError


@pytest.mark.parametrize(
    "text",
    [
        "scan\teTIV\nsub-01\t1500000\nb\t1.4e6\n",
        "Measure:volume,Left-Hippocampus,EstimatedTotalIntraCranialVol\nsub-01,4000,1500000.0\nb,3900,1400000\n",
        "who;size\nsub-01;1500000\nb;1400000\n\n",
    ],
)
def test_tables_of_several_makes_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    sizes = read_head_sizes(tmp_path / "t.csv")
    assert sizes.of("b") == 1_400_000 and sizes.of("sub-01_ses-1_run-2") == 1_500_000 and sizes.of("sub-02") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scan\teTIV\na\t1500\n", "line 2: '1500' is no size of a head"),  # ml
        ("scan\teTIV\na\n", "line 2: '' is no size"),
        ("scan\tx\ty\na\t1\t2\n", "no column of sizes"),
        ("", "no column of sizes"),
        ("scan\teTIV\na\t1500000\na\t1600000\n", "line 3: a has another size"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_head_sizes(tmp_path / "t.tsv")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not found"):
        read_head_sizes(tmp_path / "none.tsv")
