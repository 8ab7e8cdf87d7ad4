"""Commands of hippopt in processes of their own, some at a time:
each has its own memory, and one that fails stops no other.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hippopt
from hippopt.errors import Interrupted
from hippopt.machine import THREADS, core_count, threads_asked
from hippopt.parent_process import PARENT
from hippopt.stop_signals import StopSignals

POLL_S = 0.2
OUR_LINE = re.compile(r"hippopt_\w+: (.*)")  # how a command says why it failed


@dataclass(frozen=True)
class Job:
    """Commands that run one after the other, until one fails. Their output is added to `log`."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    log: Path


@dataclass
class _Running:
    job: Job
    started: float
    done: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    log_start: int = 0


def threads_each(at_once: int) -> int:
    """Give the threads of each of several processes: what the user asked for, else its share of the cores.

    More threads than there are cores slow all of the processes down manyfold.
    """
    return threads_asked() or max(1, core_count() // at_once)


def run_jobs(
    jobs: Sequence[Job],
    at_once: int,
    signals: StopSignals,
    on_done: Callable[[Job, str | None, float], None],
    on_wait: Callable[[], None] = lambda: None,
) -> None:
    """Run the jobs, `at_once` of them side by side. on_done gets each with the reason why it failed, or None, and its
    seconds; on_wait is called several times a second.

    After a signal the children are asked to stop, and waited for: they save what they have. Then raises Interrupted.
    """
    waiting, running = list(jobs), list[_Running]()
    try:
        while waiting or running:
            if signals.number is not None:
                _stop(running, signal.SIGTERM)
                raise Interrupted(
                    "stopped by a signal; what was done is kept, and the same command goes on from there",
                    128 + signals.number,
                )
            while waiting and len(running) < at_once:
                running.append(_Running(waiting.pop(0), time.perf_counter()))
            for each in list(running):
                if each.process is None:
                    each.log_start = each.job.log.stat().st_size if each.job.log.exists() else 0
                    each.process = _start(each.job, each.job.commands[each.done], threads_each(at_once))
                code = each.process.poll()
                if code is None:
                    continue
                each.process, each.done = None, each.done + 1
                if code != 0 or each.done == len(each.job.commands):
                    running.remove(each)
                    on_done(each.job, None if code == 0 else _reason(each, code), time.perf_counter() - each.started)
            on_wait()
            time.sleep(POLL_S)
    finally:
        _stop(running, signal.SIGKILL)  # after a second Ctrl-C, or an error: resume files are whole at any moment


def _start(job: Job, command: tuple[str, ...], threads: int) -> "subprocess.Popen[bytes]":
    paths = [str(Path(hippopt.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        "MKL_NUM_THREADS": str(threads),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        PARENT: str(os.getpid()),
    }
    if threads_asked() is None:
        environment[THREADS] = str(threads)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        # a session of its own: Ctrl-C in the terminal comes here, and is passed on
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )


def _stop(running: Sequence[_Running], number: signal.Signals) -> None:
    processes = [each.process for each in running if each.process is not None]
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)
    for process in processes:
        process.wait()


def _reason(failed: _Running, code: int) -> str:
    """What the command said last."""
    text = failed.job.log.read_bytes()[failed.log_start :].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [found[1] for line in lines if (found := OUR_LINE.fullmatch(line))]
    if code < 0:
        return f"ended by signal {-code}"
    return (said or lines or [f"exit code {code}"])[-1]
