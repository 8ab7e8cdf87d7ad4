"""Intervals and paired tests by subject: laws, coverage, and cases worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippopt.scoring.statistics import bootstrap_interval, holm, paired_difference, subject_means

numbers = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=12)
quick = settings(max_examples=40, deadline=None)


def test_subject_means_by_hand() -> None:
    np.testing.assert_allclose(subject_means([1, 2, 6, 10], ["b", "a", "a", "b"]), [4.0, 5.5])


@pytest.mark.parametrize("values, groups", [([1, math.nan], ["a", "b"]), ([1, 2], ["a"]), ([[1, 2]], [["a", "b"]])])
def test_values_that_do_not_fit_are_refused(values: list[float], groups: list[str]) -> None:
    with pytest.raises(ValueError, match=r"NaN|length"):
        subject_means(values, groups)


@quick
@given(numbers, st.integers(2, 4))
def test_duplicating_every_case_within_its_subject_changes_nothing(values: list[float], times: int) -> None:
    groups = [index // 2 for index in range(len(values))]
    once = bootstrap_interval(values, groups, n_resamples=200)
    np.testing.assert_allclose(bootstrap_interval(values * times, groups * times, n_resamples=200), once, atol=1e-12)


def test_a_subject_scanned_often_weighs_as_much_as_any_other() -> None:
    often = bootstrap_interval([0.0, 1.0] + [1.0] * 50, ["a", "b"] + ["b"] * 50)
    assert often == bootstrap_interval([0.0, 1.0], ["a", "b"])


@quick
@given(numbers, st.randoms(use_true_random=False))
def test_order_of_cases_does_not_matter(values: list[float], random: object) -> None:
    groups = [f"s{index // 2}" for index in range(len(values))]
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = bootstrap_interval([values[i] for i in order], [groups[i] for i in order], n_resamples=200)
    np.testing.assert_allclose(shuffled, bootstrap_interval(values, groups, n_resamples=200), atol=1e-12)


@quick
@given(numbers, st.integers(-5, 5), st.integers(1, 5))
def test_interval_moves_and_scales_with_the_values(values: list[float], shift: int, factor: int) -> None:
    groups = list(range(len(values)))
    low, high = bootstrap_interval(values, groups, n_resamples=200)
    assert min(values) <= low <= high <= max(values)
    moved = bootstrap_interval([factor * value + shift for value in values], groups, n_resamples=200)
    np.testing.assert_allclose(moved, (factor * low + shift, factor * high + shift), atol=1e-9)


def test_seed_decides_the_draws_and_blocks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=30)
    first = bootstrap_interval(values, range(30), n_resamples=500)
    assert first == bootstrap_interval(values, range(30), n_resamples=500)
    assert first != bootstrap_interval(values, range(30), n_resamples=500, seed=1)
    monkeypatch.setattr("hippopt.scoring.statistics._DRAWS_AT_ONCE", 30 * 64)
    assert first == bootstrap_interval(values, range(30), n_resamples=500)


def test_interval_of_a_mean_covers_it_about_as_often_as_it_says() -> None:
    # 200 samples of 40 subjects with 2 scans each, true mean 0. The percentile interval is known to fall a little short
    # of 95 %; binomial noise of 200 samples is 1.5 %.
    generator = np.random.default_rng(20)
    groups = np.repeat(np.arange(40), 2)
    hits = 0
    for seed in range(200):
        values = np.repeat(generator.normal(size=40), 2) + 0.3 * generator.normal(size=80)
        low, high = bootstrap_interval(values, groups, n_resamples=500, seed=seed)
        hits += low <= 0 <= high
    assert 0.89 <= hits / 200 <= 0.99


def test_agrees_with_the_normal_interval_and_with_scipy() -> None:
    from scipy.stats import bootstrap

    values = np.random.default_rng(5).normal(size=60)
    low, high = bootstrap_interval(values, range(60))
    half = 1.96 * values.std() / math.sqrt(60)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    peer = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    assert (low, high) == pytest.approx((peer.low, peer.high), abs=0.1 * half)


def test_median_as_the_statistic() -> None:
    values = [0.0] * 9 + [1000.0]
    assert bootstrap_interval(values, range(10), np.median)[1] == 0.0
    assert bootstrap_interval(values, range(10), np.mean)[1] > 0.0


def test_one_subject_has_no_interval() -> None:
    assert all(math.isnan(end) for end in bootstrap_interval([1.0, 2.0], ["a", "a"]))
    assert all(math.isnan(end) for end in bootstrap_interval([], []))


def test_paired_difference_by_hand() -> None:
    # by subject: a (0.3 + 0.1) / 2 = 0.2, b 0.1, c 0.3, d 0.4, e 0.5; all above zero, so that the exact two-sided
    # p value of 5 subjects is 2 / 2^5
    first, second = [0.9, 0.7, 0.8, 0.8, 0.9, 0.9, 0.9], [0.6, 0.6, 0.7, 0.5, 0.5, 0.4, math.nan]
    result = paired_difference(first, second, ["a", "a", "b", "c", "d", "e", "f"])
    assert (result.n_subjects, result.n_cases_left_out) == (5, 1)
    assert result.mean == pytest.approx(0.3)
    assert result.median == pytest.approx(0.3)
    assert result.p_value == pytest.approx(2 / 32)
    assert 0.1 < result.low < 0.3 < result.high < 0.5


def test_swapping_the_methods_turns_the_sign_only() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=24), generator.normal(0.4, size=24)
    groups = np.repeat(np.arange(12), 2)
    one, two = paired_difference(first, second, groups), paired_difference(second, first, groups)
    assert one.p_value == pytest.approx(two.p_value)
    assert (one.mean, one.median) == pytest.approx((-two.mean, -two.median))
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low), abs=1e-9)


def test_scans_of_one_subject_do_not_make_a_difference_significant() -> None:
    result = paired_difference([0.9] * 40, [0.8] * 40, ["a"] * 20 + ["b"] * 20)
    assert result.n_subjects == 2
    assert result.p_value >= 0.5


def test_no_difference_and_no_pairs() -> None:
    assert paired_difference([1, 2, 3], [1, 2, 3], ["a", "b", "c"]).p_value == 1.0
    nothing = paired_difference([math.nan], [1.0], ["a"])
    assert (nothing.n_subjects, nothing.n_cases_left_out) == (0, 1)
    assert math.isnan(nothing.p_value)
    assert math.isnan(nothing.mean)


def test_equal_differences_are_ties_despite_rounding() -> None:
    # 0.8 - 0.7 and 0.4 - 0.3 differ by 1e-16; +0.1 and -0.1 of the same size must cancel
    result = paired_difference([0.8, 0.3], [0.7, 0.4], ["a", "b"])
    assert result.mean == pytest.approx(0.0, abs=1e-12)
    assert result.p_value == pytest.approx(1.0)


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 = 0.02, 0.03, 0.06, 0.04; made monotone: the last becomes 0.06
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([]).shape == (0,)


@quick
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_raw_value_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.asarray(p)).all()
    assert (adjusted <= np.minimum(1, np.asarray(p) * len(p)) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


@pytest.mark.parametrize("p", [[1.1], [-0.1], [math.nan]])
def test_holm_refuses_what_is_no_p_value(p: list[float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm(p)
