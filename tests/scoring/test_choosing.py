"""Runs, ensembles and post-processing are chosen by paired scores; noise chooses nothing."""

import numpy as np
import pandas as pd
import pytest

from hippopt.artifacts.postprocessing import Postprocessing
from hippopt.scoring.candidates import NOTHING, with_holes
from hippopt.scoring.choosing import can_pass, simplest, weigh
from hippopt.scoring.deciding import Decision, decide

LARGEST, ISLANDS = Postprocessing(keep="largest of each structure"), Postprocessing(islands_below_mm3=10.0)
HOLES = Postprocessing(fill_holes=True)


def table(dice: np.ndarray, hd95: np.ndarray | float = 2.0) -> pd.DataFrame:
    names = [f"c{number:02d}" for number in range(len(dice))]
    return pd.DataFrame({"case": names, "subject": names, "dice": dice, "hd95_mm": hd95, "nsd_1mm": dice})


def start(subjects: int = 20) -> np.ndarray:
    return np.random.default_rng(0).normal(0.85, 0.03, subjects)


def decided(
    ensembles: dict[tuple[str, ...], np.ndarray], tidied: dict[Postprocessing, pd.DataFrame], base: np.ndarray
) -> Decision:
    scores = {(("a",), NOTHING): table(base)}
    scores |= {(("b",), NOTHING): table(base - 0.02), (("c",), NOTHING): table(base - 0.02)}
    scores |= {(runs, NOTHING): table(dice) for runs, dice in ensembles.items()}
    for runs in {runs for runs, _ in scores}:
        for settings in (LARGEST, ISLANDS, HOLES, with_holes(LARGEST), with_holes(ISLANDS)):
            scores[(runs, settings)] = tidied.get(settings, scores[(runs, NOTHING)])
    return decide(scores, "a", {"a": 10.0, "b": 5.0, "c": 5.0})


def test_the_run_of_the_highest_dice_is_taken_and_of_tied_ones_the_smallest() -> None:
    base = start()
    tables = {"large": table(base), "tied": table(base - 0.0009), "worse": table(base - 0.0011)}
    assert simplest(tables, {"large": 9, "tied": 5, "worse": 1}) == "tied"
    assert simplest(tables, {"large": 4, "tied": 5, "worse": 1}) == "large"
    with pytest.raises(ValueError, match="different cases"):
        simplest({"a": table(base), "b": table(base[:-1])}, {"a": 1, "b": 2})


def test_an_ensemble_that_every_subject_gains_by_is_kept() -> None:
    base = start()
    found = decided({("a", "b"): base + 0.01 + 0.001 * np.random.default_rng(1).normal(size=20)}, {}, base)
    assert found.together == ("a", "b") and found.postprocessing.nothing
    row = next(each for each in found.candidates if each.step == "ensemble")
    assert row.kept and row.against == "a" and row.why == "Dice rises"
    assert row.dice_difference is not None and row.dice_difference.p_holm is not None
    assert row.dice_difference.p_holm < 0.05 and row.dice_difference.low is not None and row.dice_difference.low > 0


@pytest.mark.parametrize("gain", [0.0, 0.0005])
def test_what_is_no_gain_or_too_small_a_one_is_not_kept(gain: float) -> None:
    base = start()
    found = decided({("a", "b"): base + gain}, {}, base)
    assert found.together == ("a",)


def test_noise_chooses_nothing() -> None:
    """Fifty data sets in which no candidate differs from the run but by chance: a choice is made in a few at most."""
    chosen = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        base = start()
        noisy = {runs: base + rng.normal(0, 0.01, 20) for runs in (("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c"))}
        weighed = weigh({"+".join(runs): table(dice) for runs, dice in noisy.items()}, table(base))
        chosen += any(each.passes for each in weighed)
    assert chosen <= 4


def test_of_ensembles_that_pass_the_one_of_the_fewest_runs_within_the_margin_wins() -> None:
    base = start()
    pair, three = base + 0.0100, base + 0.0105
    assert decided({("a", "b"): pair, ("a", "b", "c"): three}, {}, base).together == ("a", "b")
    assert decided({("a", "b"): pair, ("a", "b", "c"): base + 0.02}, {}, base).together == ("a", "b", "c")


def test_post_processing_is_kept_where_distances_fall_and_dice_stays() -> None:
    base = start()
    shorter = 1.5 + 0.01 * np.random.default_rng(2).normal(size=20)
    found = decided({}, {LARGEST: table(base, shorter)}, base)
    assert found.postprocessing == LARGEST
    row = next(each for each in found.candidates if each.kept and each.step == "postprocessing")
    assert row.why == "HD95 falls, Dice does not"
    # the same distances, but Dice may fall with them: nothing is kept, and it is said why
    unsure = base + np.random.default_rng(3).normal(0, 0.01, 20)
    found = decided({}, {LARGEST: table(unsure, shorter)}, base)
    assert found.postprocessing.nothing and any("HD95 falls, but" in each.why for each in found.candidates)
    # the same distances, but Dice falls
    assert decided({}, {LARGEST: table(base - 0.01, shorter)}, base).postprocessing.nothing
    # two scans out of twenty are no evidence
    two = np.where(np.arange(20) < 2, 1.0, 2.0)
    assert decided({}, {LARGEST: table(base, two)}, base).postprocessing.nothing


def test_holes_come_on_top_of_what_removes_parts() -> None:
    base = start()
    better, best = table(base + 0.005), table(base + 0.010)
    found = decided({}, {LARGEST: better, HOLES: better, with_holes(LARGEST): best}, base)
    assert found.postprocessing == with_holes(LARGEST)
    kept = {each.name for each in found.candidates if each.kept and each.step == "postprocessing"}
    assert kept == {LARGEST.text, HOLES.text}
    # together they are worse than the first alone
    found = decided({}, {LARGEST: best, HOLES: better, with_holes(LARGEST): better}, base)
    assert found.postprocessing == LARGEST


def test_the_simplest_of_equal_ways_to_remove_parts_is_kept() -> None:
    base = start()
    better = table(base + 0.005)
    assert decided({}, {LARGEST: better, ISLANDS: better}, base).postprocessing == LARGEST


def test_with_few_subjects_nothing_can_pass_and_it_is_said() -> None:
    base = start(4)
    found = decided({("a", "b"): base + 0.05}, {}, base)
    assert found.together == ("a",) and any("4 subjects" in note for note in found.notes)
    assert not can_pass(4, 1) and can_pass(6, 1) and not can_pass(6, 2)


def test_an_undefined_distance_is_left_out_and_counted() -> None:
    base = start()
    missing = np.where(np.arange(20) < 3, np.nan, 1.5)
    weighed = weigh({"x": table(base, missing)}, table(base), distances=True)[0]
    assert weighed.hd95 is not None and weighed.hd95.n_subjects == 17
