"""Folds that name unknown cases, or put a case or a subject on both sides, are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.synthetic import TINY, Command, write_dataset
from tests.trained import assert_stopped, contents, copied, edit_json, plan_path, train_arguments


def unknown(folds: Any) -> None:
    folds[1]["val"].append("case_999")


def overlap(folds: Any) -> None:
    folds[1]["train"].append(folds[1]["val"][0])


def empty(folds: Any) -> None:
    folds[1]["val"].clear()


@pytest.mark.parametrize(
    ("change", "words"),
    [(unknown, ["case_999", "unknown"]), (overlap, ["train and val"]), (empty, ["at least one case"])],
)
@pytest.mark.parametrize("command", ["train", "plan"])
def test_row_54_unsound_folds_stop_with_the_rule(
    trained_root: Path,
    tmp_path: Path,
    run_command: Command,
    command: str,
    change: Callable[[Any], None],
    words: list[str],
) -> None:
    root = copied(trained_root, tmp_path)
    edit_json(plan_path(root), lambda data: change(data["folds"]))
    before = contents(root)
    arguments = train_arguments(root, fold=2) if command == "train" else ["--root", root, "--device", "cpu"]
    assert_stopped(run_command(command, *arguments), plan_path(root), "folds[1]", *words)
    assert contents(root) == before


def test_row_54_one_subject_on_both_sides_stops(tmp_path: Path, run_command: Command) -> None:
    write_dataset(tmp_path, cases=4, per_subject=2)
    assert run_command("plan", "--root", tmp_path, "--device", "cpu", "--no-preprocess", "--set", *TINY)[0] == 0

    def split_a_subject(plan: Any) -> None:
        plan["folds"][0] = {"train": ["case_000", "case_002"], "val": ["case_001", "case_003"]}

    edit_json(plan_path(tmp_path), split_a_subject)
    assert_stopped(run_command("train", *train_arguments(tmp_path)), plan_path(tmp_path), "subject S00")
