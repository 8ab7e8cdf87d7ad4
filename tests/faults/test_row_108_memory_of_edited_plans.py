"""Row 108: a plan that was edited to need more memory than there is, is
refused; memory that cannot be had ends a command with one line.
"""

import errno
from pathlib import Path
from typing import Any

import pytest

from hippopt.machine import ran_out_of_memory
from tests.synthetic import TINY, Command, run_plan
from tests.trained import assert_stopped, copied, edit_json, plan_path, run_path, running, train_arguments

HUGE = ("patch_size=160,160,160", "batch_size=8")


def test_row_108_settings_that_need_too_much_are_refused(workspace: Path, run_command: Command) -> None:
    outcome = run_command("plan", "--root", workspace, "--device", "cpu", "--memory-gb", 4, "--set", *TINY, *HUGE)
    assert_stopped(outcome, "160 x 160 x 160", "GB", "--memory-gb", code=1)
    assert not plan_path(workspace).exists()


def test_row_108_an_edit_that_is_refused_is_not_said_to_be_made(workspace: Path, run_command: Command) -> None:
    assert run_plan(run_command, workspace)[0] == 0
    before = plan_path(workspace).read_bytes()
    outcome = run_command("plan", "--root", workspace, "--device", "cpu", "--memory-gb", 4, "--set", *HUGE)
    assert_stopped(outcome, "160 x 160 x 160", code=1)
    assert "changed" not in outcome[1] and plan_path(workspace).read_bytes() == before


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
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        ImportError("libgomp.so.1: cannot allocate memory in static TLS block"),
    ],
    ids=["Python and numpy", "torch", "threads", "the system", "a library's segment", "a library's variables"],
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
    others = (
        RuntimeError("shapes differ"),
        ImportError("No module named 'peft'"),
        OSError(errno.ENOENT, "No such file"),
        ValueError("memory"),
    )
    assert not any(map(ran_out_of_memory, others))


@pytest.mark.parametrize("kilobytes", [250_000, 350_000])
def test_row_108_a_hard_limit_while_libraries_are_imported_is_one_line(
    trained_root: Path, tmp_path: Path, kilobytes: int
) -> None:
    """The libraries alone need more addresses than either limit gives."""
    root = copied(trained_root, tmp_path, results=False)
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({kilobytes} * 1024,) * 2)"
    with running(tmp_path / "process", "train", train_arguments(root), limited) as process:
        outcome = process.outcome()
    assert_stopped(outcome, "hippopt_train: memory ran out", code=1)
    assert len(outcome[2].splitlines()) == 1
