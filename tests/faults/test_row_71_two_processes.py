"""A second process on a fold is refused while the first lives, and a lock that a dead process left is taken over."""

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path

import pytest

from hippopt.errors import OutputError, TrainingError
from hippopt.training.lock import check_free, fold_lock
from tests.synthetic import Command
from tests.trained import NO_PLOTS, assert_stopped, contents, copied, fold_path, running, train_arguments


def test_row_71_a_second_process_is_refused_and_a_killed_one_is_taken_over(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    fold = fold_path(root)
    with running(tmp_path, "train", train_arguments(root, "--workers", 1, steps=100_000), before=NO_PLOTS) as first:
        first.wait_until((fold / "resume.safetensors").exists)
        for options in (["--overwrite"], ["--resume", "--allow-change"]):
            outcome = run_command("train", *train_arguments(root, *options))
            assert_stopped(outcome, fold / "lock.json", f"process {first.process.pid} on {socket.gethostname()}")
        assert first.process.poll() is None
    assert (fold / "lock.json").exists()  # it was killed
    code, _, err = run_command("train", *train_arguments(root, "--overwrite"))
    assert code == 0 and "gone; taken over" in err, err
    assert not (fold / "lock.json").exists()


def test_row_71_another_fold_of_the_run_can_be_trained_meanwhile(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    with fold_lock(fold_path(root, 0) / "lock.json"):
        code, _, err = run_command("train", *train_arguments(root, fold=1))
    assert code == 0, err


def test_row_71_the_lock_of_another_host_is_never_taken_over(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    lock = fold_path(root) / "lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"pid": 1, "host": "another-machine"}))
    before = contents(root)
    assert_stopped(run_command("train", *train_arguments(root)), lock, "another-machine", "remove the file")
    assert contents(root) == before


@pytest.mark.parametrize("text", ["", "half of a rec", '{"pid": 999999999, "host": "%s"}', '{"pid": %d, "host": "%s"}'])
def test_row_71_a_stale_lock_of_any_content_is_taken_over(tmp_path: Path, text: str) -> None:
    lock = tmp_path / "fold" / "lock.json"
    lock.parent.mkdir()
    values = (os.getpid(), socket.gethostname()) if "%d" in text else (socket.gethostname(),) if "%s" in text else ()
    lock.write_text(text % values)  # even this process's own id: ids are given out anew
    with fold_lock(lock) as stale:
        assert stale == bool(values)
        assert json.loads(lock.read_text()) == {"pid": os.getpid(), "host": socket.gethostname()}
    assert not lock.exists()


def test_row_71_a_lock_that_is_released_while_it_is_opened_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, real, calls = tmp_path / "lock.json", fcntl.lockf, [0]

    def lockf(handle: int, operation: int) -> None:
        calls[0] += 1
        if calls[0] == 1:
            lock.unlink()  # its holder ends between our opening and our locking
        real(handle, operation)

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with fold_lock(lock):
        assert calls[0] == 2 and json.loads(lock.read_text())["pid"] == os.getpid()


def test_row_71_where_the_disk_knows_no_locks_a_running_holder_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lockf(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname()}))
    with pytest.raises(TrainingError, match=str(os.getppid())), fold_lock(lock):
        pass
    lock.write_text(json.dumps({"pid": 999_999_999, "host": socket.gethostname()}))
    with fold_lock(lock) as stale:
        assert stale


def test_row_71_of_many_processes_at_once_one_holds_the_lock(tmp_path: Path) -> None:
    lock, holding = tmp_path / "lock.json", tmp_path / "holding"
    children = []
    for _ in range(8):
        child = os.fork()
        if not child:
            code = 0
            try:
                for _ in range(50):
                    try:
                        with fold_lock(lock):
                            os.close(os.open(holding, os.O_CREAT | os.O_EXCL))  # fails where another holds it too
                            holding.unlink()
                    except TrainingError:
                        continue
            except BaseException:
                code = 1
            os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    assert not lock.exists()


JOB = {"SLURM_JOB_ID": "41", "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "3"}
CASES = {
    "requeued to another node": ("node1", JOB, {**JOB, "SLURM_RESTART_COUNT": "1"}, True),
    "requeued twice": ("node1", {**JOB, "SLURM_RESTART_COUNT": "1"}, {**JOB, "SLURM_RESTART_COUNT": "2"}, True),
    "the same job, not requeued: another of its nodes": ("node1", JOB, JOB, False),
    "the job before it was requeued, still alive": (
        "node1",
        {**JOB, "SLURM_RESTART_COUNT": "2"},
        {**JOB, "SLURM_RESTART_COUNT": "1"},
        False,
    ),
    "another task of the array": ("node1", JOB, {**JOB, "SLURM_ARRAY_TASK_ID": "4", "SLURM_RESTART_COUNT": "1"}, False),
    "another job": ("node1", JOB, {"SLURM_JOB_ID": "42", "SLURM_RESTART_COUNT": "1"}, False),
    "another cluster": ("node1", JOB, {**JOB, "SLURM_CLUSTER_NAME": "north", "SLURM_RESTART_COUNT": "1"}, False),
    "no job": ("node1", JOB, {}, False),
    "a lock of no job": ("node1", {}, {**JOB, "SLURM_RESTART_COUNT": "1"}, False),
}


@pytest.mark.parametrize("name", CASES)
def test_row_71_a_requeued_job_takes_its_own_lock_over_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    host, theirs, mine, taken = CASES[name]
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"pid": 1, "host": host, **({"job": theirs} if theirs else {})}))
    for variable, value in mine.items():
        monkeypatch.setenv(variable, value)
    if taken:
        with fold_lock(lock) as stale:
            assert stale and json.loads(lock.read_text())["job"] == mine
        assert not lock.exists()
    else:
        with pytest.raises(TrainingError, match=host), fold_lock(lock):
            pass


SAID = {
    "it runs": ("echo RUNNING", False),
    "it waits, requeued": ("echo PENDING", False),
    "killed for its memory": ("echo OUT_OF_MEMORY", True),
    "its time was over": ("echo TIMEOUT", True),
    "so long ago that SLURM forgot it": ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", True),
    "it says nothing, as with a person's filters": ("exit 0", False),
    "SLURM does not answer": ("echo 'Unable to contact slurm controller' >&2; exit 1", False),
}


@pytest.mark.parametrize("name", SAID)
def test_row_71_the_lock_of_a_job_that_has_ended_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As when a fold's job was killed on another node, and the same script is submitted again."""
    script, taken = SAID[name]
    lock, mine = ended_job(tmp_path, monkeypatch, script)
    if taken:
        check_free([lock], "the run")
        with fold_lock(lock) as stale:
            assert stale and json.loads(lock.read_text())["job"] == mine
        assert not lock.exists()
        return
    with pytest.raises(OutputError, match="node1"):
        check_free([lock], "the run")
    with pytest.raises(TrainingError, match="node1"), fold_lock(lock):
        pass


def ended_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> tuple[Path, dict[str, str]]:
    """(the lock of task 3 of array 40, of which squeue says what `script` does, on another node; this job's names)."""
    squeue = tmp_path / "squeue"
    squeue.write_text(
        '#!/bin/sh\n[ -z "$SQUEUE_PARTITION" ] || exit 0\n'
        f'case "$*" in *--jobs=40_3*) {script};; *) echo RUNNING;; esac\n'
    )
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SQUEUE_PARTITION", "long")
    mine = {"SLURM_CLUSTER_NAME": "north", "SLURM_JOB_ID": "52"}
    for variable, value in mine.items():
        monkeypatch.setenv(variable, value)
    lock = tmp_path / "lock.json"
    job = {**JOB, "SLURM_CLUSTER_NAME": "north"}
    lock.write_text(json.dumps({"pid": 1, "host": "node1", "job": job}))
    return lock, mine


@pytest.mark.parametrize("whose", ["another cluster's", "of no cluster", "another user's"])
def test_row_71_only_jobs_of_this_cluster_and_user_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """A cluster may hide other users' jobs, as if they had ended."""
    lock, _ = ended_job(tmp_path, monkeypatch, "echo TIMEOUT")
    if whose == "another user's":
        monkeypatch.setattr(os, "geteuid", lambda: lock.stat().st_uid + 1)
    elif whose == "of no cluster":
        monkeypatch.delenv("SLURM_CLUSTER_NAME")
    else:
        monkeypatch.setenv("SLURM_CLUSTER_NAME", "south")
    with pytest.raises(TrainingError, match="node1"), fold_lock(lock):
        pass


def test_row_71_of_two_jobs_that_take_a_lock_over_one_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds the file locked, and the dead job's name still in it, while the first asks squeue."""
    lock, _ = ended_job(tmp_path, monkeypatch, "sleep 1; echo TIMEOUT")
    holding, children = tmp_path / "holding", []
    for number in ("52", "53"):
        child = os.fork()
        if not child:
            os.environ["SLURM_JOB_ID"] = number
            try:
                with fold_lock(lock):
                    os.close(os.open(holding, os.O_CREAT | os.O_EXCL))  # fails where the other one holds it too
                    time.sleep(2)
            except TrainingError:
                os._exit(1)
            except BaseException:
                os._exit(2)
            os._exit(0)
        children.append(child)
        time.sleep(0.3)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 1]


def test_row_71_a_living_process_of_the_job_on_this_host_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock.json"
    for variable, value in JOB.items():
        monkeypatch.setenv(variable, value)
    with fold_lock(lock):
        child = os.fork()
        if not child:
            os.environ["SLURM_RESTART_COUNT"] = "1"
            try:
                with fold_lock(lock):
                    os._exit(0)
            except TrainingError:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
