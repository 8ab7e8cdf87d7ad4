"""The training page: collect what the validated folds of a run left, compare with other runs, draw."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hippopt.artifacts.best import Best
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.plan import AdapterSettings, Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.weights import AdapterCard
from hippopt.console import Console, counted
from hippopt.errors import HippoptError, UsageError
from hippopt.files.image_io import mask_ending
from hippopt.networks.restoring import read_card
from hippopt.recipes.chosen_run import ChosenRun, choose_run, read_best
from hippopt.recipes.untuned_base import untuned_scores
from hippopt.reporting.pages.charts import VolumeAgreement
from hippopt.reporting.pages.methods_text import methods_paragraph
from hippopt.reporting.pages.rendering import check_page
from hippopt.reporting.pages.training_facts import (
    commands,
    methods_facts,
    provenance,
    scored,
    training_log,
    what_trained,
)
from hippopt.reporting.pages.training_page import Gain, Training, worst_cases, write_training
from hippopt.scoring.agreement import agreement, volume_pairs
from hippopt.scoring.comparison import foreground, mean_dice
from hippopt.scoring.statistics import paired_difference
from hippopt.scoring.tables import read_case_table, summarise
from hippopt.stages.report_training import CaseFiles, draw_worst
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class TrainingReportRequest:
    """What was asked of hippopt_report. run: None for the only one; output: None for the run's own folder."""

    run: str | None = None
    output: Path | None = None
    overwrite: bool = False


def training_report(workspace: Workspace, dataset: str, request: TrainingReportRequest, console: Console) -> None:
    """Write the page. Raises HippoptError's kinds before anything is drawn."""
    run = choose_run(workspace, dataset, request.run)
    path = request.output or workspace.run_report(dataset, run)
    check_page(path, request.overwrite)
    plan = load_plan(workspace.run_plan(dataset, run))
    scores = _scores(workspace, dataset, run)
    if scores.empty:
        raise UsageError(
            f"run {run}: no validated fold, so there are no out-of-fold scores; run `hippopt_train"
            f" {workspace.short_name(dataset)} 0` first"
        )
    folds = list(dict.fromkeys(scores.fold))
    cards = {fold: read_card(workspace.fold(dataset, run, fold).adapter_card) for fold in folds}
    summary = summarise(scores)
    volumes = _volumes(scores, plan)
    text, references = methods_paragraph(methods_facts(plan, scores, summary, volumes, cards))
    values = {name: value for name, value in plan.labels.items() if value}
    ordered = sorted(values, key=lambda name: values[name])
    dice = scored(summary, "dice")
    chosen = ChosenRun(workspace, dataset, run, plan, tuple(folds))
    gains = _gains(workspace, dataset, run, scores)
    base, why_not = _gain_over_base(chosen, scores, cards[folds[0]], console)
    gains = base + gains
    best, stale = _best(workspace, dataset)
    remarks = [remark for remark in (why_not, stale) if remark]
    training = Training(
        title=f"Training: {dataset}, run {run}",
        summary_line=(
            f"{counted(scores.case.nunique(), 'scan')} of {counted(scores.subject.nunique(), 'subject')}, {len(folds)}"
            f" of {len(plan.folds)} folds validated; mean foreground Dice {dice.text(3)}."
        ),
        scores=scores,
        summary=summary,
        logs={fold: training_log(workspace.fold(dataset, run, fold).log) for fold in folds},
        labels={name: number for number, name in enumerate(ordered, start=1)},
        volumes=volumes,
        gains=gains,
        remarks=remarks,
        best=best,
        facts=provenance(plan, cards),
        commands=commands(workspace.short_name(dataset), folds, cards),
        paragraph=text,
        references=references,
    )
    files = _files(workspace, dataset, run, scores, worst_cases(scores))
    size = write_training(path, training, draw_worst(files, values, plan.sides, console))
    console.say(training.summary_line)
    console.result(report=path)
    console.say(f"open {path} in a browser ({size / 1e6:.1f} MB)")


def _scores(workspace: Workspace, dataset: str, run: str) -> pd.DataFrame:
    """The case tables of all validated folds, with a column `fold`."""
    tables = []
    for fold in workspace.trained_folds(dataset, run):
        folder = workspace.fold(dataset, run, fold)
        if fold.isdigit() and folder.summary.exists() and folder.metrics.exists():
            tables.append(read_case_table(folder.metrics).assign(fold=fold))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _volumes(scores: pd.DataFrame, plan: Plan) -> list[VolumeAgreement]:
    found = []
    for label, pairs in volume_pairs(scores, plan.sides).items():
        figures = agreement([first for first, _ in pairs.values()], [second for _, second in pairs.values()])
        found.append(VolumeAgreement(label, pairs, figures.bias, figures.low, figures.high, figures.icc))
    return found


def _best(workspace: Workspace, dataset: str) -> tuple[Best | None, str]:
    """(what hippopt_best chose, why it is not shown)."""
    if not workspace.best(dataset).exists():
        return None, ""
    try:
        return read_best(workspace, dataset), ""
    except HippoptError as error:
        return None, f"The choice of hippopt_best is not shown: {str(error).splitlines()[0]}"


def _gain_over_base(
    run: ChosenRun, scores: pd.DataFrame, card: AdapterCard, console: Console
) -> tuple[list[Gain], str]:
    """(this run beside its base before any training, why there is no such row)."""
    if card.base_sha256 is None:
        return [], ""
    cases = [str(case) for case in dict.fromkeys(scores.case)]
    theirs = untuned_scores(run, card.base_sha256, cases, console)
    if isinstance(theirs, str):
        return [], f"The base {card.base_name} before any training is not shown: {theirs}."
    return [_gain(f"base {card.base_name}", "the base as it is, before any training", scores, theirs)], ""


def _gain(name: str, what: str, scores: pd.DataFrame, theirs: pd.DataFrame) -> Gain:
    """Paired by subject, on the cases of both."""
    both = foreground(scores).merge(foreground(theirs), on=["case", "subject"], suffixes=("", "_other"))
    gain = paired_difference(both.dice, both.dice_other, both.subject.to_numpy(dtype=str))
    common = theirs[theirs.case.isin(both.case)]
    dice = mean_dice(foreground(common))
    return Gain(name, what, dice, gain.mean, gain.low, gain.high, gain.p_value, gain.n_subjects)


def _gains(workspace: Workspace, dataset: str, run: str, scores: pd.DataFrame) -> list[Gain]:
    """This run beside every other one that has validated some of the same cases."""
    found = []
    for other in workspace.runs(dataset):
        theirs = _scores(workspace, dataset, other) if other != run else pd.DataFrame()
        if theirs.empty:
            continue
        if not set(theirs.case) & set(scores.case):
            continue
        card = read_card(workspace.fold(dataset, other, str(theirs.fold.iloc[0])).adapter_card)
        settings = _adapter_settings(workspace.run_plan(dataset, other))
        found.append(_gain(other, what_trained(card, settings), scores, theirs))
    return found


def _adapter_settings(path: Path) -> AdapterSettings | None:
    """Of another run's plan; None where it cannot be read: the page of this run is written all the same."""
    try:
        return load_plan(path).adapter
    except HippoptError:
        return None


def _files(workspace: Workspace, dataset: str, run: str, scores: pd.DataFrame, cases: list[str]) -> list[CaseFiles]:
    try:
        raw = {case.id: case for case in load_dataset(workspace.dataset_folder(dataset)).cases}
    except HippoptError:
        raw = {}  # the scans are gone: the figures stay
    fold_of = dict(zip(scores.case, scores.fold, strict=True))
    found = []
    for case in cases:
        folder, known = workspace.fold(dataset, run, fold_of[case]), raw.get(case)
        label = Path(known.label) if known else None
        mask = folder.validation / (case + (mask_ending(label) if label else ".nii.gz"))
        found.append(CaseFiles(case, Path(known.channels[0]) if known else None, label, mask))
    return found
