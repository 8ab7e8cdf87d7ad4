"""Several fits on all cases: trained by one command, each with a seed of its own, and averaged in prediction."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import Command, read_mask, write_scans
from tests.trained import (
    assert_stopped,
    copied,
    edit_json,
    fold_path,
    plan_path,
    run_path,
    train_arguments,
    without_plots,
)

RUN = "full"


@pytest.fixture(scope="module")
def fitted(trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace without folds, with two fits."""
    from hippopt.cli import train

    root = copied(trained_root, tmp_path_factory.mktemp("fits"), results=False)
    with without_plots():
        assert train.main(train_arguments(root, "--fits", 2, "--seed", 5, fold="full-data")) == 0
    return root


def masks(run_command: Command, root: Path, scans: Path, output: Path, *more: object) -> list[np.ndarray]:
    code, _, err = run_command("predict", "-i", scans, "-o", output, "--root", root, "--device", "cpu", *more)
    assert code == 0, err
    return [read_mask(path) for path in sorted(output.glob("*.nii.gz"))]


def test_each_has_a_seed_of_its_own(fitted: Path) -> None:
    cards = [
        json.loads((fold_path(fitted, 0, RUN).parent / name / "adapter.json").read_text())
        for name in ("full_data", "full_data_2")
    ]
    assert [card["fold"] for card in cards] == ["full-data", "full-data-2"]
    assert [card["settings"]["seed"] for card in cards] == [5, 6]
    assert cards[0]["sha256"] != cards[1]["sha256"]


def test_one_by_one_they_are_the_same(fitted: Path, trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path, results=False)
    with without_plots():
        assert run_command("train", *train_arguments(root, "--seed", 5, fold="full-data-2"))[0] == 0
    first, second = (run_path(each, RUN) / "full_data_2" / "adapter.safetensors" for each in (fitted, root))
    assert first.read_bytes() == second.read_bytes()


def test_prediction_averages_them(fitted: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz")
    by_default = masks(run_command, fitted, scans, tmp_path / "a")
    assert json.loads((tmp_path / "a" / "prediction.json").read_text())["folds"] == ["full-data", "full-data-2"]
    asked = masks(run_command, fitted, scans, tmp_path / "b", "-f", "full-data", "full-data-2")
    second = masks(run_command, fitted, scans, tmp_path / "c", "-f", "full-data-2")
    assert json.loads((tmp_path / "c" / "prediction.json").read_text())["folds"] == ["full-data-2"]
    assert all(np.array_equal(a, b) for a, b in zip(by_default, asked, strict=True))
    assert any(not np.array_equal(a, c) for a, c in zip(by_default, second, strict=True))


def test_they_travel_in_a_model_file(fitted: Path, tmp_path: Path, run_command: Command) -> None:
    assert run_command("export", "Blob", tmp_path / "model.zip", "--root", fitted)[0] == 0
    code, _, err = run_command("install", tmp_path / "model.zip", "--root", tmp_path / "elsewhere")
    assert code == 0, err
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz")
    here, there = (masks(run_command, root, scans, tmp_path / root.name) for root in (fitted, tmp_path / "elsewhere"))
    assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))


def test_further_fits_keep_the_earlier(fitted: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(fitted, tmp_path)
    before = (run_path(root, RUN) / "full_data" / "adapter.safetensors").read_bytes()
    with without_plots():
        code, out, err = run_command(
            "train", *train_arguments(root, "--fits", 3, "--seed", 5, "--resume", fold="full-data")
        )
    assert code == 0, err
    assert "finished and kept" in out
    assert (run_path(root, RUN) / "full_data" / "adapter.safetensors").read_bytes() == before
    assert (run_path(root, RUN) / "full_data_3" / "adapter.json").exists()


def test_no_two_are_the_same_fit(fitted: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(fitted, tmp_path)
    outcome = run_command("train", *train_arguments(root, "--seed", 4, fold="full-data-3"))
    assert_stopped(outcome, "seed 6", "full-data-2", "--seed")
    assert not (run_path(root, RUN) / "full_data_3").exists()


def test_beside_folds_they_are_asked_for(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root, scans = copied(trained_root, tmp_path), write_scans(tmp_path / "scans", "a.nii.gz")
    with without_plots():
        code, out, err = run_command("train", *train_arguments(root, "--fits", 2, fold="full-data"))
    assert code == 0 and "--run full -f full-data full-data-2" in out, err
    code, out, err = run_command("predict", "-i", scans, "-o", tmp_path / "out", "--root", root, "--device", "cpu")
    assert code == 0 and "-f full-data full-data-2" in out, err
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["folds"] == ["0", "1"]


def test_all_are_trained_anew_by_another_plan(fitted: Path, tmp_path: Path, run_command: Command) -> None:
    """Side by side: a process that trains one of them must not be stopped by the others' old plan."""
    root = copied(fitted, tmp_path)
    edit_json(plan_path(root), lambda data: data["schedule"].update(weight_decay=0.02))
    arguments = train_arguments(root, "--fits", 2, "--seed", 5, "--jobs", 2, fold="full-data")
    assert_stopped(run_command("train", *arguments), "another plan", "--overwrite")
    code, _, err = run_command("train", *arguments, "--overwrite")
    assert code == 0, err
    cards = [
        [json.loads((run_path(each, RUN) / name / "adapter.json").read_text()) for name in ("full_data", "full_data_2")]
        for each in (root, fitted)
    ]
    assert cards[0][0]["plan_hash"] == cards[0][1]["plan_hash"] != cards[1][0]["plan_hash"]


def test_networks_of_other_lengths_are_told_of(fitted: Path, tmp_path: Path, run_command: Command) -> None:
    root, scans = copied(fitted, tmp_path), write_scans(tmp_path / "scans", "a.nii.gz")
    with without_plots():
        assert run_command("train", *train_arguments(root, "--seed", 5, fold="full-data-3", steps=4))[0] == 0
    code, _, err = run_command("predict", "-i", scans, "-o", tmp_path / "out", "--root", root, "--device", "cpu")
    assert code == 0 and "full-data: 3, full-data-2: 3, full-data-3: 4" in err, err


def test_fits_are_of_full_data_only(trained_root: Path, run_command: Command) -> None:
    assert_stopped(run_command("train", *train_arguments(trained_root, "--fits", 2)), "--fits 2", "full-data")
    assert_stopped(
        run_command(
            "predict", "-i", trained_root, "-o", trained_root / "out", "--root", trained_root, "-f", "full-data-1"
        ),
        "full-data-1",
    )
