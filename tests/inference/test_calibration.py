"""Predicted Dice: what the fit must do on tables whose answer is known, and laws that hold for any table."""

import json
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippopt.artifacts.calibration import Calibration, check_calibration
from hippopt.artifacts.codec import decode, write_json
from hippopt.artifacts.dataset import MEAN_FOREGROUND
from hippopt.errors import DatasetError, PlanError
from hippopt.inference.calibration import fit_calibration, predicted_dice, volume_interval
from hippopt.inference.signal_table import ScoredSignals, SignalTable, read_signals, write_signals
from hippopt.inference.signals import Signals

ADAPTERS = {str(fold): f"{fold}" * 64 for fold in range(5)}


def table(cases: int = 40, seed: int = 0, telling: float = 1.0, folds: int = 5, flips: bool = True) -> SignalTable:
    """Two labels a case.

    Dice follows the second signal, as far as `telling` says; volumes are off by at most 1 - Dice.
    """
    rng = np.random.default_rng(seed)
    quality = np.repeat(rng.normal(size=cases), 2)
    values = np.stack(
        [0.8 + 0.02 * rng.normal(size=2 * cases), 0.7 + 0.03 * quality, 0.9 + 0.02 * rng.normal(size=2 * cases)], 1
    )
    values[:, 2] = values[:, 2] if flips else np.nan
    noise = rng.normal(size=2 * cases)
    dice = np.clip(np.tile([0.85, 0.75], cases) + 0.04 * (telling * quality + (1 - telling) * noise), 0.05, 0.99)
    ratio = 2 * (1 - dice) * rng.uniform(-0.5, 0.5, 2 * cases)
    return SignalTable(
        np.repeat([f"case_{i:03d}" for i in range(cases)], 2), np.repeat([str(i % folds) for i in range(cases)], 2),
        np.tile(["front", "back"], cases), values, dice, ratio,
    )  # fmt: skip


def fitted(**changes: object) -> Calibration:
    found = fit_calibration(table(**changes), "plan", ADAPTERS)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_signal_that_tells_the_dice_is_found() -> None:
    calibration = fitted()
    assert np.argmax(calibration.weights) == 1
    quality = {row.label: row for row in calibration.quality}
    assert set(quality) == {"front", "back", MEAN_FOREGROUND}
    whole = quality[MEAN_FOREGROUND]
    assert whole.cases == 40 and whole.spearman is not None and whole.spearman > 0.9
    assert whole.worst_tenth_auc is not None and whole.worst_tenth_auc > 0.9
    assert whole.mean_absolute_error < 0.3 * whole.error_of_mean
    good, bad = (predicted_dice(calibration, "front", Signals(0.8, around, 0.9)) for around in (0.75, 0.62))
    assert good is not None and bad is not None and good - bad > 0.08


def test_signals_that_tell_nothing_are_reported_as_chance() -> None:
    """Over twenty such tables: no rank correlation on average, and hardly more error than guessing the mean.

    Somewhat below nought, since a fold that lies above the mean is predicted from others that lie below it.
    """
    wholes = [fitted(seed=seed, telling=0.0).quality[-1] for seed in range(20)]
    assert abs(np.mean([whole.spearman if whole.spearman is not None else 0 for whole in wholes])) < 0.25
    assert np.mean([whole.mean_absolute_error / whole.error_of_mean for whole in wholes]) < 1.1
    aucs = [whole.worst_tenth_auc for whole in wholes if whole.worst_tenth_auc is not None]
    assert 0.3 < np.mean(aucs) < 0.65


def test_every_label_has_its_own_mean() -> None:
    calibration = fitted()
    usual = Signals(0.8, 0.7, 0.9)
    front, back = (predicted_dice(calibration, label, usual) for label in ("front", "back"))
    assert front == pytest.approx(0.85, abs=0.02) and back == pytest.approx(0.75, abs=0.02)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 30), st.tuples(*[st.floats(-5, 5)] * 3), st.tuples(*[st.floats(0, 5)] * 3))
def test_predicted_dice_lies_within_bounds_and_never_rises_when_signals_fall(
    seed: int, values: tuple[float, float, float], falls: tuple[float, float, float]
) -> None:
    calibration = fitted(cases=12, seed=seed, telling=0.5)
    high = predicted_dice(calibration, "front", Signals(*values))
    low = predicted_dice(
        calibration, "front", Signals(*(value - fall for value, fall in zip(values, falls, strict=True)))
    )
    assert high is not None and low is not None and 0 <= low <= high <= 1


def test_a_label_that_was_not_found_or_is_not_known() -> None:
    calibration = fitted()
    assert predicted_dice(calibration, "front", None) == 0
    assert predicted_dice(calibration, "middle", Signals(0.8, 0.7, 0.9)) is None


@pytest.mark.parametrize(("cases", "folds", "made"), [(9, 3, False), (10, 1, False), (10, 2, True)])
def test_too_few_cases_or_folds_predict_nothing(cases: int, folds: int, made: bool) -> None:
    assert (fit_calibration(table(cases=cases, folds=folds), "plan", ADAPTERS) is not None) == made


def test_a_signal_that_is_not_there_is_left_out() -> None:
    calibration = fitted(flips=False)
    assert calibration.signals == ("soft_dice", "certainty_around") and len(calibration.weights) == 2
    assert predicted_dice(calibration, "front", Signals(0.8, 0.7)) is not None


def test_the_record_gives_the_same_numbers_after_a_round_trip(tmp_path: Path) -> None:
    calibration = fitted()
    write_json(tmp_path / "calibration.json", calibration)
    back = decode(json.loads((tmp_path / "calibration.json").read_text()), Calibration, tmp_path)
    assert back == calibration
    signals = Signals(0.79, 0.68, 0.93)
    assert predicted_dice(back, "back", signals) == predicted_dice(calibration, "back", signals)


def test_what_does_not_fit_together_is_refused() -> None:
    calibration = fitted()
    changes = [
        {"weights": calibration.weights[:-1]},
        {"weights": (-1.0, *calibration.weights[1:])},
        {"scale": (0.0, *calibration.scale[1:])},
        {"signals": ("soft_dice", "certainty_around", "__class__")},
        {"dice": {"front": 0.8}},
        {"volume_factor": math.inf},
    ]
    for change in changes:
        with pytest.raises(PlanError, match="no sound calibration"):
            check_calibration(msgspec.structs.replace(calibration, **change), Path("calibration.json"))  # type: ignore[arg-type]
    assert check_calibration(calibration, Path("calibration.json")) is calibration


def test_the_interval_holds_the_volume_and_widens_with_doubt() -> None:
    calibration = fitted()
    sure, doubtful = (volume_interval(calibration, 1000.0, dice) for dice in (0.9, 0.6))
    assert sure is not None and doubtful is not None
    assert doubtful[0] < sure[0] < 1000 < sure[1] < doubtful[1]
    assert volume_interval(calibration, 0.0, 0.0) is None and volume_interval(calibration, 10.0, None) is None


def test_the_factor_is_the_conformal_quantile() -> None:
    """80 rows: the ceil(81 x .95) = 77th smallest ratio; 10 rows: the largest, which holds 10 of 11."""
    many, few = fitted(), fitted(cases=10, folds=2)
    assert many.volume_level == 0.95
    half = table(cases=10, folds=2)
    one = SignalTable(
        *(
            getattr(half, name)[half.labels == "front"]
            for name in ("cases", "folds", "labels", "values", "dice", "log_ratio")
        )
    )
    single = fit_calibration(one, "plan", ADAPTERS)
    assert single is not None and single.volume_level == pytest.approx(10 / 11) and few.volume_level == 0.95


def test_the_interval_covers_what_it_says() -> None:
    """Fitted to 40 cases, on new cases of the same kind: at least 90 % of the true volumes, over ten tables."""
    shares = []
    for seed in range(10):
        calibration, new = fitted(seed=seed, telling=0.5), table(seed=100 + seed, telling=0.5)
        for label, values, ratio in zip(new.labels, new.values, new.log_ratio, strict=True):
            interval = volume_interval(calibration, 1000.0, predicted_dice(calibration, str(label), Signals(*values)))
            assert interval is not None
            shares.append(interval[0] <= 1000 * math.exp(ratio) <= interval[1])
    assert np.mean(shares) > 0.9
    wholes = [fitted(seed=seed, telling=0.5).quality[-1].volume_coverage for seed in range(10)]
    assert all(share is not None and share > 0.8 for share in wholes)


def test_calibrations_belong_to_their_networks() -> None:
    calibration = fitted()
    assert calibration.belongs_to("plan", {"0": ADAPTERS["0"], "full-data": "another"})
    assert not calibration.belongs_to("plan", {"0": ADAPTERS["1"]})
    assert not calibration.belongs_to("other plan", {"0": ADAPTERS["0"]})


def test_the_table_of_signals_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    rows = [
        ScoredSignals("001", "front", 0.1 + 0.2, 900.0, 1000.0, Signals(1 / 3, 2 / 3, 0.9)),
        ScoredSignals("NA", "back", 0.7, 500.0, 250.0, Signals(0.5, 0.25)),
    ]
    write_signals(tmp_path / "signals.csv", rows)
    found = read_signals({"0": tmp_path / "signals.csv", "3": tmp_path / "signals.csv"})
    assert found.cases.tolist() == ["001", "NA"] * 2 and found.folds.tolist() == ["0", "0", "3", "3"]
    assert (
        found.dice[0] == 0.1 + 0.2 and found.values[0].tolist() == [1 / 3, 2 / 3, 0.9] and np.isnan(found.values[1, 2])
    )
    np.testing.assert_allclose(found.log_ratio[:2], [math.log(1000 / 900), math.log(0.5)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "case,label\na,b\n",
        (
            "case,label,dice,volume_predicted_mm3,volume_reference_mm3,soft_dice,"
            "certainty_around,flip_dice\na,b,high,1,1,1,1,1\n"
        ),
    ],
)
def test_a_table_that_was_changed_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "signals.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"signals\.csv.*--resume"):
        read_signals({"0": path})


@pytest.mark.parametrize(
    ("error", "mean", "useful"),
    [(0.0949, 0.1, True), (0.0951, 0.1, False), (0.1, 0.1, False), (0.2, 0.1, False), (0.0, 0.0, True)],
)
def test_a_calibration_is_used_where_it_beats_guessing_the_mean(error: float, mean: float, useful: bool) -> None:
    calibration = fitted()
    quality = (
        *calibration.quality[:-1],
        msgspec.structs.replace(calibration.quality[-1], mean_absolute_error=error, error_of_mean=mean),
    )
    judged = msgspec.structs.replace(calibration, quality=quality)
    assert judged.useful is useful
    assert (
        ("tells nothing" in judged.verdict) != useful
        and f"{error:.3f}" in judged.verdict
        and f"{mean:.3f}" in judged.verdict
    )
    assert not msgspec.structs.replace(calibration, quality=()).useful
    assert calibration.useful
