"""Resuming under another plan, seed or length is refused with the differences."""

from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import (
    assert_stopped,
    begin_fold,
    contents,
    copied,
    edit_json,
    fold_path,
    plan_path,
    run_path,
    train_arguments,
)


@pytest.fixture(scope="module")
def begun(trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copied(trained_root, tmp_path_factory.mktemp("begun"), results=False)
    begin_fold(root)
    return root


@pytest.mark.parametrize(
    ("options", "steps", "difference"),
    [(["--seed", 5], 12, "seed 0 -> 5"), ([], 15, "steps 12 -> 15"), (["--minutes", 1], None, "minutes None -> 1.0")],
)
def test_row_64_other_settings_stop_with_the_difference(
    begun: Path, run_command: Command, options: list[object], steps: int | None, difference: str
) -> None:
    before = contents(begun)
    outcome = run_command("train", *train_arguments(begun, "--resume", *options, steps=steps))
    assert_stopped(outcome, fold_path(begun) / "run.json", difference, "--allow-change")
    assert contents(begun) == before


def test_row_64_another_plan_stops_with_the_difference(begun: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(begun, tmp_path)
    edit_json(plan_path(root), lambda data: data["schedule"].update(weight_decay=0.5))
    before = contents(root)
    outcome = run_command("train", *train_arguments(root, "--resume", steps=12))
    assert_stopped(outcome, run_path(root) / "plan.json", "schedule.weight_decay: 0.01 -> 0.5", "--allow-change")
    assert contents(root) == before


def test_row_64_lost_settings_stop(begun: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(begun, tmp_path)
    (fold_path(root) / "run.json").unlink()
    assert_stopped(run_command("train", *train_arguments(root, "--resume", steps=12)), "run.json", "--allow-change")


def test_row_64_changes_are_accepted_when_told(begun: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(begun, tmp_path)
    edit_json(plan_path(root), lambda data: data["schedule"].update(weight_decay=0.5))
    code, out, err = run_command("train", *train_arguments(root, "--resume", "--allow-change", "--seed", 5, steps=9))
    assert code == 0 and "resumed at step 7" in out, err
    assert (run_path(root) / "plan.json").read_text().count("0.5") and '"seed": 5' in (
        fold_path(root) / "run.json"
    ).read_text()


def test_row_64_a_change_that_the_checkpoint_cannot_hold_stops(
    begun: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(begun, tmp_path)
    edit_json(plan_path(root), lambda data: data.update(patch_size=[16, 16, 16]))
    before = contents(root)
    outcome = run_command("train", *train_arguments(root, "--resume", "--allow-change", steps=12))
    assert_stopped(outcome, "position_embeddings", "does not fit")
    assert contents(root) == before


def test_row_64_finished_folds_bind_the_plan_of_their_run(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    edit_json(plan_path(root), lambda data: data["schedule"].update(weight_decay=0.5))
    before = contents(root)
    for options in ([], ["--overwrite"], ["--allow-change"]):
        outcome = run_command("train", *train_arguments(root, *options, fold=0 if "--overwrite" in options else 2))
        assert_stopped(outcome, run_path(root) / "plan.json", "weight_decay", "--name")
    assert contents(root) == before
