"""hippopt_demo: the whole pipeline on synthetic scans."""

import argparse
import os
import sys
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.errors import UsageError
from hippopt.machine import core_count
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_demo",
        "Make synthetic scans, import, plan, train five short folds, predict held-out scans, score them.",
    )
    parser.set_defaults(root=Path(os.environ.get("HIPPOPT_ROOT", "demo_workspace")))
    parser.add_argument("--minutes", type=float, default=8.0, metavar="M", help="about how long it may take")
    parser.add_argument("--seed", type=int, default=0, help="seed of the synthetic scans")
    parser.add_argument("--jobs", type=int, default=core_count(), help="cases at a time")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    if options.minutes <= 0 or options.jobs < 1 or options.seed < 0:
        raise UsageError("--minutes and --jobs must be above 0, --seed not below")
    from hippopt.recipes.demo import run_demo

    run_demo(workspace, options.minutes, options.seed, options.jobs, console)


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
