"""hippopt_evaluate: score masks against labels."""

import argparse
import os
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.errors import HippoptError
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("hippopt_evaluate", "Score masks against reference labels: Dice, HD95, NSD at 1 mm, surface distance, volumes.")
    parser.add_argument("-p", dest="predictions", type=Path, required=True, metavar="PREDICTIONS", help="folder of masks")
    parser.add_argument("-l", dest="labels", type=Path, required=True, metavar="LABELS", help="folder of reference labels, named alike")
    parser.add_argument("-o", dest="output", type=Path, metavar="FILE", help="CSV of scores a case; default: PREDICTIONS/metrics.csv")
    parser.add_argument("-d", "--dataset", metavar="DATASET",
                        help="take label names and subjects from it; default: a dataset.json beside LABELS, else values alone")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cases at a time")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> int:
    from hippopt.artifacts.dataset import load_dataset
    from hippopt.reporting.scores import say_summary
    from hippopt.scoring.metrics import EMPTY_RULE
    from hippopt.scoring.tables import summarise, write_csv, write_json
    from hippopt.stages.evaluate import LabelNames, evaluate

    names = LabelNames({}, {})
    folder = workspace.dataset_folder(workspace.resolve(options.dataset)) if options.dataset else options.labels.resolve().parent
    if (folder / "dataset.json").is_file():
        try:
            dataset = load_dataset(folder)
            names = LabelNames(dataset.foreground, {case.id: case.subject for case in dataset.cases})
        except HippoptError as error:
            if options.dataset:
                raise
            console.warn(f"label names not taken from {folder / 'dataset.json'}: {str(error).splitlines()[0]}")
    table, faults = evaluate(options.predictions, options.labels, names, options.jobs, console)
    output = options.output or options.predictions / "metrics.csv"
    write_csv(output, table)
    summary = summarise(table)
    write_json(output.with_suffix(".json"), summary)
    console.say(f"{table.case.nunique()} cases of {table.subject.nunique()} subjects:")
    say_summary(summary, console)
    if table.note.fillna("").astype(bool).any():
        console.say(f"empty labels: {EMPTY_RULE}")
    console.say(f"scores a case: {output}; summary: {output.with_suffix('.json')}")
    for fault in faults:
        console.warn(fault)
    return 1 if faults else 0


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)
