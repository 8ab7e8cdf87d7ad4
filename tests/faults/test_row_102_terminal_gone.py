"""Row 102: a terminal that goes away (SIGHUP) stops a training as
SIGTERM does, with its state saved; under nohup the training goes on.
"""

import os
import signal
from pathlib import Path

from tests.trained import NO_PLOTS, assert_stopped, copied, fold_path, running, train_arguments

# these tests may themselves run under nohup, whose children ignore SIGHUP
TERMINAL = NO_PLOTS + "\nimport signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
NOHUP = NO_PLOTS + "\nimport signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"


def test_row_102_a_dropped_connection_saves_and_ends(trained_root: Path, tmp_path: Path) -> None:
    root = copied(trained_root, tmp_path, results=False)
    fold = fold_path(root)
    with running(tmp_path, "train", train_arguments(root, steps=100_000), before=TERMINAL) as process:
        process.wait_until((fold / "resume.safetensors").exists)
        os.kill(process.process.pid, signal.SIGHUP)
        outcome = process.outcome()
    assert_stopped(outcome, "signal at step", "--resume", code=129)
    assert not (fold / "lock.json").exists() and (fold / "resume.safetensors").exists()


def test_row_102_folds_side_by_side_end_with_the_connection(trained_root: Path, tmp_path: Path) -> None:
    root = copied(trained_root, tmp_path, results=False)
    with running(
        tmp_path, "train", train_arguments(root, "--jobs", 2, fold="all", steps=100_000), before=TERMINAL
    ) as process:
        process.wait_until(lambda: all((fold_path(root, fold) / "resume.safetensors").exists() for fold in (0, 1)))
        os.kill(process.process.pid, signal.SIGHUP)
        outcome = process.outcome()
    assert_stopped(outcome, "stopped by a signal", code=129)
    assert not any((fold_path(root, fold) / "lock.json").exists() for fold in (0, 1))


def test_row_102_under_nohup_the_training_goes_on(trained_root: Path, tmp_path: Path) -> None:
    root = copied(trained_root, tmp_path, results=False)
    fold = fold_path(root)
    with running(tmp_path, "train", train_arguments(root, steps=6), before=NOHUP) as process:
        process.wait_until((fold / "resume.safetensors").exists)
        os.kill(process.process.pid, signal.SIGHUP)
        code, _, err = process.outcome()
    assert code == 0, err
    assert (fold / "summary.json").exists()
