"""The order in which to look at scans, and the cohort's own fences."""

from dataclasses import replace
from pathlib import Path

import pytest

from hippopt.errors import DatasetError
from hippopt.inference import flags
from hippopt.reporting.pages import captions
from hippopt.reporting.pages.cohort_table import APART, fences_of, measures, read_scans, worst_first
from hippopt.reporting.pages.plots import nice_ticks, strip_plot
from tests.page_parts import scan_row

HEADER = "scan\tlabel\tvalue\tvolume_mm3\tpredicted_dice\tflag\n"


def test_fences_by_hand() -> None:
    fences = fences_of([float(value) for value in range(1, 12)])  # quartiles 3.5, 6, 8.5
    assert fences is not None and (fences.low, fences.median, fences.high) == (3.5 - 7.5, 6, 8.5 + 7.5)
    assert fences_of([1.0] * 9) is None


def test_worst_first() -> None:
    rows = [
        scan_row("good", dice=0.95),
        scan_row("unsure", dice=0.6),
        scan_row("unknown", dice=None),
        scan_row("one", flags=("at edge",)),
        scan_row("two", flags=("at edge", "several parts")),
        scan_row("grave", dice=0.99, flags=("empty",)),
        scan_row("correct, odd", dice=0.5, flags=("correct first", "at edge")),
        scan_row("correct", dice=0.4, flags=("correct first",)),
    ]
    assert [row.name for row in worst_first(rows, measures(rows), ("empty",))] == [
        "grave",
        "correct",
        "correct, odd",
        "two",
        "one",
        "unsure",
        "good",
        "unknown",
    ]


def test_without_predicted_dice_the_agreement_of_the_folds_orders() -> None:
    rows = [scan_row(name, dice=None) for name in ("a", "b", "c")]
    split = [
        replace(row, labels=tuple(replace(label, agreement=agreement) for label in row.labels))
        for row, agreement in zip(rows, (0.9, 0.5, None), strict=True)
    ]
    assert [row.name for row in worst_first(split, measures(split), ())] == ["b", "a", "c"]


def test_a_scan_apart_from_its_cohort_is_flagged_from_ten_scans_on() -> None:
    rows = [scan_row(f"scan_{number}", 1000 + number) for number in range(9)]
    odd = scan_row("odd", 3000)
    assert not any(row.flags for row in worst_first([*rows[:8], odd], measures([*rows[:8], odd]), ()))
    found = worst_first([*rows, odd], measures([*rows, odd]), ())
    assert found[0].name == "odd" and found[0].flags == (APART,) and "Volume, front" in found[0].apart
    assert not any(row.flags for row in found[1:])


def test_predicted_dice_is_no_reason_to_be_apart() -> None:
    rows = [scan_row(f"scan_{number}", dice=0.9) for number in range(12)] + [scan_row("low", dice=0.2)]
    assert not any(row.flags for row in worst_first(rows, measures(rows), ()))


def test_a_table_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "volumes.tsv"
    path.write_text(
        HEADER
        + "001\tfront\t1\t10.5\t.8\tat edge; several parts\n001\tback\t2\t0\t\tempty; at edge\nNA\tfront\t1\t9\t\t\n"
    )
    first, second = read_scans(path)
    assert (first.name, second.name) == ("001", "NA") and first.flags == ("at edge", "several parts", "empty")
    assert first.dice == 0.8 and second.dice is None and first.labels[0].volume_mm3 == 10.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scan\tlabel\n1\ta\n", "no column value, volume_mm3"),
        (HEADER + "1\ta\tone\t3\t\t\n", "line 2"),
        ("", "not a readable table"),
        (HEADER + "1\ta\t1\tmany\t\t\n", "line 2"),
    ],
)
def test_a_bad_table_is_named_with_its_fault(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "volumes.tsv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=words) as caught:
        read_scans(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_every_flag_of_volumes_tsv_says_what_to_check() -> None:
    every = {
        flags.CONSTANT,
        flags.CORRECT,
        flags.SEEN,
        flags.UNLIKE,
        flags.EMPTY,
        *flags.LOCATING,
        flags.AT_EDGE,
        flags.PARTS,
        flags.VOLUME,
        flags.ASYMMETRY,
        APART,
    }
    assert every <= set(captions.FLAGS) and captions.of_flag("of a later version") == captions.FURTHER


def test_dots_keep_their_order_and_do_not_cover_each_other() -> None:
    rows = [scan_row(f"scan_{number:02d}", 1000 + 10 * (number // 2)) for number in range(40)]
    plot = strip_plot(measures(rows)[0])
    by_name = {dot.scan: dot for dot in plot.dots}
    places = [by_name[row.name].x for row in rows]
    assert places == sorted(places) and len({(dot.x, dot.y) for dot in plot.dots}) == 40
    assert plot.fences[0] < plot.box[0] <= plot.box[1] <= plot.box[2] < plot.fences[1]  # type: ignore[index]


@pytest.mark.parametrize(("low", "high"), [(0.81, 0.93), (1000.0, 1001.0), (-12.0, 9.0), (0.0, 4e6), (5.0, 5.0)])
def test_ticks_are_round_and_reach_around(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low and high <= ticks[-1] and 1 <= len(ticks) <= 8


def test_ratios_of_heads_and_brains_are_not_mixed() -> None:
    rows = [scan_row(f"scan_{number}") for number in range(4)]
    kinds = ("head", "head", "head", "brain")
    rows = [
        replace(row, labels=tuple(replace(label, head_of=kind, ratio=0.001) for label in row.labels))
        for row, kind in zip(rows, kinds, strict=True)
    ]
    ratio = next(measure for measure in measures(rows) if measure.key == "ratio:front")
    assert sorted(ratio.values) == ["scan_0", "scan_1", "scan_2"] and "head" in ratio.title
