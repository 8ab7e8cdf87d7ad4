"""Which scans are sure enough to be learned from."""

from hippopt.inference.sure_scans import doubtful_scans, flags_against
from hippopt.inference.volume_table import Lines, lines_of
from tests.records import volume_row


def lines(*dice: float | None, flags: tuple[str, ...] = (), agreement: float | None = None) -> Lines:
    """The rows of a scan whose labels have these predicted Dice."""
    return lines_of(volume_row(predicted_dice=each, fold_agreement=agreement, flags=flags) for each in dice)


def test_flags_that_doubt_the_network_leave_a_scan_out_and_unusual_anatomy_does_not() -> None:
    found = {
        "parts": lines(0.9, flags=("several parts",)),
        "two": lines(0.9, flags=("volume unusual", "not located")),
        "seen": lines(0.9, flags=("seen in training",)),
        "small": lines(0.9, flags=("volume unusual", "asymmetry unusual")),
    }
    assert doubtful_scans(found) == {"parts": "several parts", "two": "not located", "seen": "seen in training"}


def test_the_lowest_fifth_by_the_mean_over_labels_is_left_out() -> None:
    found = {f"s{k}": lines(0.8 + k / 100, 0.8) for k in range(9)} | {"low": lines(0.5, 0.9)}
    assert doubtful_scans(found) == {
        "low": "predicted Dice 0.700, among the lowest fifth",
        "s0": "predicted Dice 0.800, among the lowest fifth",
    }


def test_flagged_scans_are_no_part_of_the_fifth() -> None:
    found = {f"s{k}": lines(0.9) for k in range(4)} | {"flagged": lines(0.1, flags=("several parts",))}
    assert set(doubtful_scans(found)) == {"flagged"}


def test_agreement_judges_where_no_dice_is_predicted_and_nothing_where_neither_is_known() -> None:
    found = {f"s{k}": lines(None, agreement=0.9 - k / 100) for k in range(5)}
    assert doubtful_scans(found) == {"s4": "fold agreement 0.860, among the lowest fifth"}
    assert doubtful_scans({f"s{k}": lines(None) for k in range(5)}) == {}
    one_unknown = found | {"new": lines(None)}
    assert doubtful_scans(one_unknown) == {}


def test_flags_are_told_each_once() -> None:
    assert flags_against(lines(0.9, 0.9, flags=("several parts", "volume unusual", "empty"))) == "empty; several parts"
    assert flags_against(lines(0.9, flags=("at edge",))) == ""
