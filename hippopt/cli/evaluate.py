"""hippopt_evaluate: score masks against labels."""

import argparse
import sys
from pathlib import Path

from hippopt.cli.command import add_json, make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.machine import core_count
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_evaluate", "Score masks against reference labels: Dice, HD95, NSD at 1 mm, surface distance, volumes."
    )
    parser.add_argument(
        "-p", dest="predictions", type=Path, required=True, metavar="PREDICTIONS", help="folder of masks"
    )
    parser.add_argument(
        "-l",
        dest="references",
        type=Path,
        required=True,
        metavar="LABELS",
        help="folder of reference labels, named alike",
    )
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="FILE",
        help=(
            "CSV of scores, one row per case and label; their summary, a .json file, stands beside it; default:"
            " PREDICTIONS/metrics.csv"
        ),
    )
    parser.add_argument(
        "-d",
        "--dataset",
        metavar="DATASET",
        help="take label names and subjects from it; default: a dataset.json beside LABELS, else values alone",
    )
    parser.add_argument(
        "--labels",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE[,VALUE]",
        help=(
            "what the values of the reference labels mean, several to merge them, as in hippopt_import; masks are read"
            " by the same values, or, where they hold none of them, as 1, 2, ... in the order of the names"
        ),
    )
    parser.add_argument("--jobs", type=int, default=core_count(), help="cases at a time")
    add_json(parser)
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> int:
    from hippopt.recipes.evaluation import EvaluationRequest, evaluate_masks
    from hippopt.sources.parcellation import parse_picks

    request = EvaluationRequest(
        options.predictions,
        options.references,
        options.output,
        options.dataset,
        parse_picks(options.labels),
        options.jobs,
    )
    found = evaluate_masks(workspace, request, console)
    console.result(
        cases=found.cases, subjects=found.subjects, scores=found.scores, summary=found.summary,
        labels=list(dict.fromkeys(row["label"] for row in found.rows)), rows=found.rows, faults=found.faults,
    )  # fmt: skip
    for fault in found.faults:
        console.warn(fault)
    return 1 if found.faults else 0


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
