"""Row 67: a process that makes batches and is killed, as the system
does where memory runs out, ends the training with one line.
"""

import os
import signal
import subprocess
from pathlib import Path

from tests.trained import NO_PLOTS, assert_stopped, copied, fold_path, running, train_arguments


def children(pid: int) -> list[int]:
    """Ids of the processes that a process started and that still run."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in listed.split()]


def test_row_67_a_killed_worker_ends_the_training_with_one_line(trained_root: Path, tmp_path: Path) -> None:
    root = copied(trained_root, tmp_path, results=False)
    fold = fold_path(root)
    with running(tmp_path, "train", train_arguments(root, "--workers", 2, steps=100_000), before=NO_PLOTS) as process:
        process.wait_until((fold / "resume.safetensors").exists)
        workers = children(process.process.pid)
        assert len(workers) >= 2
        os.kill(workers[0], signal.SIGKILL)
        outcome = process.outcome()
    assert_stopped(outcome, "a process that made batches is gone", str(workers[0]), "--workers", "--resume", code=1)
    assert len([line for line in outcome[2].splitlines() if line.startswith("hippopt_train:")]) == 1
    assert not (fold / "lock.json").exists() and (fold / "resume.safetensors").exists()
