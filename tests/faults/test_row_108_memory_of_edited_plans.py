"""Row 108: a plan that was edited to need more memory than there is, is
refused; memory that cannot be had ends a command with one line.
"""

import errno
from pathlib import Path
from typing import Any

import pytest

from hippopt.machine import ran_out_of_memory
from tests.synthetic import TINY, Command, run_plan
from tests.trained import assert_stopped, copied, edit_json, plan_path, run_path, train_arguments

HUGE = ("patch_size=160,160,160", "batch_size=8")


def test_row_108_settings_that_need_too_much_are_refused(workspace: Path, run_command: Command) -> None:
    outcome = run_command("plan", "--root", workspace, "--device", "cpu", "--memory-gb", 4, "--set", *TINY, *HUGE)
    assert_stopped(outcome, "160 x 160 x 160", "GB", "--memory-gb", code=1)
    assert not plan_path(workspace).exists()


def test_row_108_a_plan_edited_by_hand_is_told_by_planning_and_refused_by_training(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    edit_json(plan_path(root), lambda plan: plan | {"patch_size": [160, 160, 160], "batch_size": 8})
    code, _, err = run_command("plan", "--root", root, "--device", "cpu", "--memory-gb", 4)
    assert code == 0 and "need about" in err and "4.0 GB to plan with" in err
    monkeypatch.setattr("hippopt.training.machine_limits.machine_bytes", lambda: 4e9)
    assert_stopped(run_command("train", *train_arguments(root)), "memory: batch_size 8", "hippopt_plan", code=1)
    assert not run_path(root).exists()


def test_row_108_a_plan_for_a_larger_machine_is_kept(workspace: Path, run_command: Command) -> None:
    code, _, err = run_command("plan", "--root", workspace, "--device", "cpu", "--memory-gb", 80, "--set", *TINY, *HUGE)
    assert code == 0, err
    code, _, err = run_plan(run_command, workspace, "--overwrite")
    assert code == 0, err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 20.0 GiB for an array"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
            " allocate 9 bytes."
        ),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=["Python and numpy", "torch", "threads", "the system"],
)
def test_row_108_memory_that_cannot_be_had_is_one_line(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert ran_out_of_memory(error)
    root = copied(trained_root, tmp_path, results=False)

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("hippopt.stages.train_fold.train", fail)
    outcome = run_command("train", *train_arguments(root))
    assert_stopped(outcome, "memory ran out", "--workers", code=1)
    assert len(outcome[2].strip().splitlines()[-1]) < 500


def test_row_108_other_errors_are_not_taken_for_it() -> None:
    assert not any(
        map(
            ran_out_of_memory,
            (RuntimeError("shapes differ"), OSError(errno.ENOENT, "No such file"), ValueError("memory")),
        )
    )
