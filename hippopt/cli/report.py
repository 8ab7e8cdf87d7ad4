"""hippopt_report: a page for a browser, of a cohort's masks or of a training."""

import argparse
import sys
import time
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.errors import UsageError
from hippopt.machine import core_count
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_report",
        "Write a page for a browser, without network: of scans and their masks, worst first, to be rated (-i and -p);"
        " or of a training (DATASET).",
    )
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help="the data set whose training is shown")
    parser.add_argument("--run", metavar="RUN", help="which run of it; may be left out where there is only one")
    parser.add_argument(
        "-i", dest="source", type=Path, metavar="SCANS", help="the scans that were segmented: a folder, or one file"
    )
    parser.add_argument(
        "-p", dest="predictions", type=Path, metavar="PREDICTIONS", help="folder of their masks, with volumes.tsv"
    )
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="FILE",
        help="the page; default: PREDICTIONS/report.html, or report.html in the folder of the run",
    )
    parser.add_argument("--jobs", type=int, default=core_count(), help="scans drawn at a time")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file of that name even where it is no page of hippopt"
    )
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> int:
    started = time.perf_counter()
    if options.jobs < 1:
        raise UsageError(f"--jobs {options.jobs}: give 1 or more")
    masks = options.source is not None or options.predictions is not None
    if masks and (options.dataset is not None or options.run is not None):
        raise UsageError("give either DATASET, for the page of a training, or -i and -p, for a page of masks")
    if masks and (options.source is None or options.predictions is None):
        raise UsageError("give both -i, the scans, and -p, the folder of their masks")
    without = 0
    if masks:
        from hippopt.recipes.cohort_report import CohortReportRequest, cohort_report

        without = cohort_report(
            CohortReportRequest(options.source, options.predictions, options.output, options.overwrite, options.jobs),
            console,
        )
    else:
        from hippopt.recipes.training_report import TrainingReportRequest, training_report

        training_report(
            workspace,
            workspace.resolve(options.dataset),
            TrainingReportRequest(options.run, options.output, options.overwrite),
            console,
        )
    console.say(f"done in {time.perf_counter() - started:.1f} s")
    return 1 if without else 0


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
