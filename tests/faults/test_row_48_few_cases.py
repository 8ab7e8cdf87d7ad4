"""Fewer than five cases give as many folds as there are subjects, and a single subject gives none."""

import json
from pathlib import Path

from tests.synthetic import TINY, Command, write_dataset
from tests.trained import DATASET, assert_stopped, plan_path, run_path, train_arguments


def plan(root: Path, run_command: Command) -> dict:
    code, _, err = run_command("plan", "--root", root, "--device", "cpu", "--set", *TINY)
    assert code == 0, err
    return json.loads(plan_path(root).read_text())


def test_row_48_fewer_subjects_than_five_reduce_the_folds(tmp_path: Path, run_command: Command) -> None:
    write_dataset(tmp_path, cases=4, per_subject=2)
    made = plan(tmp_path, run_command)
    assert len(made["folds"]) == 2 and "5 need at least 5 subjects" in made["reasons"]["folds"]
    for fold in made["folds"]:
        assert len(fold["train"]) == len(fold["val"]) == 2 and not set(fold["train"]) & set(fold["val"])
    outcome = run_command("train", *train_arguments(tmp_path, fold=2))
    assert_stopped(outcome, "0, 1")


def test_row_48_one_case_has_no_folds_but_trains_on_everything(tmp_path: Path, run_command: Command) -> None:
    write_dataset(tmp_path, cases=1)
    made = plan(tmp_path, run_command)
    assert made["folds"] == [] and "full-data" in made["reasons"]["folds"]
    assert_stopped(run_command("train", *train_arguments(tmp_path, fold=0)), "full-data")
    code, _, err = run_command("train", *train_arguments(tmp_path, fold="full-data", steps=3))
    assert code == 0, err
    assert (run_path(tmp_path) / "full_data" / "adapter.json").exists()


def test_row_48_no_case_at_all_stops(tmp_path: Path, run_command: Command) -> None:
    folder = write_dataset(tmp_path, cases=1)
    for path in [*folder.glob("imagesTr/*"), *folder.glob("labelsTr/*")]:
        path.unlink()
    assert_stopped(run_command("plan", "--root", tmp_path), "labelsTr", "no image file")
    assert not (tmp_path / "plans" / DATASET).exists()
