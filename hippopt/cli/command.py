"""What all commands share: the parser with --root, and the way from an error to a line and an exit code."""

import argparse
import atexit
import contextlib
import difflib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from hippopt import __version__
from hippopt.artifacts.codec import one_line
from hippopt.cli.console import TerminalConsole
from hippopt.errors import HippoptError, Interrupted, UsageError
from hippopt.machine import ran_out_of_memory
from hippopt.networks.lean_import import import_monai_lean
from hippopt.parent_process import watch_parent
from hippopt.surroundings import draw_into_files, wait_briefly
from hippopt.workspace import Workspace

LESS_MEMORY = (
    "give it more, or take less at a time: fewer --jobs or --workers, or a smaller batch_size or patch_size"
    " (hippopt_plan --set batch_size=1)"
)


class _Parser(argparse.ArgumentParser):
    """Says near matches of options that there are none of."""

    _given: Sequence[str] = ()

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Remember what was given, for `error`."""
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """End with the message and near matches of unknown options."""
        super().error(message + near_options(self._given, self._option_string_actions))


def near_options(given: Sequence[str], known: Iterable[str]) -> str:
    """`; --fols: near matches: --folds`, for the words that begin with -- and no option begins with; else nothing."""
    options = [option for option in known if option.startswith("--")]
    words = [word.partition("=")[0] for word in given if re.match("--[a-zA-Z]", word)]
    unknown = [word for word in dict.fromkeys(words) if not any(option.startswith(word) for option in options)]
    near = {word: difflib.get_close_matches(word.replace("_", "-").lower(), options, 3) for word in unknown}
    return "".join(f"; {word}: near matches: {', '.join(found)}" for word, found in near.items() if found)


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
    parser = _Parser(prog=name, description=description, formatter_class=_Formatter)
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get("HIPPOPT_ROOT", ".")),
        help="workspace that holds raw_data/, plans/, preprocessed/ and results/; HIPPOPT_ROOT sets it too",
    )
    parser.add_argument("--debug", action="store_true", help="show with an error where in the code it came from")
    parser.add_argument("--version", action="version", version=f"hippopt {__version__}")
    return parser


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace, Workspace, TerminalConsole], int | None],
    arguments: list[str] | None = None,
) -> int:
    """Parse and work.

    Returns 0, 1 for an expected failure, 2 for wrong usage, 130, 143 or 129 when stopped by a signal.
    """
    options = parser.parse_args(arguments)
    watch_parent()
    draw_into_files()
    wait_briefly()
    import_monai_lean()
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
    except (OSError, MemoryError, RuntimeError, ImportError, SystemError) as error:
        if ran_out_of_memory(error):
            atexit.register(_end_quietly)
            failure, code = _because(error, f"memory ran out ({one_line(error)}); {LESS_MEMORY}"), 1
        elif isinstance(error, OSError) and error.filename is not None:
            failure, code = (
                _because(error, f"{error.filename}: {error.strerror}; look at the path and its permissions"),
                1,
            )
        else:  # not a matter of one path
            raise
    except KeyboardInterrupt as error:
        failure, code = _because(error, "stopped by Ctrl-C; what was finished stays on disk"), 128 + signal.SIGINT
    if failure is not None:
        _fail(parser, failure, options.debug)
    if console.as_json:
        with contextlib.suppress(OSError):
            console.show_results(
                command=parser.prog, exit_code=code, error=str(failure) if failure is not None else None
            )
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where the shell closed it
        try:
            stream.flush()
        except (
            OSError
        ):  # nothing reads any more, or the terminal is gone; keep the interpreter's own flush at exit quiet
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option of commands whose summary a program may read."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="the summary as one line of JSON on standard output; lines for people go to standard error",
    )


def _end_quietly() -> None:
    """Keep quiet what libraries say while the interpreter ends without memory: the line is said."""
    with contextlib.suppress(Exception):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _because(error: BaseException, words: str) -> HippoptError:
    """An error for the user of one of Python's."""
    found = HippoptError(words)
    found.__cause__ = error
    return found


def _fail(parser: argparse.ArgumentParser, error: HippoptError, debug: bool) -> None:
    """Say the error's lines, after the way that it came where --debug asks for it."""
    if debug:
        with contextlib.suppress(OSError):
            traceback.print_exception(error)
    lines = str(error).splitlines() or [type(error).__name__]
    for line in lines:
        try:
            print(f"{parser.prog}: {line}", file=sys.stderr, flush=True)
        except OSError:  # the words are lost with their reader; the exit code is not
            break
