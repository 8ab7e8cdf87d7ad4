"""Ctrl-C and SIGTERM save the fold at the next safe place, and the command exits with 130 or 143."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hippopt.training.checkpoint import load_resume
from tests.synthetic import Command
from tests.trained import NO_PLOTS, assert_stopped, copied, fold_path, running, signal_at, train_arguments


@pytest.mark.parametrize(
    ("number", "send", "workers", "code"),
    [(signal.SIGINT, os.kill, 0, 130), (signal.SIGTERM, os.killpg, 2, 143)],
    ids=["Ctrl-C to the process", "SIGTERM to the process and its workers"],
)
def test_row_60_a_signal_during_training_saves_and_ends(
    trained_root: Path, tmp_path: Path, number: int, send: Callable[[int, int], None], workers: int, code: int
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    fold = fold_path(root)
    arguments = train_arguments(root, "--workers", workers, steps=100_000)
    with running(tmp_path, "train", arguments, before=NO_PLOTS) as process:
        process.wait_until((fold / "resume.safetensors").exists)
        send(process.process.pid, number)
        outcome = process.outcome()
        with pytest.raises(ProcessLookupError):  # no worker is left
            os.killpg(process.process.pid, 0)
    assert_stopped(outcome, "signal at step", "--resume", code=code)
    assert not (fold / "lock.json").exists() and not (fold / "adapter.json").exists() and not list(fold.glob(".tmp-*"))
    _, state, warnings = load_resume(fold / "resume.safetensors", fold / "resume_previous.safetensors")
    assert f"at step {state.step};" in outcome[2] and state.step >= 3 and not warnings


def test_row_60_a_signal_in_the_last_step_keeps_the_training_and_validation_can_follow(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    fold = fold_path(root)
    with signal_at(3):
        assert_stopped(run_command("train", *train_arguments(root)), "in validation", "--resume", code=143)
    assert (fold / "adapter.json").exists() and not (fold / "summary.json").exists()
    trained = (fold / "adapter.safetensors").read_bytes()
    assert_stopped(run_command("train", *train_arguments(root)), "--resume")
    code, out, err = run_command("train", *train_arguments(root, "--resume"))
    assert code == 0 and "validation follows" in out, err
    assert (fold / "summary.json").exists() and (fold / "adapter.safetensors").read_bytes() == trained
    code, out, _ = run_command("train", *train_arguments(root, "--resume"))
    assert code == 0 and "finished and kept" in out


def test_row_60_all_folds_are_resumed_after_a_signal_in_one(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)  # folds 0 and 1 are finished
    with signal_at(2):
        assert_stopped(run_command("train", *train_arguments(root, fold=2)), "step 2", code=143)
    assert_stopped(run_command("train", *train_arguments(root, fold="all")), "fold_0", "finished")
    kept = (fold_path(root, 0) / "adapter.json").read_bytes()
    code, out, err = run_command("train", *train_arguments(root, "--resume", "--jobs", 1, fold="all"))
    assert code == 0 and "finished and kept: fold 0 1" in out and "resumed at step 2" in out, err
    assert all((fold_path(root, fold) / "summary.json").exists() for fold in range(5))
    assert (fold_path(root, 0) / "adapter.json").read_bytes() == kept
