"""The training page: collect what the validated folds of a run left, compare with other runs, draw."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.trained_words import trains_in_words
from hippopt.artifacts.weights import AdapterCard
from hippopt.console import Console, counted
from hippopt.errors import DatasetError, HippoptError, UsageError
from hippopt.files.image_io import mask_ending
from hippopt.networks.restoring import read_card
from hippopt.recipes.chosen_run import choose_run
from hippopt.reporting.pages.charts import VolumeAgreement
from hippopt.reporting.pages.methods_text import MethodsFacts, Scored, methods_paragraph
from hippopt.reporting.pages.rendering import check_page
from hippopt.reporting.pages.training_page import Gain, Training, worst_cases, write_training
from hippopt.scoring.agreement import agreement, volume_pairs
from hippopt.scoring.comparison import foreground, mean_dice
from hippopt.scoring.statistics import paired_difference
from hippopt.scoring.tables import MEAN_FOREGROUND, read_case_table, summarise
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
    text, references = methods_paragraph(_facts(plan, scores, summary, volumes, cards))
    values = {name: value for name, value in plan.labels.items() if value}
    ordered = sorted(values, key=lambda name: values[name])
    dice = _scored(summary, "dice")
    training = Training(
        title=f"Training: {dataset}, run {run}",
        summary_line=(
            f"{counted(scores.case.nunique(), 'scan')} of {counted(scores.subject.nunique(), 'subject')}, {len(folds)}"
            f" of {len(plan.folds)} folds validated; mean foreground Dice {dice.text(3)}."
        ),
        scores=scores,
        summary=summary,
        logs={fold: _log(workspace.fold(dataset, run, fold).log) for fold in folds},
        labels={name: number for number, name in enumerate(ordered, start=1)},
        volumes=volumes,
        gains=_gains(workspace, dataset, run, scores),
        facts=_provenance(plan, cards),
        commands=_commands(workspace.short_name(dataset), folds, cards),
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


def _log(path: Path) -> pd.DataFrame:
    try:
        log = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: not a readable log ({str(error).splitlines()[0]}); train the fold anew, or remove its folder"
        ) from None
    missing = {"step", "train_loss", "val_dice_smoothed"} - set(log.columns)
    if missing:
        raise DatasetError(f"{path}: no column {', '.join(sorted(missing))}; train the fold anew, or remove its folder")
    return log


def _volumes(scores: pd.DataFrame, plan: Plan) -> list[VolumeAgreement]:
    found = []
    for label, pairs in volume_pairs(scores, plan.sides).items():
        figures = agreement([first for first, _ in pairs.values()], [second for _, second in pairs.values()])
        found.append(VolumeAgreement(label, pairs, figures.bias, figures.low, figures.high, figures.icc))
    return found


def _scored(summary: pd.DataFrame, metric: str) -> Scored:
    row = summary[(summary.label == MEAN_FOREGROUND) & (summary.metric == metric)].iloc[0]
    return Scored(float(row["mean"]), float(row.ci95_low), float(row.ci95_high))


def _gains(workspace: Workspace, dataset: str, run: str, scores: pd.DataFrame) -> list[Gain]:
    """This run beside every other one that has validated some of the same cases."""
    found = []
    for other in workspace.runs(dataset):
        theirs = _scores(workspace, dataset, other) if other != run else pd.DataFrame()
        if theirs.empty:
            continue
        both = foreground(scores).merge(foreground(theirs), on=["case", "subject"], suffixes=("", "_other"))
        if both.empty:
            continue
        card = read_card(workspace.fold(dataset, other, str(theirs.fold.iloc[0])).adapter_card)
        gain = paired_difference(both.dice, both.dice_other, both.subject.to_numpy(dtype=str))
        common = theirs[theirs.case.isin(both.case)]
        found.append(
            Gain(
                other,
                _what(card),
                mean_dice(foreground(common)),
                gain.mean,
                gain.low,
                gain.high,
                gain.p_value,
                gain.n_subjects,
            )
        )
    return found


def _what(card: AdapterCard) -> str:
    if card.base_sha256 is None:
        return "from random weights"
    if card.method == "decoder":
        return "decoder alone: the transformer as in the base"
    return f"{card.method}{f', rank {card.rank}' if card.rank is not None else ''}, from base {card.base_name}"


def _facts(
    plan: Plan,
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    volumes: list[VolumeAgreement],
    cards: dict[str, AdapterCard],
) -> MethodsFacts:
    card = next(iter(cards.values()))
    versions = {name: version.partition("+")[0] for name, version in card.versions.items()}
    steps = sorted({card.step for card in cards.values()})
    network = card.network
    return MethodsFacts(
        version=versions.pop("hippopt", "?"),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        method=card.method,
        rank=f", rank {card.rank}" if card.rank is not None else "",
        trains=f"trained were {trains_in_words(card.method, plan.adapter)}",
        base=card.base_name if card.base_sha256 else None,
        network=f"hidden size {network.hidden_size}, {network.num_heads} heads, feature size {network.feature_size}",
        patch=" × ".join(map(str, card.patch_size)),
        spacing=" × ".join(f"{step:g}" for step in plan.target_spacing_mm),
        steps=" to ".join(str(step) for step in dict.fromkeys((steps[0], steps[-1]))),
        learning_rate=plan.schedule.rate(card.method, card.base_sha256 is not None),
        cases=int(scores.case.nunique()),
        subjects=int(scores.subject.nunique()),
        folds=len(cards),
        labels=[name for name, value in plan.labels.items() if value],
        dice=_scored(summary, "dice"),
        hd95=_scored(summary, "hd95_mm"),
        nsd=_scored(summary, "nsd_1mm"),
        agreement=[(found.label, found.icc, found.bias, found.low, found.high) for found in volumes],
    )


def _provenance(plan: Plan, cards: dict[str, AdapterCard]) -> list[tuple[str, str]]:
    card = next(iter(cards.values()))
    rows = [
        ("method", f"{card.method}{f', rank {card.rank}' if card.rank is not None else ''}"),
        ("plan", card.plan_hash),
        ("training scans (fingerprint)", plan.fingerprint_hash),
        ("base", f"{card.base_name}, sha256 {card.base_sha256}" if card.base_sha256 else "none: random weights"),
        ("trained parameters", ", ".join(f"{count:,} {part}" for part, count in card.trained_parameters.items())),
        ("versions", ", ".join(f"{name} {version}" for name, version in card.versions.items())),
    ]
    for fold, own in cards.items():
        seconds = own.settings.get("seconds")
        took = f", {seconds / 60:.1f} min" if isinstance(seconds, int | float) else ""
        rows.append(
            (f"fold {fold}", f"{own.step} steps{took}, seed {own.settings.get('seed')}, adapter sha256 {own.sha256}")
        )
    return rows


def _commands(name: str, folds: list[str], cards: dict[str, AdapterCard]) -> list[str]:
    """What makes such a run again, as far as the cards tell."""
    lines = [f"hippopt_plan {name}"]
    for fold in folds:
        card = cards[fold]
        rank = f" --rank {card.rank}" if isinstance(card.rank, int) else ""
        lines.append(
            f"hippopt_train {name} {fold} --method {card.method} --base {card.base_name or 'none'}{rank} --steps"
            f" {card.step}"
        )
    return lines


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
