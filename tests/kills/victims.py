"""Commands as victims: each runs in a process forked from this one, which has imported what takes long, and is killed.

What a victim runs is the command's own `main`. A moment is a time after the start, or the n-th time that the command
opens, renames or removes a file under the folder that it works in, with a delay of thousandths of a second: so a kill
can be aimed inside a save.
"""

import contextlib
import ctypes
import importlib
import io
import json
import os
import signal
import sys
import time
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE_S = 240.0  # for a victim, and what it started, to end
WRITING = os.O_WRONLY | os.O_RDWR
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.utime"}
KILLED = -signal.SIGKILL
MODULES = "modules.json"  # what a victim that ended had imported
BEGUN_BY_HARNESS = 36  # PR_SET_CHILD_SUBREAPER: orphans become children of the harness, so that it sees them end


@dataclass(frozen=True)
class Kill:
    """A signal and its moment: `seconds` after the start; or, where 0, `delay` seconds after the `event`-th change of
    a file whose path holds one of the `words`.
    """

    number: signal.Signals = signal.SIGKILL
    seconds: float = 0.0
    event: int = 0
    words: tuple[str, ...] = ("",)
    delay: float = 0.0

    def __str__(self) -> str:
        moment = f"{self.seconds:.3f} s" if self.seconds else f"change {self.event} of {'|'.join(self.words) or 'any'}"
        return f"{self.number.name} at {moment}" + (f" + {1000 * self.delay:.1f} ms" if self.delay else "")


@dataclass(frozen=True)
class Victim:
    """A command. works_in: changes of files are counted below it; apart: whether the processes that it starts begin as
    a user's do, and are not forked.
    """

    command: str
    arguments: tuple[str, ...]
    works_in: Path
    apart: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a victim ended. code: of exit, negative for a signal; changes: paths in their order, of one that ended."""

    code: int
    seconds: float
    said: str
    changes: tuple[str, ...] = field(default=())


def adopt_orphans() -> None:
    """Make this process the parent of what dead victims leave behind."""
    ctypes.CDLL(None).prctl(BEGUN_BY_HARNESS, 1, 0, 0, 0)


def run_victim(victim: Victim, log: Path, kill: Kill | None = None) -> Outcome:
    """Run a command, kill it at its moment, and wait until it and all that it started have ended.

    Raises TimeoutError where they do not end.
    """
    log.mkdir(parents=True, exist_ok=True)
    words, changes = log / "said.txt", log / "changes.json"
    changes.unlink(missing_ok=True)
    started = time.monotonic()
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        _work(victim, words, changes, kill)
    if kill is not None and kill.seconds:
        code = _wait(process, started + kill.seconds)
        if code is None:
            os.kill(process, kill.number)
            code = _wait(process, time.monotonic() + PATIENCE_S)
    else:
        code = _wait(process, started + PATIENCE_S)
    seconds = time.monotonic() - started
    if code is None:
        os.killpg(process, signal.SIGKILL)
        raise TimeoutError(f"{victim.command}: did not end; {kill}; it said: {words.read_text()}")
    _orphans_end(victim, kill)
    found = tuple(json.loads(changes.read_text())) if changes.exists() else ()
    return Outcome(code, seconds, words.read_text(errors="replace"), found)


def import_as_victim(log: Path) -> None:
    """Import what the last victim that ended had imported, so that the next ones need not."""
    for name in json.loads((log / MODULES).read_text()):
        if name not in sys.modules and "__main__" not in name:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _wait(process: int, until: float) -> int | None:
    """The exit code, or None where the process still runs at that time."""
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        left = until - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(0.002, left))


def _orphans_end(victim: Victim, kill: Kill | None) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            found, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not found:
            time.sleep(0.02)
    raise TimeoutError(f"{victim.command}: processes that it started live on after {kill}")


def _work(victim: Victim, words: Path, changes: Path, kill: Kill | None) -> None:
    """Be the victim: never returns."""
    code = 70
    try:
        os.setsid()
        _say_into(words)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        counted = _count_changes(str(victim.works_in), kill)
        if not victim.apart:
            jobs = importlib.import_module("hippopt.jobs.child_processes")
            jobs.subprocess = types.SimpleNamespace(Popen=ForkedCommand, DEVNULL=None)  # type: ignore[attr-defined]
        code = _run_main(victim.command, victim.arguments)
        changes.write_text(json.dumps(counted))
        (words.parent / MODULES).write_text(json.dumps(sorted(sys.modules)))
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _say_into(path: Path) -> None:
    stream = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(stream, number)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), line_buffering=True)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), line_buffering=True)


def _run_main(command: str, arguments: Sequence[str]) -> int:
    sys.argv = [f"hippopt_{command}", *arguments]
    try:
        return int(importlib.import_module(f"hippopt.cli.{command}").main(list(arguments)) or 0)
    except SystemExit as error:
        return int(error.code or 0)


def _count_changes(folder: str, kill: Kill | None) -> list[str]:
    """Changes of files below `folder` from now on; the kill strikes where it is aimed at one of them."""
    counted: list[str] = []
    me, fitting = os.getpid(), 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal fitting
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & WRITING:
                return
        elif event not in CHANGES:
            return
        paths = [os.fsdecode(each) for each in arguments[:2] if isinstance(each, str | bytes)]
        if not paths or not any(path.startswith(folder) for path in paths) or os.getpid() != me:
            return
        counted.append(paths[-1])
        if kill is None or kill.seconds or not any(word in path for word in kill.words for path in paths):
            return
        fitting += 1
        if fitting != kill.event:
            return
        if not kill.delay:
            os.kill(me, kill.number)
        else:  # SIGALRM's default action ends the process within any call, as SIGKILL does
            signal.setitimer(signal.ITIMER_REAL, kill.delay)

    sys.addaudithook(hook)
    return counted


class ForkedCommand:
    """What `subprocess.Popen` is to hippopt.jobs, for `python -m hippopt.cli.NAME ARGUMENTS`."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], stdout: Any, start_new_session: bool, **_: Any
    ) -> None:
        self.returncode: int | None = None
        name = command[2].removeprefix("hippopt.cli.")
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            if start_new_session:
                os.setsid()
            for number in (1, 2):
                os.dup2(stdout.fileno(), number)
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
            os.environ.update(env)
            code = _run_main(name, command[3:])
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(code)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """The exit code once it has ended."""
        while self.poll() is None:
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What is set up before the first victim says nothing."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
