"""hippopt_train all with folds in processes of their own."""

import os
import signal
from pathlib import Path

from hippopt.training.lock import fold_lock
from tests.synthetic import Command
from tests.trained import assert_stopped, copied, fold_path, run_path, running, train_arguments

FOLDS = range(5)


def test_all_folds_come_out_and_a_fold_that_fails_stops_no_other(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    arguments = train_arguments(root, "--jobs", 2, fold="all")
    fold_path(root, 2).mkdir(parents=True)
    with fold_lock(fold_path(root, 2) / "lock.json"):  # as if another process trained it
        outcome = run_command("train", *arguments)
    assert_stopped(outcome, "fold 2: ", "output.log")
    assert (
        "2 folds side by side" in outcome[1] and "fold 4 done in" in outcome[1] and "mean foreground Dice" in outcome[1]
    )
    assert [(fold_path(root, fold) / "summary.json").exists() for fold in FOLDS] == [True, True, False, True, True]
    code, out, err = run_command("train", *arguments, "--resume")
    assert code == 0 and "finished and kept: fold 0 1 3 4" in out and "5 of 5 folds" in out, err
    assert (run_path(root) / "out_of_fold.csv").exists()


def test_a_signal_reaches_every_fold_and_all_are_resumed(trained_root: Path, tmp_path: Path) -> None:
    root = copied(trained_root, tmp_path, results=False)
    begun = [fold_path(root, fold) / "resume.safetensors" for fold in (0, 1)]
    with running(tmp_path, "train", train_arguments(root, "--jobs", 2, fold="all", steps=100_000)) as process:
        process.wait_until(lambda: all(path.exists() for path in begun))
        os.kill(process.process.pid, signal.SIGTERM)
        assert_stopped(process.outcome(), "stopped by a signal", code=143)
    assert all("continue with --resume" in (fold_path(root, fold) / "output.log").read_text() for fold in (0, 1))
    assert not any((fold_path(root, fold) / "lock.json").exists() for fold in FOLDS)
