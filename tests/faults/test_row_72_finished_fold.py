"""A finished fold is not trained again unless --overwrite is given; --resume leaves it as it is and is content."""

import json
from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import assert_stopped, contents, copied, fold_path, run_path, train_arguments


@pytest.mark.parametrize(("fold", "options"), [(0, []), (0, ["--allow-change"]), ("all", []), ("all", ["--name", ""])])
def test_row_72_a_finished_fold_is_kept_unless_told(
    trained_root: Path, run_command: Command, fold: int | str, options: list[str]
) -> None:
    before = contents(run_path(trained_root))
    assert_stopped(
        run_command("train", *train_arguments(trained_root, *options, fold=fold)),
        fold_path(trained_root),
        "finished",
        "--overwrite",
    )
    assert contents(run_path(trained_root)) == before


@pytest.mark.parametrize("options", [[], ["--seed", 0]])
def test_row_72_resuming_a_finished_fold_leaves_it_and_ends_well(
    trained_root: Path, tmp_path: Path, run_command: Command, options: list[object]
) -> None:
    root = copied(trained_root, tmp_path)
    before = contents(fold_path(root))
    code, out, err = run_command("train", *train_arguments(root, "--resume", *options, steps=6))
    assert code == 0 and "finished and kept: fold 0" in out, err
    assert contents(fold_path(root)) == before


def test_row_72_resuming_a_fold_that_another_plan_finished_is_refused(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    before = contents(run_path(root))
    assert_stopped(
        run_command("train", *train_arguments(root, "--resume", "--learning-rate", 0.5)), "another plan", code=1
    )
    assert contents(run_path(root)) == before


def test_row_72_overwrite_trains_anew_and_leaves_the_other_folds(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    stray = fold_path(root) / "validation" / ".tmp-half.nii.gz"
    stray.write_bytes(b"left by a killed run")
    other = contents(fold_path(root, 1))
    code, _, err = run_command("train", *train_arguments(root, "--overwrite", steps=3))
    assert code == 0, err
    assert json.loads((fold_path(root) / "adapter.json").read_text())["step"] == 3
    assert contents(fold_path(root, 1)) == other and not stray.exists()


def test_row_72_overwriting_with_inputs_that_fail_keeps_the_results(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    (tmp_path / "base.pt").write_bytes(b"no weights")
    before = contents(root)
    outcome = run_command("train", *train_arguments(root, "--overwrite", "--base", tmp_path / "base.pt"))
    assert_stopped(outcome, "base.pt", "damaged")
    assert contents(root) == before


def test_row_72_a_base_that_has_seen_the_validation_cases_is_refused(trained_root: Path, run_command: Command) -> None:
    before = contents(run_path(trained_root))
    outcome = run_command(
        "train", *train_arguments(trained_root, "--base", fold_path(trained_root, 1), method="decoder")
    )
    assert_stopped(outcome, "full-fold1", "validation cases", "--allow-seen")
    assert contents(run_path(trained_root)) == before
