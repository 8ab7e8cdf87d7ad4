"""Labelled scans against Dice, on tables made by hand."""

import math
from pathlib import Path

import pandas as pd
import pytest

from hippopt.reporting.learning_curve import curve_lines, curve_markdown, plot_curve
from hippopt.scoring.learning_curve import BASE_ROW, joined, learning_curve


def cases(**rows: list[float]) -> pd.DataFrame:
    """Row -> Dice of cases a (of subject A), b and c (both of B), seed by seed; the outline's is .1 higher."""
    found = [
        (row, number // 3, "abc"[number % 3], "ABB"[number % 3], dice, 1.0, 0.9, dice + 0.1)
        for row, values in rows.items() for number, dice in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(found, columns=["row", "seed", "case", "subject", "dice", "hd95_mm", "nsd_1mm", "outline_dice"])


ONE, FIVE = (
    cases(lora=[0.6, 0.5, 0.7, 0.7, 0.6, 0.8], scratch=[0.2, 0.3, 0.5]),
    cases(lora=[0.8, 0.8, 0.8], scratch=[0.7, 0.7, 0.9]),
)


def test_means_are_over_subjects_and_bands_over_seeds() -> None:
    table = learning_curve(joined({5: FIVE, 1: ONE}), "scratch").set_index(["scans", "row"])
    first = table.loc[(1, "lora")]
    assert first.dice == pytest.approx(0.65) and first.outline == pytest.approx(0.75)  # A: .65; B: .65
    assert (first.dice_seed_low, first.dice_seed_high) == (pytest.approx(0.6), pytest.approx(0.7))
    assert (first.outline_seed_low, first.outline_seed_high) == (pytest.approx(0.7), pytest.approx(0.8))
    assert first.to_scratch == pytest.approx(((0.65 - 0.2) + (0.65 - 0.4)) / 2)  # subject by subject, at as many scans
    assert table.loc[(5, "lora")].to_scratch == pytest.approx(((0.8 - 0.7) + (0.8 - 0.8)) / 2)
    assert [scans for scans, _ in table.index] == [1, 1, 5, 5]


def test_the_base_stands_at_no_scans_and_may_have_an_outline_alone() -> None:
    base = cases(**{BASE_ROW: [0.3, 0.4, 0.4]}).assign(dice=math.nan)
    table = learning_curve(joined({0: base, 1: ONE}), "scratch")
    found = table[table.scans == 0].iloc[0]
    assert math.isnan(found.dice) and found.outline == pytest.approx(0.45)
    report = curve_markdown(table, ["a note"], "scratch")
    outlines = report.split("## Dice of all labels as one")[1].split("## Difference")[0]
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in outlines.splitlines() if "|" in line}
    assert (
        "0 scans | 1 scan |" in report
        and "0.4500" in lines[BASE_ROW]
        and lines[BASE_ROW].endswith("| - |")
        and lines["lora"].startswith("| lora | - |")
    )
    assert "Difference to scratch" in report and "- a note" in report


def test_other_cases_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match="different cases"):
        joined({1: ONE, 5: FIVE[FIVE.case != "a"]})


def test_a_picture_and_lines_for_a_terminal(tmp_path: Path) -> None:
    table = learning_curve(joined({0: cases(**{BASE_ROW: [0.3, 0.4, 0.5]}), 1: ONE, 5: FIVE}), "scratch")
    plot_curve(table, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    lines = curve_lines(table)
    assert lines[0].split()[-3:] == ["0", "1", "5"]
    assert next(line for line in lines if line.startswith("lora")).split()[1:] == ["-", "0.6500", "0.8000"]
