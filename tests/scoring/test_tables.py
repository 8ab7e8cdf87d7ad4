"""Tables: the mean foreground, the summary by hand, empties counted, files written whole and read back equal."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.errors import DatasetError, OutputError
from hippopt.scoring.metrics import EMPTY_RULE, LabelScore
from hippopt.scoring.statistics import bootstrap_interval
from hippopt.scoring.tables import (
    CASE_COLUMNS,
    METRICS,
    SUMMARY_COLUMNS,
    ScoredCase,
    case_table,
    read_case_table,
    summarise,
    write_csv,
    write_json,
)


def score(label: str, dice: float, distance: float = 1 / 3, note: str = "") -> LabelScore:
    return LabelScore(label, dice, distance, dice, distance, 110.0, 100.0, 10.0, 10.0, note)


def missing(label: str) -> LabelScore:
    return LabelScore(label, 0.0, math.nan, 0.0, math.nan, 0.0, 100.0, -100.0, -100.0, "missing in prediction")


@pytest.fixture
def table() -> pd.DataFrame:
    return case_table(
        [
            ScoredCase("001", "NA", (score("left", 0.8), score("right", 0.6))),
            ScoredCase("002", "NA", (score("left", 0.4), missing("right"))),
            ScoredCase("010", 'a,"b"', (score("left", 0.9), score("right", 0.7))),
        ]
    )


def row(summary: pd.DataFrame, label: str, metric: str) -> pd.Series:
    (found,) = [item for _, item in summary.iterrows() if (item["label"], item["metric"]) == (label, metric)]
    return found


def test_rows_and_columns(table: pd.DataFrame) -> None:
    assert tuple(table.columns) == CASE_COLUMNS
    assert table["case"].tolist() == ["001"] * 3 + ["002"] * 3 + ["010"] * 3
    assert table["label"].tolist() == ["left", "right", MEAN_FOREGROUND] * 3


def test_mean_foreground_has_no_distance_where_a_label_has_none(table: pd.DataFrame) -> None:
    first, second, _ = (item for _, item in table[table["label"] == MEAN_FOREGROUND].iterrows())
    assert first["dice"] == pytest.approx(0.7)
    assert first["note"] == ""
    assert second["dice"] == pytest.approx(0.2)
    assert math.isnan(second["hd95_mm"])
    assert second["note"] == "right: missing in prediction"


def test_summary_by_hand(table: pd.DataFrame) -> None:
    summary = summarise(table, n_resamples=500)
    assert tuple(summary.columns) == SUMMARY_COLUMNS
    assert len(summary) == 3 * len(METRICS)
    left = row(summary, "left", "dice")
    # subject "NA" (0.8 + 0.4) / 2 = 0.6, the other 0.9
    assert left["mean"] == left["median"] == pytest.approx(0.75)
    assert (left["n_cases"], left["n_subjects"], left["n_without_distance"], left["seed"]) == (3, 2, 0, 0)
    interval = bootstrap_interval([0.8, 0.4, 0.9], ["x", "x", "y"], n_resamples=500)
    assert sorted([left["ci95_low"], left["ci95_high"]]) == pytest.approx(interval)


def test_missing_labels_count_as_zero_dice_and_are_counted_out_of_distances(table: pd.DataFrame) -> None:
    summary = summarise(table, n_resamples=50)
    dice, distance = row(summary, "right", "dice"), row(summary, "right", "hd95_mm")
    assert dice["mean"] == pytest.approx(((0.6 + 0.0) / 2 + 0.7) / 2)
    assert (dice["n_cases"], dice["n_without_distance"]) == (3, 1)
    assert (distance["n_cases"], distance["n_subjects"], distance["n_without_distance"]) == (2, 2, 1)
    assert distance["mean"] == pytest.approx(1 / 3)
    assert row(summary, MEAN_FOREGROUND, "msd_mm")["n_without_distance"] == 1


def test_a_label_without_any_distance_has_an_empty_summary() -> None:
    cases = [ScoredCase("1", "a", (missing("left"),)), ScoredCase("2", "b", (missing("left"),))]
    summary = summarise(case_table(cases))
    distance = row(summary, "left", "hd95_mm")
    assert np.isnan([distance["mean"], distance["median"], distance["ci95_low"], distance["ci95_high"]]).all()
    assert (distance["n_cases"], distance["n_subjects"], distance["n_without_distance"]) == (0, 0, 2)


def test_no_cases() -> None:
    assert tuple(case_table([]).columns) == CASE_COLUMNS
    assert summarise(case_table([])).empty


def test_duplicates_and_a_reserved_name_are_refused() -> None:
    with pytest.raises(DatasetError, match="001 is scored twice"):
        case_table([ScoredCase("001", "a", (score("left", 1),)), ScoredCase("001", "b", (score("left", 1),))])
    with pytest.raises(DatasetError, match="mean foreground"):
        case_table([ScoredCase("001", "a", (score(MEAN_FOREGROUND, 1),))])


def test_csv_reads_back_equal_to_the_last_bit(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "new" / "cases.csv"
    write_csv(path, table)
    back = read_case_table(path)
    pd.testing.assert_frame_equal(back, table, check_exact=True, check_dtype=False)
    assert back["subject"].tolist()[0] == "NA"
    pd.testing.assert_frame_equal(summarise(back, n_resamples=50), summarise(table, n_resamples=50), check_exact=True)
    write_csv(path, case_table([]))
    assert read_case_table(path).empty


def test_json_states_the_rules_and_has_null_for_nan(table: pd.DataFrame, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    write_json(tmp_path / "summary.json", summarise(table, n_resamples=50), {"plan": "abc"})
    data = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert data["empty_rule"] == EMPTY_RULE
    assert "resampled" in data["summary_rule"]
    assert data["plan"] == "abc"
    assert [item["label"] for item in data["rows"]][:1] == ["left"]
    write_json(tmp_path / "cases.json", table)
    rows = json.loads((tmp_path / "cases.json").read_text(), parse_constant=refuse)["rows"]
    assert rows[4]["hd95_mm"] is None
    assert rows[4]["note"] == "missing in prediction"


@pytest.mark.parametrize("write", [write_csv, write_json])
def test_failed_write_leaves_the_old_file(
    write: Callable[[Path, pd.DataFrame], None],
    table: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "scores"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write(path, table)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["scores"]


def test_unreadable_tables_are_named(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    with pytest.raises(DatasetError, match=r"cases\.csv: not found"):
        read_case_table(path)
    write_csv(path, table)
    text = path.read_text()
    faults = {
        text.replace("dice", "DSC", 1): "DSC",
        text.replace("0.8", "x", 1): "column dice.*'x'",
        text[: text.rindex(",10.0")]: "row 9 has .* fields",
        "": "not a readable",
    }
    for content, named in faults.items():
        path.write_text(content)
        with pytest.raises(DatasetError, match=named):
            read_case_table(path)
