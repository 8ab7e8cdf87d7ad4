"""Folds that were trained with different plans are not averaged."""

import shutil
from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import (
    DATASET,
    assert_stopped,
    contents,
    copied,
    edit_json,
    fold_path,
    plan_path,
    run_path,
    train_arguments,
)


def predict(root: Path, output: Path, run_command: Command, *options: object) -> tuple[int, str, str]:
    scan = root / "raw_data" / DATASET / "imagesTr" / "case_000_0000.nii.gz"
    return run_command("predict", "-i", scan, "-o", output, "--root", root, "--device", "cpu", *options)


@pytest.fixture
def mixed(trained_root: Path, tmp_path: Path, run_command: Command) -> Path:
    """Run `full`, with fold 1 taken from a run under another plan."""
    root = copied(trained_root, tmp_path)
    edit_json(plan_path(root), lambda data: data["augmentation"].update(p_noise=0.5))
    assert run_command("train", *train_arguments(root, "--name", "noisy", fold=1))[0] == 0
    shutil.rmtree(fold_path(root, 1))
    shutil.copytree(fold_path(root, 1, run="full-noisy"), fold_path(root, 1))
    return root


def test_row_74_prediction_with_folds_of_two_plans_stops(mixed: Path, tmp_path: Path, run_command: Command) -> None:
    assert_stopped(predict(mixed, tmp_path / "out", run_command, "--run", "full"), fold_path(mixed, 1), "plan")
    assert contents(tmp_path / "out") == {}
    code, _, err = predict(mixed, tmp_path / "out", run_command, "--run", "full", "--folds", 0)
    assert code == 0, err


def test_row_74_a_fold_apart_from_its_plan_stops(mixed: Path, tmp_path: Path, run_command: Command) -> None:
    outcome = predict(mixed, tmp_path / "out", run_command, "--run", "full", "--folds", 1)
    assert_stopped(outcome, fold_path(mixed, 1) / "adapter.safetensors", "plan", "restore")


def test_row_74_resuming_all_folds_does_not_keep_one_of_another_plan(mixed: Path, run_command: Command) -> None:
    shutil.copy(run_path(mixed) / "plan.json", plan_path(mixed))
    before = contents(run_path(mixed))
    assert_stopped(
        run_command("train", *train_arguments(mixed, "--resume", fold="all")), "fold 1", "another plan", "--overwrite"
    )
    assert contents(run_path(mixed)) == before
