"""Score masks: the names of their labels found, what would be overwritten refused, tables and summary written."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hippopt.artifacts.codec import parse_json
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.distinct_paths import overwritten
from hippopt.console import Console, counted
from hippopt.errors import HippoptError, OutputError, UsageError
from hippopt.reporting.scores import say_summary
from hippopt.scoring.metrics import EMPTY_RULE
from hippopt.scoring.tables import summarise, write_csv, write_json
from hippopt.sources.parcellation import Picks
from hippopt.stages.evaluate import LabelNames, evaluate, files_by_case
from hippopt.workspace import PROVENANCE, Workspace


@dataclass(frozen=True)
class EvaluationRequest:
    """What the user asked of hippopt_evaluate. dataset: whose labels
    and subjects to use; picks: {name: values in the files}.
    """

    predictions: Path
    labels: Path
    output: Path | None = None
    dataset: str | None = None
    picks: Picks = field(default_factory=dict)
    jobs: int = 1


@dataclass(frozen=True)
class EvaluationOutcome:
    """What was scored. scores, summary: the files; rows: of the summary; faults: cases that could not be scored."""

    cases: int
    subjects: int
    scores: Path
    summary: Path
    rows: list[dict[Hashable, Any]]
    faults: list[str]


def evaluate_masks(workspace: Workspace, request: EvaluationRequest, console: Console) -> EvaluationOutcome:
    """Write the table of scores and its summary, and say it.

    Raises HippoptError's kinds before anything is computed.
    """
    folder = (
        workspace.dataset_folder(workspace.resolve(request.dataset))
        if request.dataset
        else request.labels.resolve().parent
    )
    names = _names(folder, request, console)
    if request.dataset and not request.picks:
        _check_labels(request.predictions, folder.name, names, workspace, console)
    predicted, reference = files_by_case(request.predictions, "-p"), files_by_case(request.labels, "-l")
    output, summary_file = output_names(request.output or request.predictions / "metrics.csv")
    read = [*predicted.values(), *reference.values(), folder / "dataset.json", request.predictions / PROVENANCE]
    _check_outputs(output, summary_file, read)
    table, faults = evaluate(request.predictions, request.labels, names, request.jobs, console)
    strangers = sorted(set(table.case) - set(names.subjects))
    if request.dataset and strangers:
        console.warn(
            f"{len(strangers)} of {counted(table.case.nunique(), 'case')} not known in {folder.name}"
            f" ({strangers[0]}{', ...' if len(strangers) > 1 else ''}): each counts as a subject of its own; where"
            " several scans are of one person, import them with --subjects and name that data set with -d"
        )
    write_csv(output, table)
    summary = summarise(table)
    write_json(summary_file, summary)
    console.say(f"{counted(table.case.nunique(), 'case')} of {counted(table.subject.nunique(), 'subject')}:")
    say_summary(summary, console)
    if table.note.fillna("").astype(bool).any():
        console.say(f"empty labels: {EMPTY_RULE}")
    console.say(f"scores per case: {output}; summary: {summary_file}")
    return EvaluationOutcome(
        int(table.case.nunique()),
        int(table.subject.nunique()),
        output,
        summary_file,
        summary.to_dict(orient="records"),
        faults,
    )


def _names(folder: Path, request: EvaluationRequest, console: Console) -> LabelNames:
    """Of the picks, or of the data set in `folder`, if it is one."""
    foreground, subjects = {}, {}
    if (folder / "dataset.json").is_file():
        try:
            dataset = load_dataset(folder)
            foreground, subjects = dataset.foreground, {case.id: case.subject for case in dataset.cases}
        except HippoptError as error:
            if request.dataset:
                raise
            console.warn(f"label names not taken from {folder / 'dataset.json'}: {str(error).splitlines()[0]}")
    if request.picks:
        foreground = {name: number for number, name in enumerate(request.picks, 1)}
    return LabelNames(foreground, subjects, request.picks)


def output_names(asked: Path) -> tuple[Path, Path]:
    """(table, summary): the summary ends in .json, and so the table in .csv where that was asked for."""
    table = asked.with_suffix(".csv") if asked.suffix.casefold() == ".json" else asked
    return table, asked if table != asked else table.with_suffix(".json")


def _check_outputs(table: Path, summary: Path, read: list[Path]) -> None:
    for path in (table, summary):
        if path.is_dir():
            raise OutputError(f"-o {path}: is a folder; give the name of a file, such as {path / 'scores.csv'}")
    found = overwritten((table, summary), read)
    if found is not None:
        raise OutputError(
            f"-o {table}: {found[0].name} would be written over {found[1]}, which is read; choose another name"
        )


def _check_labels(predictions: Path, dataset: str, names: LabelNames, workspace: Workspace, console: Console) -> None:
    """Warns where masks of hippopt_predict are to be named by a data set whose labels are named otherwise than those
    they were made for; raises UsageError where a label of one name has another value there.
    """
    try:
        made = parse_json((predictions / PROVENANCE).read_bytes(), predictions / PROVENANCE)
        source = load_dataset(workspace.dataset_folder(str(made["dataset"])))
    except (OSError, HippoptError, KeyError, TypeError):
        return  # not of hippopt_predict, or of a data set that is not here
    theirs, ours = source.foreground, dict(names.foreground)
    if not ours or theirs == ours:
        return
    if any(ours.get(name, value) != value for name, value in theirs.items()):
        raise UsageError(
            f"-d {dataset}: its labels {ours} are not those of the masks, made for {made['dataset']} {theirs}; name"
            " another data set, or leave -d out"
        )
    console.warn(
        f"-d {dataset} names labels otherwise ({ours}) than {made['dataset']}, for which the masks were made"
        f" ({theirs}); compared by value"
    )
