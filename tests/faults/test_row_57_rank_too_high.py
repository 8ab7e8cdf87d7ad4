"""A tubal rank above the smaller side of the stacked weights is refused with the bound."""

from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import assert_stopped, contents, copied, edit_json, fold_path, plan_path, train_arguments


@pytest.mark.parametrize("rank", [49, 10_000])
def test_row_57_a_rank_above_the_bound_stops_with_the_bound(
    trained_root: Path, tmp_path: Path, run_command: Command, rank: int
) -> None:
    before = contents(trained_root)
    arguments = train_arguments(trained_root, "--base", fold_path(trained_root), "--rank", rank, method="lora-pt")
    assert_stopped(run_command("train", *arguments), f"--rank {rank}", "from 1 to 48")
    assert contents(trained_root) == before
    root = copied(trained_root, tmp_path)
    edit_json(plan_path(root), lambda data: data["adapter"].update(rank=rank))
    arguments = train_arguments(root, "--base", fold_path(root), method="lora-pt")
    assert_stopped(run_command("train", *arguments), plan_path(root), "from 1 to 48")


@pytest.mark.parametrize("rank", [0, -1])
def test_row_57_a_rank_below_one_stops(trained_root: Path, run_command: Command, rank: int) -> None:
    arguments = train_arguments(trained_root, "--base", fold_path(trained_root), "--rank", rank, method="lora-pt")
    assert_stopped(run_command("train", *arguments), "--rank", "above 0")


def test_row_57_the_highest_rank_trains(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    arguments = train_arguments(root, "--base", fold_path(root), "--rank", 48, method="lora-pt", steps=1)
    code, _, err = run_command("train", *arguments)
    assert code == 0, err
    assert fold_path(root, run="lora-pt-r48").joinpath("adapter.json").exists()
