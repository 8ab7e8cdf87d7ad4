"""What a comparison runs, and which cases stand on which side."""

from pathlib import Path

import pytest

from hippopt.artifacts.fold_names import FULL_DATA
from hippopt.artifacts.methods import METHODS
from hippopt.artifacts.plan import Fold
from hippopt.comparison.cases import contents_of, make_cases
from hippopt.errors import DatasetError, UsageError, WeightsError
from hippopt.planning.cases_apart import (
    Contents,
    check_apart,
    check_base_unseen,
    check_folds_apart,
    check_labels,
)
from hippopt.planning.comparison_grid import ROWS, Cases, Combination, Row, make_grid, rate_text
from hippopt.workspace import Workspace
from tests.records import changed, small_plan
from tests.synthetic import write_dataset

PLAN = small_plan(folds=tuple(Fold(train=tuple(f"c{j}" for j in range(4) if j != i), val=(f"c{i}",)) for i in range(4)))


def test_ranks_multiply_the_methods_that_have_them_alone() -> None:
    grid = make_grid(["decoder", "lora", "lora-pt", "scratch"], ["1", "4"], [], [0, 1])
    assert [row.name for row in grid.rows] == ["decoder", "lora r1", "lora r4", "lora-pt r1", "lora-pt r4", "scratch"]
    assert grid.to_choose() == []
    assert [each.rate for each in grid.reported(grid.rows[0], None)] == [None, None]
    assert [row.name for row in make_grid(["lora"], [], [], [0]).rows] == ["lora"]
    assert set(ROWS) == {
        *METHODS,
        "scratch",
        "no-transformer",
        "no-transformer-base",
        "lora-pt-kernels",
        "lora-kernels",
    }


def test_rows_of_method_full_differ_in_base_transformer_and_name() -> None:
    rows = make_grid(["full", "scratch", "no-transformer", "no-transformer-base"], [], [], [0]).rows
    assert {row.method for row in rows} == {"full"}
    assert [(row.needs_base, row.variant.no_transformer) for row in rows] == [
        (True, False),
        (False, False),
        (False, True),
        (True, True),
    ]
    runs = [Combination(row, None, 0).run("compare", small_plan()) for row in rows]
    assert runs == [
        "full-compare-s0",
        "full-scratch-compare-s0",
        "full-no-transformer-compare-s0",
        "full-no-transformer-base-compare-s0",
    ]


def test_rows_on_kernels_are_runs_of_their_methods_at_their_own_rank() -> None:
    rows = make_grid(["lora-pt", "lora-pt-kernels", "lora-kernels"], ["lora-kernels=2"], [], [0]).rows
    plans = [Combination(row, None, 0).plan(PLAN) for row in rows]
    assert [plan.adapter.stacks for plan in plans[1:]] == [("convolutions",)] * 2 and plans[0] == PLAN
    assert [plan.adapter.rank for plan in plans[1:]] == [8, 2]
    assert [Combination(row, None, 0).run("compare", PLAN) for row in rows[1:]] == [
        "lora-pt-r8-kernels-compare-s0",
        "lora-r2-kernels-compare-s0",
    ]


def test_rates_are_for_all_methods_or_for_one() -> None:
    grid = make_grid(["decoder", "full", "lora"], ["2"], ["1e-3", "3e-4", "full=2e-3"], [5, 6])
    assert grid.rates == {"decoder": (3e-4, 1e-3), "full": (2e-3,), "lora r2": (3e-4, 1e-3)}
    assert [row.name for row in grid.to_choose()] == ["decoder", "lora r2"]
    assert [(each.rate, each.seed) for each in grid.candidates(grid.rows[0])] == [
        (3e-4, 5),
        (1e-3, 5),
    ]  # one seed chooses
    assert [(each.rate, each.seed) for each in grid.reported(grid.rows[0], 1e-3)] == [(1e-3, 5), (1e-3, 6)]
    assert [(each.rate, each.seed) for each in grid.reported(grid.rows[1], None)] == [(2e-3, 5), (2e-3, 6)]


@pytest.mark.parametrize("rates", [["0"], ["-1e-3"], ["fast"], ["inf"], ["nan"], ["bitfit=1e-3"]])
def test_rates_that_are_none_are_refused(rates: list[str]) -> None:
    with pytest.raises(UsageError, match="--learning-rates"):
        make_grid(["full"], [], rates, [0])


def test_ranks_are_for_all_methods_or_for_one() -> None:
    grid = make_grid(["lora-pt", "lora", "full"], ["lora-pt=1", "lora-pt=16", "8"], [], [0])
    assert [row.name for row in grid.rows] == ["lora-pt r1", "lora-pt r16", "lora r8", "full"]
    assert [row.name for row in make_grid(["lora-pt", "lora"], ["lora=2"], [], [0]).rows] == ["lora-pt", "lora r2"]


@pytest.mark.parametrize("ranks", [["0"], ["-1"], ["1.5"], ["full=2"], ["pissa=2"], ["=2=2"]])
def test_ranks_that_are_none_are_refused(ranks: list[str]) -> None:
    with pytest.raises(UsageError, match="--ranks"):
        make_grid(["lora", "full"], ranks, [], [0])


def test_an_unknown_method_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"--methods loraa.*lora-pt.*scratch"):
        make_grid(["loraa"], [], [], [0])


def test_every_combination_has_a_run_of_its_own() -> None:
    rows = [Row("lora", 4), Row("lora", 1), Row("full", None), Row("scratch", None)]
    runs = [
        Combination(row, rate, seed).run("mine", PLAN)
        for row in rows
        for rate in (None, 1e-3, 25e-4)
        for seed in (0, 1)
    ]
    assert len(set(runs)) == len(runs) == 24
    assert Combination(Row("lora", 4), 25e-4, 1).run("mine", PLAN) == "lora-r4-mine-lr25e-4-s1"
    assert Combination(Row("scratch", None), None, 0).run("mine", PLAN) == "full-scratch-mine-s0"
    assert Combination(Row("lora", None), 1.0, 0).run("mine", PLAN) == "lora-r2-mine-lr1e0-s0"  # the plan's rank
    assert [rate_text(rate) for rate in (1e-3, 10.0, 0.00012)] == ["1e-3", "1e1", "12e-5"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for name, first in (("Dataset001_Test", 0), ("Dataset002_Choose", 10)):
        write_dataset(tmp_path, 3, name, first=first)
    return Workspace(tmp_path)


def test_cases_of_data_sets_and_of_folds(workspace: Workspace) -> None:
    assert make_cases(workspace, PLAN, "Test", ["2"], [], True) == (
        Cases("Dataset001_Test", (FULL_DATA,)),
        Cases("Dataset002_Choose", (FULL_DATA,)),
    )
    assert make_cases(workspace, PLAN, None, ["3"], ["0", "1"], True) == (Cases(None, ("0", "1")), Cases(None, ("3",)))
    assert make_cases(workspace, PLAN, None, [], ["0", "1"], False) == (Cases(None, ("0", "1")), None)


@pytest.mark.parametrize(
    ("test", "choose", "folds", "chosen", "words"),
    [
        (None, [], [], False, "--test DATASET"),
        ("Test", [], [], True, "--choose"),
        (None, [], ["0"], True, "--choose"),
        (None, ["0"], ["0", "1"], True, "fold 0 in --folds and --choose"),
        (None, [], ["7"], False, "--folds 7"),
        (None, ["all"], ["0"], True, "--choose all"),
        ("Test", ["Choose", "Test"], [], True, "one data set"),
        ("Other", [], [], False, "not found"),
    ],
)
def test_cases_that_do_not_fit_are_refused(
    workspace: Workspace, test: str | None, choose: list[str], folds: list[str], chosen: bool, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        make_cases(workspace, PLAN, test, choose, folds, chosen)


def test_data_sets_that_share_scans_or_subjects_are_refused(workspace: Workspace) -> None:
    test, choose = (contents_of(workspace, name) for name in ("Dataset001_Test", "Dataset002_Choose"))
    check_apart([test, choose])
    same_scan = Contents(choose.dataset, {**choose.images, "case_010": test.images["case_002"]}, choose.subjects)
    with pytest.raises(
        DatasetError, match=r"Dataset001_Test and Dataset002_Choose share 1 scan \(case_002 is case_010"
    ):
        check_apart([test, same_scan])
    same_person = Contents(choose.dataset, choose.images, {**choose.subjects, "case_011": "S01"})
    with pytest.raises(DatasetError, match=r"share 1 subject \(S01"):
        check_apart([test, same_person])
    with pytest.raises(DatasetError, match="named twice"):
        check_apart([test, test])


def test_copied_scans_are_found_under_other_names(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, 1, "Dataset003_Copy", first=2)
    for path in folder.rglob("case_002*"):
        path.rename(path.with_name(path.name.replace("case_002", "other")))
    (folder / "dataset.json").write_text(
        (folder / "dataset.json").read_text().replace("case_002", "other").replace("S02", "X")
    )
    with pytest.raises(DatasetError, match=r"case_002 is other"):
        check_apart([contents_of(workspace, name) for name in ("Dataset001_Test", "Dataset003_Copy")])


def test_a_subject_in_validation_folds_of_both_is_refused() -> None:
    subjects = {f"c{number}": f"S{number}" for number in range(4)}
    check_folds_apart(PLAN, subjects, Cases(None, ("0", "1")), Cases(None, ("2",)))
    with pytest.raises(DatasetError, match="subject S0"):
        check_folds_apart(PLAN, {**subjects, "c2": "S0"}, Cases(None, ("0", "1")), Cases(None, ("2",)))


def test_other_labels_and_a_base_that_has_seen_the_scans_are_refused(workspace: Workspace) -> None:
    test = contents_of(workspace, "Dataset001_Test")
    plan = changed(PLAN, labels={"background": 0, "front": 1, "back": 2})
    check_labels(plan, test.dataset)
    with pytest.raises(DatasetError, match="import it with the same labels"):
        check_labels(changed(plan, labels={"background": 0, "front": 2, "back": 1}), test.dataset)
    check_base_unseen(None, "base", [test])
    check_base_unseen(["other"], "base", [test])
    with pytest.raises(WeightsError, match=r"trained on 1 scan of Dataset001_Test \(case_001"):
        check_base_unseen([test.images["case_001"]], "base", [test])
