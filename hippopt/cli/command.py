"""What all commands share: the parser with --root, and the way from an error to a line and an exit code."""

import argparse
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
    console = TerminalConsole()
    for stream in (sys.stdout, sys.stderr):  # a path with any byte in its name can then be printed
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = work(options, Workspace(options.root), console) or 0
    except Interrupted as error:
        code = _fail(parser, error, error.exit_code)
    except HippoptError as error:
        code = _fail(parser, error, 2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        if error.filename is None:  # not a matter of one path
            raise
        code = _fail(parser, HippoptError(f"{error.filename}: {error.strerror}; look at the path and its permissions"), 1)
    except KeyboardInterrupt:
        code = _fail(parser, HippoptError("stopped by Ctrl-C; what was finished stays on disk"), 128 + signal.SIGINT)
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where the shell closed it
        try:
            stream.flush()
        except BrokenPipeError:  # nothing reads any more; keep the interpreter's own flush at exit quiet
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _fail(parser: argparse.ArgumentParser, error: HippoptError, code: int) -> int:
    lines = str(error).splitlines() or [type(error).__name__]
    for line in lines:
        try:
            print(f"{parser.prog}: {line}", file=sys.stderr, flush=True)
        except BrokenPipeError:
            break
    return code
