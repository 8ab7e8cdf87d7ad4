"""What all commands share: the parser with --root, and the way from an error to a line and an exit code."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from hippopt import __version__
from hippopt.cli.console import TerminalConsole
from hippopt.errors import HippoptError, Interrupted, UsageError
from hippopt.workspace import Workspace


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default only where there is one and the text does not tell it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, "", False) or action.default == [] or "default" in (action.help or ""):
            return action.help
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(map(str, action.default))})"
        return super()._get_help_string(action)


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with what every command takes."""
    parser = argparse.ArgumentParser(prog=name, description=description, formatter_class=_Formatter)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("HIPPOPT_ROOT", ".")),
                        help="workspace that holds raw_data/, plans/, preprocessed/ and results/; HIPPOPT_ROOT sets it too")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"hippopt {__version__}")
    return parser


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace, Workspace, TerminalConsole], int | None],
    arguments: list[str] | None = None,
) -> int:
    """Parse and work. Returns 0, 1 for an expected failure, 2 for wrong usage, 130 or 143 when stopped by a signal."""
    options = parser.parse_args(arguments)
    console = TerminalConsole(as_json=getattr(options, "json", False))
    for stream in (sys.stdout, sys.stderr):  # a path with any byte in its name can then be printed
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    failure: HippoptError | None = None
    code = 0
    try:
        code = work(options, Workspace(options.root), console) or 0
    except Interrupted as error:
        failure, code = error, error.exit_code
    except HippoptError as error:
        failure, code = error, 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        if error.filename is None:  # not a matter of one path
            raise
        failure, code = HippoptError(f"{error.filename}: {error.strerror}; look at the path and its permissions"), 1
    except KeyboardInterrupt:
        failure, code = HippoptError("stopped by Ctrl-C; what was finished stays on disk"), 128 + signal.SIGINT
    if failure is not None:
        _fail(parser, failure)
    if console.as_json:
        with contextlib.suppress(BrokenPipeError):
            console.show_results(command=parser.prog, exit_code=code, error=str(failure) if failure is not None else None)
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where the shell closed it
        try:
            stream.flush()
        except BrokenPipeError:  # nothing reads any more; keep the interpreter's own flush at exit quiet
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option of commands whose summary a program may read."""
    parser.add_argument(
        "--json", action="store_true", help="the summary as one line of JSON on standard output; lines for people go to standard error"
    )


def _fail(parser: argparse.ArgumentParser, error: HippoptError) -> None:
    lines = str(error).splitlines() or [type(error).__name__]
    for line in lines:
        try:
            print(f"{parser.prog}: {line}", file=sys.stderr, flush=True)
        except BrokenPipeError:
            break
