"""hippopt_best: choose among the trained runs, their ensembles and post-processing by what they reached out of fold."""

import argparse
import sys
import time

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_best",
        "Compare the trained runs of a data set, their ensembles and post-processing on the validation cases of all"
        " folds, and write results/DATASET/best.json, which hippopt_predict and hippopt_export then follow.",
    )
    parser.add_argument(
        "dataset",
        nargs="?",
        metavar="DATASET",
        help="4, 004, Name or Dataset004_Name; may be left out where there is only one",
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=[],
        metavar="RUN",
        help="which runs to compare; default: all that are validated on the same cases and that no hippopt_compare"
        " trained",
    )
    parser.add_argument(
        "--no-ensembles", action="store_true", help="choose a single run: a prediction takes the time of one"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute; auto: on the GPU where there is one",
    )
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    started = time.perf_counter()
    dataset = workspace.resolve(options.dataset)
    from hippopt.recipes.choosing_best import BestRequest, choose_best
    from hippopt.reporting.best_table import best_lines

    request = BestRequest(tuple(options.runs), not options.no_ensembles, options.device)
    best = choose_best(workspace, dataset, request, console)
    for line in best_lines(best):
        console.say(line)
    console.say(
        f"written: {workspace.best(dataset)}; hippopt_predict and hippopt_export follow it, unless --run names a run"
    )
    console.say(f"done in {time.perf_counter() - started:.1f} s")


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
