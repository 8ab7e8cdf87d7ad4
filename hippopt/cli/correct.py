"""hippopt_correct: bring masks that a person corrected back into a data set."""

import argparse
import sys
import time
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.console import counted
from hippopt.errors import UsageError
from hippopt.machine import core_count
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_correct",
        "Bring masks that were corrected by hand (ITK-SNAP, 3D Slicer, FSLeyes, FreeSurfer), with their scans, into a"
        " data set: as new cases, or with --overwrite in place of the labels there. hippopt_plan then takes the new"
        " cases into the folds.",
    )
    parser.add_argument("dataset", metavar="DATASET", help="4, 004, Name or Dataset004_Name")
    parser.add_argument(
        "-i", dest="scans", type=Path, required=True, metavar="SCANS", help="folder of the scans; it is only read"
    )
    parser.add_argument(
        "-p",
        dest="masks",
        type=Path,
        required=True,
        metavar="CORRECTED",
        help="folder of corrected masks, named as their scans; some scans or all",
    )
    parser.add_argument(
        "--predicted",
        type=Path,
        metavar="MASKS",
        help=(
            "the masks from before the correction, to tell how far they were changed; default: for scans "
            "of the data set, the labels there"
        ),
    )
    parser.add_argument(
        "--subjects", type=Path, metavar="TABLE", help=".tsv or .csv with the columns case and subject, for new cases"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the masks of scans that are in the data set already"
    )
    parser.add_argument("--jobs", type=int, default=core_count(), help="cases at a time")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    if options.jobs < 1:
        raise UsageError("--jobs must be above 0")
    started = time.perf_counter()
    dataset = workspace.resolve(options.dataset)
    from hippopt.recipes.trained_before import next_training
    from hippopt.stages.correct_dataset import CorrectionRequest, correct_dataset

    request = CorrectionRequest(
        dataset, options.scans, options.masks, options.predicted, options.subjects, options.overwrite, options.jobs
    )
    cases = correct_dataset(workspace, request, console)
    number = {kind: sum(case.kind == kind for case in cases) for kind in ("new", "changed", "same")}
    alone = [case.id for case in cases if case.kind == "new" and case.subject == case.id]
    if alone:
        console.say(
            f"{counted(len(alone), 'new case')} without a subject in --subjects: each is taken for a person of its own"
        )
    short = workspace.short_name(dataset)
    changes = number["new"] + number["changed"]
    console.say(
        f"{dataset}: {counted(number['new'], 'new case')}, {number['changed']} replaced, {number['same']} as they were:"
        f" {workspace.dataset_folder(dataset)}"
    )
    train = next_training(workspace, dataset) or f"hippopt_train {short} all"
    console.say(
        f"done in {time.perf_counter() - started:.1f} s"
        + (f"; next: hippopt_plan {short}, then {train}" if changes else "")
    )


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
