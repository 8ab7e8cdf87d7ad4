"""hippopt_evaluate: score masks against labels."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hippopt.cli.command import add_json, make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.console import counted
from hippopt.errors import HippoptError, UsageError
from hippopt.machine import core_count
from hippopt.workspace import PROVENANCE, Workspace

if TYPE_CHECKING:
    from hippopt.stages.evaluate import LabelNames


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("hippopt_evaluate", "Score masks against reference labels: Dice, HD95, NSD at 1 mm, surface distance, volumes.")
    parser.add_argument("-p", dest="predictions", type=Path, required=True, metavar="PREDICTIONS", help="folder of masks")
    parser.add_argument("-l", dest="labels", type=Path, required=True, metavar="LABELS", help="folder of reference labels, named alike")
    parser.add_argument("-o", dest="output", type=Path, metavar="FILE", help="CSV of scores a case; default: PREDICTIONS/metrics.csv")
    parser.add_argument("-d", "--dataset", metavar="DATASET",
                        help="take label names and subjects from it; default: a dataset.json beside LABELS, else values alone")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=core_count(), help="cases at a time")
    add_json(parser)
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
    if options.dataset:
        _check_labels(options.predictions, folder.name, names, workspace, console)
    table, faults = evaluate(options.predictions, options.labels, names, options.jobs, console)
    strangers = sorted(set(table.case) - set(names.subjects))
    if options.dataset and strangers:
        console.warn(
            f"{len(strangers)} of {counted(table.case.nunique(), 'case')} not known in {folder.name} ({strangers[0]}{', ...' if len(strangers) > 1 else ''}): each counts as a subject of its "
            "own; where several scans are of one person, import them with --subjects and name that data set with -d"
        )
    output = options.output or options.predictions / "metrics.csv"
    write_csv(output, table)
    summary = summarise(table)
    write_json(output.with_suffix(".json"), summary)
    console.say(f"{counted(table.case.nunique(), 'case')} of {counted(table.subject.nunique(), 'subject')}:")
    say_summary(summary, console)
    if table.note.fillna("").astype(bool).any():
        console.say(f"empty labels: {EMPTY_RULE}")
    console.say(f"scores a case: {output}; summary: {output.with_suffix('.json')}")
    console.result(
        cases=int(table.case.nunique()), subjects=int(table.subject.nunique()), scores=output, summary=output.with_suffix(".json"),
        labels=list(dict.fromkeys(summary.label)), rows=summary.to_dict(orient="records"), faults=faults,
    )  # fmt: skip
    for fault in faults:
        console.warn(fault)
    return 1 if faults else 0


def _check_labels(predictions: Path, dataset: str, names: "LabelNames", workspace: Workspace, console: TerminalConsole) -> None:
    """Warns where masks of hippopt_predict are to be named by a data set whose labels are named otherwise than those they were made for;
    raises UsageError where a label of one name has another value there."""
    from hippopt.artifacts.codec import parse_json
    from hippopt.artifacts.dataset import load_dataset

    try:
        made = parse_json((predictions / PROVENANCE).read_bytes(), predictions / PROVENANCE)
        source = load_dataset(workspace.dataset_folder(str(made["dataset"])))
    except (OSError, HippoptError, KeyError, TypeError):
        return  # not of hippopt_predict, or of a data set that is not here
    theirs, ours = source.foreground, names.foreground
    if not ours or theirs == ours:
        return
    if any(ours.get(name, value) != value for name, value in theirs.items()):
        raise UsageError(
            f"-d {dataset}: its labels {ours} are not those of the masks, made for {made['dataset']} {theirs}; name another data set, or leave -d out"
        )
    console.warn(
        f"-d {dataset} names labels otherwise ({ours}) than {made['dataset']}, for which the masks were made ({theirs}); compared by value"
    )


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
