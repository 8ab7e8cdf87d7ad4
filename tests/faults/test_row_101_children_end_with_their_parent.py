"""Row 101: processes that a command started end with it, also where it was killed and could not tell them."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.test_row_67_killed_worker import children
from tests.trained import NO_PLOTS, copied, fold_path, running, train_arguments

PATIENCE_S = 600.0


def gone(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"  # what nobody has waited for
    return True


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_row_101_batch_workers_of_a_killed_training_end(trained_root: Path, tmp_path: Path) -> None:
    root = copied(trained_root, tmp_path, results=False)
    with running(tmp_path, "train", train_arguments(root, "--workers", 2, steps=100_000), before=NO_PLOTS) as process:
        process.wait_until((fold_path(root) / "resume.safetensors").exists)
        workers = children(process.process.pid)
        assert workers
        os.kill(process.process.pid, signal.SIGKILL)
        process.process.wait()
        wait_for(lambda: all(map(gone, workers)))


def test_row_101_folds_side_by_side_save_and_end_when_their_parent_is_killed(
    trained_root: Path, tmp_path: Path
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    arguments = train_arguments(root, "--jobs", 2, fold="all", steps=100_000)
    with running(tmp_path, "train", arguments) as process:
        process.wait_until(lambda: all((fold_path(root, fold) / "resume.safetensors").exists() for fold in (0, 1)))
        folds = children(process.process.pid)
        assert len(folds) == 2
        os.kill(process.process.pid, signal.SIGKILL)
        process.process.wait()
        try:
            wait_for(lambda: all(map(gone, folds)))
        finally:
            for fold in folds:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(fold, signal.SIGKILL)
    for fold in (0, 1):
        assert "stopped by a signal at step" in (fold_path(root, fold) / "output.log").read_text()
        assert not (fold_path(root, fold) / "lock.json").exists()
