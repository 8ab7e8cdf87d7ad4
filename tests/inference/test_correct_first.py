"""Which masks to correct first: those of the lowest figure, of a table as it is now."""

from hippopt.inference.correct_first import MOST, SHARE, first_to_correct, marked, unmarked
from hippopt.inference.flags import CONSTANT, CORRECT, SEEN
from hippopt.inference.volume_table import Lines, as_text, fields_of, line_of
from hippopt.inference.volumes import COLUMNS
from hippopt.reporting.pages import cohort_table


def scan(name: str, dice: float | None, agreement: float | None = None, flag: str = "", better: float = 0.05) -> Lines:
    """Two labels: `back` is as given, `front` better."""
    rows = []
    for value, (label, more) in enumerate((("front", better), ("back", 0.0)), start=1):
        known = {"scan": name, "label": label, "value": value, "flag": flag}
        figures = {"predicted_dice": dice, "fold_agreement": agreement}
        known |= {key: None if figure is None else round(figure + more, 4) for key, figure in figures.items()}
        rows.append(line_of([as_text(known.get(column)) for column in COLUMNS]))
    return tuple(rows)


def test_the_lowest_predicted_dice_of_the_worst_label_counts() -> None:
    found = {f"s{number}": scan(f"s{number}", 0.9 - number / 100, 0.9) for number in range(9)}
    found["s0"] = scan("s0", 0.7, 0.9, better=0.29)  # the best front of all, the worst back
    chosen = first_to_correct(found)
    assert chosen.measure == "predicted_dice" and chosen.scans == ("s0", "s8", "s7") and len(found) // SHARE == 3


def test_at_most_ten_and_none_of_two() -> None:
    many = {f"s{number:03d}": scan(f"s{number:03d}", number / 1000) for number in range(100)}
    assert first_to_correct(many).scans == tuple(sorted(many)[:MOST])
    assert first_to_correct(dict(list(many.items())[: SHARE - 1])).scans == ()


def test_the_agreement_of_the_folds_stands_in_where_nothing_is_calibrated() -> None:
    found = {f"s{number}": scan(f"s{number}", None, 0.8 + number / 100) for number in range(6)}
    chosen = first_to_correct(found)
    assert chosen.measure == "fold_agreement" and chosen.scans == ("s0", "s1")
    assert first_to_correct({name: scan(name, None) for name in found}).scans == ()


def test_scans_of_the_training_constant_ones_and_corrected_masks_are_left_out() -> None:
    worse = {"seen": scan("seen", 0.1, flag=f"{SEEN}; at edge"), "constant": scan("constant", 0.0, flag=CONSTANT)}
    found = {f"s{number}": scan(f"s{number}", 0.5 + number / 100) for number in range(3)}
    edited = {"edited": scan("edited", None, None)}  # its rows were measured anew, since a person changed the mask
    assert first_to_correct({**worse, **found, **edited}).scans == ("s0",)


def test_marks_come_first_and_come_off_again() -> None:
    found = {"a": scan("a", 0.3, flag="at edge; several parts"), 'odd\t"b"': scan('odd\t"b"', 0.2)}
    once = marked(found, {"a"})
    assert [row["flag"] for row in fields_of(once["a"])] == [f"{CORRECT}; at edge; several parts"] * 2
    assert once['odd\t"b"'] == found['odd\t"b"']
    assert unmarked(once) == unmarked(found) == found
    assert marked(once, {"a"}) == once  # a second time changes nothing
    assert [row["flag"] for row in fields_of(marked(found, set(found))['odd\t"b"'])] == [CORRECT] * 2


def test_the_page_knows_the_mark_by_the_same_words() -> None:
    assert cohort_table.CORRECT == CORRECT
