"""Preprocessed cases that were made with another plan, or are damaged, are never trained on."""

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import Command
from tests.trained import DATASET, assert_stopped, contents, copied, edit_json, plan_path, train_arguments


def test_row_53_cases_of_other_decisions_are_rebuilt_only_when_told(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    cache = root / "preprocessed" / DATASET
    old = contents(cache)
    edit_json(plan_path(root), lambda data: data.update(target_spacing_mm=[1.0, 1.0, 1.25]))
    assert_stopped(run_command("train", *train_arguments(root)), cache / "case_000.json", "key", "hippopt_plan")
    assert_stopped(run_command("plan", "--root", root, "--device", "cpu"), cache, "--overwrite")
    assert contents(cache) == old
    settings = ["network.size=tiny", "patch_size=16,32,16", "batch_size=2", "target_spacing_mm=1,1,1.25"]
    code, _, err = run_command("plan", "--root", root, "--device", "cpu", "--overwrite", "--set", *settings)
    assert code == 0, err
    assert (
        np.load(cache / "case_000.npy").shape[-1]
        < np.load(trained_root / "preprocessed" / DATASET / "case_000.npy").shape[-1]
    )
    assert run_command("train", *train_arguments(root))[0] == 0


def test_row_53_a_missing_case_stops_training_and_planning_makes_it_alone(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    cache = root / "preprocessed" / DATASET
    old = contents(cache)
    (cache / "case_003.npy").unlink()
    assert_stopped(run_command("train", *train_arguments(root, fold=2)), "case_003.npy", "hippopt_plan")
    code, out, err = run_command("plan", "--root", root, "--device", "cpu")
    assert code == 0 and "preprocessed 1 case, kept 5" in out, err
    assert contents(cache) == old


@pytest.mark.parametrize("name", ["case_003.npy", "case_003_label.npy"])
def test_row_53_a_truncated_array_stops_training(
    trained_root: Path, tmp_path: Path, run_command: Command, name: str
) -> None:
    root = copied(trained_root, tmp_path)
    path = root / "preprocessed" / DATASET / name
    path.write_bytes(path.read_bytes()[:-50])
    before = contents(root)
    assert_stopped(run_command("train", *train_arguments(root, fold=2)), path, "damaged", "hippopt_plan")
    assert contents(root) == before
