"""A JSON file that cannot be parsed, or lacks a key, is named with the line and the column."""

from pathlib import Path

import pytest

from tests.synthetic import Command, write_dataset
from tests.trained import (
    DATASET,
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


def spoil(path: Path) -> tuple[str, str]:
    """Take away the quote that ends the first key: (line, column) where reading fails."""
    lines = path.read_text().replace("{", "{\n", 1).splitlines()
    number = next(i for i, line in enumerate(lines) if '":' in line)
    lines[number] = lines[number].replace('":', ":", 1)
    path.write_text("\n".join(lines))
    return f"line {number + 1}", "column"


@pytest.mark.parametrize("name", ["plan.json", "fingerprint.json"])
def test_row_50_training_names_line_and_column_of_a_planning_record(
    trained_root: Path, tmp_path: Path, run_command: Command, name: str
) -> None:
    root = copied(trained_root, tmp_path)
    path = plan_path(root).with_name(name)
    where = spoil(path)
    before = contents(root)
    assert_stopped(run_command("train", *train_arguments(root, fold=2)), path, *where)
    assert contents(root) == before


def test_row_50_training_names_line_and_column_of_the_plan_of_a_run(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    where = spoil(run_path(root) / "plan.json")
    assert_stopped(run_command("train", *train_arguments(root, fold=2)), run_path(root) / "plan.json", *where)


def test_row_50_prediction_names_line_and_column_of_an_adapter_card(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    where = spoil(fold_path(root) / "adapter.json")
    scan = root / "raw_data" / DATASET / "imagesTr" / "case_000_0000.nii.gz"
    outcome = run_command("predict", "-i", scan, "-o", tmp_path / "out", "--root", root, "--device", "cpu")
    assert_stopped(outcome, fold_path(root) / "adapter.json", *where)


def test_row_50_resuming_names_line_and_column_of_the_settings(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    settings = begin_fold(root) / "run.json"
    text, where = settings.read_text(), spoil(settings)
    outcome = run_command("train", *train_arguments(root, "--resume", steps=12))
    assert_stopped(outcome, settings, *where)
    settings.write_text("[]")
    assert_stopped(run_command("train", *train_arguments(root, "--resume", steps=12)), settings, "--allow-change")
    settings.write_text(text)
    assert run_command("train", *train_arguments(root, "--resume", steps=12))[0] == 0


def test_row_50_planning_names_line_and_column_of_dataset_json(tmp_path: Path, run_command: Command) -> None:
    description = write_dataset(tmp_path, cases=1) / "dataset.json"
    where = spoil(description)
    assert_stopped(run_command("plan", "--root", tmp_path), description, *where)


@pytest.mark.parametrize("key", ["channel_names", "labels", "file_ending"])
def test_row_50_dataset_json_without_a_key_is_named_with_it(tmp_path: Path, run_command: Command, key: str) -> None:
    description = write_dataset(tmp_path, cases=1) / "dataset.json"
    edit_json(description, lambda data: data.pop(key) and None)
    assert_stopped(run_command("plan", "--root", tmp_path), description, f"missing {key}")


def test_row_50_a_plan_without_a_key_is_named_with_it(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    edit_json(plan_path(root), lambda data: data["schedule"].pop("warmup_steps") and None)
    assert_stopped(run_command("train", *train_arguments(root, fold=2)), plan_path(root), "warmup_steps", "schedule")
