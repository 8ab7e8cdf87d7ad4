"""Choosing a rate, and the statistics of a comparison, on tables made by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from hippopt.scoring.comparison import at_edge, choose_rate, compare, foreground, mean_dice
from hippopt.scoring.metrics import LabelScore
from hippopt.scoring.tables import ScoredCase, case_table


def table(dice: dict[str, float], subjects: dict[str, str] | None = None, hd95: float = 1.0) -> pd.DataFrame:
    """Case -> Dice; each case a subject of its own unless told."""
    rows = [(case, (subjects or {}).get(case, case), value, hd95, 0.9) for case, value in dice.items()]
    return pd.DataFrame(rows, columns=["case", "subject", "dice", "hd95_mm", "nsd_1mm"])


def test_the_rate_of_the_highest_dice_is_chosen_and_of_equal_ones_the_smallest() -> None:
    scores = {1e-3: table({"a": 0.8, "b": 0.7}), 3e-3: table({"a": 0.7, "b": 0.9}), 1e-2: table({"a": 0.1, "b": 0.95})}
    assert choose_rate(scores) == 3e-3
    assert choose_rate({1e-2: scores[3e-3], 1e-4: scores[3e-3]}) == 1e-4
    assert choose_rate({1e-4: table({"a": math.nan, "b": math.nan}), 1e-3: table({"a": 0.0, "b": 0.0})}) == 1e-3


def test_scans_of_one_subject_count_once_in_the_choice() -> None:
    subjects = {"a1": "A", "a2": "A", "a3": "A", "b": "B"}
    often = table({"a1": 0.9, "a2": 0.9, "a3": 0.9, "b": 0.3}, subjects)  # .6 over subjects, .75 over cases
    even = table({"a1": 0.7, "a2": 0.7, "a3": 0.7, "b": 0.7}, subjects)
    assert mean_dice(often) == pytest.approx(0.6)
    assert choose_rate({1e-3: often, 1e-2: even}) == 1e-2


def test_rates_scored_on_other_cases_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="different cases"):
        choose_rate({1e-3: table({"a": 0.8, "b": 0.7}), 1e-2: table({"a": 0.8})})


def test_a_rate_at_the_edge_is_told() -> None:
    assert at_edge(1e-2, [1e-3, 1e-2]) and at_edge(1e-3, [1e-3, 3e-3, 1e-2])
    assert not at_edge(3e-3, [1e-3, 3e-3, 1e-2]) and not at_edge(1e-3, [1e-3])


def rows_of(**parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Row -> a table a seed."""
    return pd.concat(
        [one.assign(row=name, seed=seed) for name, tables in parts.items() for seed, one in enumerate(tables)],
        ignore_index=True,
    )


def test_seeds_scans_and_sides_are_averaged_before_subjects() -> None:
    subjects = {"A_left": "A", "A_right": "A", "B_left": "B"}
    first = table({"A_left": 0.6, "A_right": 0.8, "B_left": 0.5}, subjects)
    second = table({"A_left": 0.8, "A_right": 0.8, "B_left": 0.7}, subjects)
    decoder = table({"A_left": 0.65, "A_right": 0.65, "B_left": 0.5}, subjects)
    found = compare(rows_of(lora=[first, second], decoder=[decoder]), ["decoder", "full"]).set_index("row")
    assert found.dice["lora"] == pytest.approx((0.75 + 0.6) / 2)
    assert found.to_decoder["lora"] == pytest.approx((0.1 + 0.1) / 2)
    assert (found.seeds["lora"], found.cases["lora"], found.subjects["lora"]) == (2, 3, 2)
    assert math.isnan(found.to_decoder["decoder"]) and "to_full" not in found.columns
    assert found.dice_low["lora"] == pytest.approx(0.6) and found.dice_high["lora"] == pytest.approx(0.75)


def test_p_values_are_wilcoxons_adjusted_by_holm_within_a_reference() -> None:
    rng = np.random.default_rng(0)
    names = [f"s{number}" for number in range(12)]
    base = rng.uniform(0.6, 0.8, 12)
    shifts = {"lora": 0.02, "dora": 0.005, "pissa": 0.0}
    tables = {
        name: [table(dict(zip(names, base + shift + rng.normal(0, 0.01, 12), strict=True)))]
        for name, shift in shifts.items()
    }
    full, decoder = table(dict(zip(names, base + 0.01, strict=True))), table(dict(zip(names, base, strict=True)))
    found = compare(rows_of(**tables, decoder=[decoder], full=[full]), ["decoder", "full"]).set_index("row")
    raw = {
        name: wilcoxon(np.round(one[0].dice - decoder.dice, 10)).pvalue
        for name, one in {**tables, "full": [full]}.items()
    }
    for name, p in raw.items():
        assert found.to_decoder_p[name] == pytest.approx(p)
        larger = [other for other in raw.values() if other >= p]
        expected = max(
            min(1, other * len([q for q in raw.values() if q >= other])) for other in raw.values() if other <= p
        )
        assert found.to_decoder_p_holm[name] == pytest.approx(expected), larger
    assert found.to_full_subjects["lora"] == 12 and found.to_full["decoder"] == pytest.approx(-0.01)


def test_a_difference_is_taken_on_the_cases_of_both() -> None:
    found = compare(
        rows_of(full=[table({"a": 0.5, "b": 0.7})], lora=[table({"b": 0.9, "c": 0.1})]), ["full"]
    ).set_index("row")
    assert found.to_full["lora"] == pytest.approx(0.2) and found.to_full_subjects["lora"] == 1


def test_undefined_distances_are_left_out_and_counted() -> None:
    with_gap = table({"a": 0.5, "b": 0.0})
    with_gap.loc[1, "hd95_mm"] = math.nan
    found = compare(rows_of(full=[with_gap]), ["full"]).set_index("row")
    assert found.hd95_mm["full"] == 1.0 and found.hd95_mm_left_out["full"] == 1 and found.dice_left_out["full"] == 0


def test_only_the_mean_foreground_is_compared() -> None:
    scores = tuple(
        LabelScore(label, dice, 1.0, 0.9, 0.5, 10.0, 10.0, 0.0, 0.0) for label, dice in (("front", 0.8), ("back", 0.6))
    )
    found = foreground(case_table([ScoredCase("a", "A", scores)]))
    assert list(found.dice) == [pytest.approx(0.7)] and list(found.columns) == [
        "case",
        "subject",
        "dice",
        "hd95_mm",
        "nsd_1mm",
    ]
