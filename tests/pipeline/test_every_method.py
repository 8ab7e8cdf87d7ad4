"""Every way to fine-tune goes the whole way: train, stop, resume, validate, predict, export, install."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from hippopt.artifacts.methods import METHODS, PLANNED, Method
from tests.synthetic import Command
from tests.trained import (
    DATASET,
    assert_same_tensors,
    assert_stopped,
    assert_the_same_elsewhere,
    copied,
    fold_path,
    run_path,
    signal_at,
    train_arguments,
)

NEW = tuple(method for method in METHODS if method not in PLANNED)  # the others: test_resume, test_model_files
STEPS = 9


pytestmark = pytest.mark.usefixtures("no_plots")


def run_of(method: Method) -> str:
    return f"{method}-r3" if METHODS[method].ranked else method


def arguments(root: Path, method: Method, *more: object) -> list[str]:
    rank = ["--rank", 3] if METHODS[method].ranked else []
    return train_arguments(root, "--base", fold_path(root), *rank, *more, method=method, steps=STEPS)


@pytest.mark.parametrize("method", NEW)
def test_the_whole_way(trained_root: Path, tmp_path: Path, run_command: Command, method: Method) -> None:
    whole, stopped = copied(trained_root, tmp_path / "whole"), copied(trained_root, tmp_path / "stopped")
    code, _, err = run_command("train", *arguments(whole, method))
    assert code == 0, err
    for resume, stop in ([], 3), (["--resume"], 6):
        with signal_at(stop):
            outcome = run_command("train", *arguments(stopped, method, *resume))
        assert outcome[0] == 143, outcome[2]
    code, out, err = run_command("train", *arguments(stopped, method, "--resume"))
    assert code == 0 and "resumed at step 6" in out, err
    folder, run = fold_path(stopped, run=run_of(method)), run_of(method)
    assert_same_tensors(folder / "adapter.safetensors", fold_path(whole, run=run) / "adapter.safetensors")
    assert (folder / "summary.json").exists()
    card = json.loads((folder / "adapter.json").read_text())
    assert card["method"] == method and card["rank"] == (3 if METHODS[method].ranked else None)
    assert (
        (card["initial_sha256"] is not None)
        == METHODS[method].decomposes
        == (folder.parent / "initial.safetensors").exists()
    )
    assert ("peft" in card["versions"]) == (METHODS[method].package == "peft")
    assert card["settings"]["peak_memory_mb"] > 100
    base = load_file(next((stopped / "results" / "bases").glob(f"{card['base_sha256'][:12]}.safetensors")))
    head = load_file(folder / "adapter.safetensors").get("rest.out.conv.conv.weight")
    assert (head is None) == (method == "published") and (head is None or not head.equal(base["out.conv.conv.weight"]))
    assert_the_same_elsewhere(run_command, stopped, run, tmp_path)


def test_folds_of_pissa_share_one_decomposition(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(trained_root, tmp_path)
    assert run_command("train", *arguments(root, "pissa"))[0] == 0

    def never(*_: object, **__: object) -> None:
        raise AssertionError("decomposed a second time")

    monkeypatch.setattr("torch.linalg.svd", never)
    other = train_arguments(
        root, "--base", fold_path(root), "--rank", 3, "--allow-seen", method="pissa", steps=2, fold=1
    )
    assert run_command("train", *other)[0] == 0
    code, out, err = run_command("train", *other, "--name", "second")  # another run takes it from beside the base
    assert code == 0 and "taken from" in out, err
    cards = [json.loads((fold_path(root, fold, "pissa-r3") / "adapter.json").read_text()) for fold in (0, 1)]
    assert cards[0]["initial_sha256"] == cards[1]["initial_sha256"]
    # a run without its initial factors is told so, and nothing is decomposed instead
    (run_path(root, "pissa-r3") / "initial.safetensors").unlink()
    outcome = run_command(
        "predict",
        "-i",
        root / "raw_data" / DATASET / "imagesTr",
        "-o",
        tmp_path / "out",
        "--root",
        root,
        "--run",
        "pissa-r3",
    )
    assert_stopped(outcome, "initial.safetensors", "missing")


def test_a_rate_of_its_own_becomes_the_runs(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    assert run_command("train", *arguments(root, "bitfit", "--learning-rate", 3e-4))[0] == 0
    assert (
        json.loads((run_path(root, "bitfit") / "plan.json").read_text())["schedule"]["learning_rate"]["bitfit"] == 3e-4
    )
    assert_stopped(
        run_command("train", *arguments(root, "bitfit", "--learning-rate", 1e-3, "--resume")),
        "learning_rate.bitfit",
        "0.0003 -> 0.001",
    )
    assert_stopped(
        run_command("train", *arguments(root, "bitfit", "--learning-rate", -1)),
        "--learning-rate must be above 0",
        code=2,
    )


@pytest.mark.parametrize("method", ["lora", "dora", "pissa", "adalora"])
def test_a_rank_above_the_bound_is_refused(
    trained_root: Path, tmp_path: Path, run_command: Command, method: Method
) -> None:
    found = train_arguments(trained_root, "--base", fold_path(trained_root), "--rank", 49, method=method)
    assert_stopped(run_command("train", *found), "--rank 49", "from 1 to 48")
    assert not run_path(trained_root, f"{method}-r49").exists()


def test_adalora_asks_for_steps(trained_root: Path, run_command: Command) -> None:
    found = train_arguments(
        trained_root, "--base", fold_path(trained_root), "--minutes", 1, method="adalora", steps=None
    )
    assert_stopped(run_command("train", *found), "--minutes", "adalora", "--steps", code=2)
    assert not run_path(trained_root, "adalora-r4").exists()


def test_a_missing_library_and_an_unknown_method_are_told(
    trained_root: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hippopt.artifacts.methods.find_spec", lambda _: None)
    assert_stopped(
        run_command("train", *arguments(trained_root, "lora")), "method lora", "pip install 'hippopt[peft]'", code=2
    )
    assert not run_path(trained_root, "lora-r3").exists()
    outcome = run_command("train", *train_arguments(trained_root, method="loraa"))
    assert_stopped(outcome, "loraa", "adalora", "published", code=2)
