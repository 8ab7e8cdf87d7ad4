"""Commands side by side in processes of their own."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from hippopt.errors import Interrupted
from hippopt.jobs.child_processes import Job, run_jobs, threads_each
from hippopt.stop_signals import StopSignals


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code)


def outcomes(jobs: list[Job], at_once: int = 2) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    with StopSignals() as signals:
        run_jobs(jobs, at_once, signals, lambda job, reason, _: found.update({job.name: reason}))
    return found


def test_a_failure_is_told_and_stops_no_other(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "b.log"
    jobs = [
        Job("a", (python("pass"), python(f"open({str(tmp_path / 'a')!r}, 'w')")), tmp_path / "a.log"),
        Job(
            "b",
            (
                python(
                    "import sys; print('words'); print('hippopt_train: no such thing; do this', file=sys.stderr);"
                    " sys.exit(1)"
                ),
                python(f"open({str(tmp_path / 'b')!r}, 'w')"),
            ),
            log,
        ),
        Job("c", (python("raise ValueError('odd')"),), tmp_path / "c.log"),
        Job("d", (python("import os; os.kill(os.getpid(), 9)"),), tmp_path / "d.log"),
        Job("e", (python("pass"),), tmp_path / "e.log"),
    ]
    assert outcomes(jobs) == {
        "a": None,
        "b": "no such thing; do this",
        "c": "ValueError: odd",
        "d": "ended by signal 9",
        "e": None,
    }
    assert (tmp_path / "a").exists() and not (tmp_path / "b").exists()  # what follows a failure is not begun
    assert "words" in log.read_text()
    # a log is added to, and an old reason is not told for a new failure
    assert outcomes([Job("b", (python("import sys; sys.exit(3)"),), log)]) == {"b": "exit code 3"}


def test_as_many_as_asked_for_run_side_by_side_with_their_share_of_threads(tmp_path: Path) -> None:
    code = (
        "import os, time, pathlib; p = pathlib.Path({0!r}); p.write_text(os.environ['OMP_NUM_THREADS']);"
        " time.sleep(.6); n = len(list(p.parent.glob('*.run'))); p.rename(p.with_suffix('.' + str(n)))"
    )
    jobs = [Job(str(n), (python(code.format(str(tmp_path / f"{n}.run"))),), tmp_path / f"{n}.log") for n in range(4)]
    outcomes(jobs)
    seen = sorted(int(path.suffix[1:]) for path in tmp_path.iterdir() if path.suffix not in (".log", ".run"))
    assert len(seen) == 4 and max(seen) <= 2
    texts = {path.read_text() for path in tmp_path.iterdir() if path.suffix != ".log"}
    assert texts == {str(threads_each(2))}
    assert threads_each(10_000) == 1


def test_a_signal_stops_the_children_and_waits_for_what_they_save(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time, pathlib\n"
        f"def stop(*_):\n    time.sleep(.5); pathlib.Path({str(tmp_path / 'saved')!r}).touch(); sys.exit(143)\n"
        f"signal.signal(signal.SIGTERM, stop)\npathlib.Path({str(tmp_path / 'ready')!r}).touch()\ntime.sleep(60)"
    )
    jobs = [Job("long", (python(code),), tmp_path / "long.log"), Job("next", (python("pass"),), tmp_path / "next.log")]

    def interrupt() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    started = time.monotonic()
    with pytest.raises(Interrupted, match="goes on from there") as error:
        outcomes(jobs, 1)
    thread.join()
    assert error.value.exit_code == 130 and (tmp_path / "saved").exists() and time.monotonic() - started < 30
    assert not (tmp_path / "next.log").exists()
