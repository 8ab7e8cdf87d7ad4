"""The units of a comparison: what is left to do for one, and its scores once it is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from hippopt.artifacts.codec import content_hash, parse_json
from hippopt.artifacts.dataset import Dataset
from hippopt.artifacts.weights import BaseCard
from hippopt.console import Console, counted
from hippopt.errors import DatasetError, PlanError, TrainingError
from hippopt.inference.request import PredictionRequest
from hippopt.machine import core_count
from hippopt.networks.restoring import read_card
from hippopt.planned_dataset import PlannedDataset
from hippopt.planning.cases_apart import Contents
from hippopt.planning.comparison_grid import Cases, Combination, Grid
from hippopt.result_folders import ComparisonFolder, FoldFolder
from hippopt.scoring.comparison import foreground
from hippopt.scoring.tables import read_case_table, write_csv
from hippopt.stages.evaluate import LabelNames, evaluate
from hippopt.stages.score_outlines import score_outlines
from hippopt.stages.train_fold import fold_progress
from hippopt.training.request import TrainingRequest
from hippopt.workspace import PROVENANCE

METRICS, OUTLINES = "metrics.csv", "outlines.csv"  # beside the masks of a data set


@dataclass(frozen=True)
class ComparisonRequest:
    """What the user asked of hippopt_compare.

    `test` or `folds`, never both; None and empty stand for the plan's or the machine's choice. finished: train and
    predict nothing, and report what is there.
    """

    grid: Grid
    test: str | None = None
    folds: tuple[str, ...] = ()
    choose: tuple[str, ...] = ()
    steps: int | None = None
    base: str | None = None
    name: str = "compare"
    jobs: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    allow_seen: bool = False
    finished: bool = False

    @property
    def lacking(self) -> str:
        """What is said of a unit without scores."""
        return "missing" if self.finished else "failed"


@dataclass(frozen=True)
class Commands:
    """The commands of hippopt as a child process is given them:
    (data set, fold, request), (data set, request) -> arguments.
    """

    train: Callable[[str, str, TrainingRequest], tuple[str, ...]]
    predict: Callable[[str, PredictionRequest], tuple[str, ...]]


@dataclass(frozen=True)
class Unit:
    """One training with its scores: on the fold's own validation cases, or on the scans of `dataset`."""

    combination: Combination
    run: str
    fold: str
    dataset: str | None


@dataclass(frozen=True)
class Setting:
    """What all units share. contents: by data set, of those that are predicted."""

    planned: PlannedDataset
    request: ComparisonRequest
    steps: int
    base: tuple[Path, BaseCard] | None
    contents: dict[str, Contents]
    folder: ComparisonFolder

    def units(self, combinations: Sequence[Combination], cases: Cases) -> list[Unit]:
        """Every fold of every combination."""
        return [
            Unit(each, each.run(self.request.name, self.planned.plan), fold, cases.dataset)
            for each in combinations
            for fold in cases.folds
        ]

    def fold(self, unit: Unit) -> FoldFolder:
        return self.planned.fold(unit.run, unit.fold)

    def masks(self, unit: Unit) -> Path:
        assert unit.dataset is not None
        return self.folder.masks(unit.dataset, unit.run)


def check_same(setting: Setting, unit: Unit) -> None:
    """Raises TrainingError where a run of this name is there that was trained otherwise."""
    path = setting.fold(unit).adapter_card
    if not path.exists():
        return
    row = unit.combination.row
    base = setting.base[1].sha256 if setting.base and row.needs_base else None
    wanted = {
        "plan_hash": content_hash(unit.combination.plan(setting.planned.plan)),
        "seed": unit.combination.seed,
        "steps": setting.steps,
        "minutes": None,
        "base_sha256": base,
    }
    found = read_card(path).settings
    changed = [
        f"{key} {_short(found.get(key))} -> {_short(value)}" for key, value in wanted.items() if found.get(key) != value
    ]
    if changed:
        raise TrainingError(
            f"{path.parent}: trained otherwise ({'; '.join(changed)}); remove that folder to train it anew, or give"
            " --name for a comparison of its own"
        )


def _short(value: object) -> object:
    """A hash by its first digits."""
    return value[:12] if isinstance(value, str) else value


def unit_text(unit: Unit) -> str:
    """Name a training and the cases that it is scored on, for the log."""
    place = f"fold {unit.fold}" if unit.dataset is None else f"on {unit.dataset}"
    return f"{unit.combination.text}, {place}"


def commands_left(setting: Setting, unit: Unit, commands: Commands) -> tuple[tuple[str, ...], ...]:
    """What is left to do for a unit: nothing where its scores are there."""
    request, combination, needed = setting.request, unit.combination, list[tuple[str, ...]]()
    progress = fold_progress(setting.fold(unit), unit.fold.isdigit())
    if progress != "finished":
        training = TrainingRequest(
            method=combination.row.method,
            base=str(setting.base[0]) if setting.base and combination.row.needs_base else None,
            rank=combination.row.rank,
            name=combination.suffix(request.name),
            steps=setting.steps,
            resume=progress != "new",
            allow_seen=request.allow_seen,
            device=request.device,
            seed=combination.seed,
            learning_rate=combination.rate,
            no_transformer=combination.row.variant.no_transformer,
            kernels=combination.row.variant.kernels,
        )
        needed.append(commands.train(setting.planned.name, unit.fold, training))
    if unit.dataset is not None and not is_scored(setting, unit):
        scans = setting.planned.workspace.dataset_folder(unit.dataset) / "imagesTr"
        asked = PredictionRequest(
            source=scans,
            output=setting.masks(unit),
            folds=(unit.fold,),
            run=unit.run,
            overwrite=True,
            device=request.device,
        )
        needed.append(commands.predict(setting.planned.name, asked))
    return tuple(needed)


def is_scored(setting: Setting, unit: Unit) -> bool:
    """Whether a unit's scores are there, of the adapter that is there now, and of what is compared."""
    try:
        check_same(setting, unit)
    except TrainingError:
        return False
    if unit.dataset is None:
        return setting.fold(unit).summary.exists()
    path, card = setting.masks(unit) / PROVENANCE, setting.fold(unit).adapter_card
    if not (path.is_file() and card.is_file() and (setting.masks(unit) / METRICS).is_file()):
        return False
    try:
        made = parse_json(path.read_bytes(), path)
    except PlanError:
        return False
    return isinstance(made, dict) and made.get("adapters_sha256") == [read_card(card).sha256]


def score(setting: Setting, unit: Unit, console: Console) -> None:
    """Score the masks of a data set; a fold's own validation has been scored by its training."""
    if unit.dataset is None:
        return
    contents = setting.contents[unit.dataset]
    names = LabelNames(contents.dataset.foreground, contents.subjects)
    labels = setting.planned.workspace.dataset_folder(unit.dataset) / "labelsTr"
    table, faults = evaluate(setting.masks(unit), labels, names, core_count(), console)
    if faults or set(table.case) != set(contents.subjects):
        raise DatasetError(
            (
                faults
                or [
                    f"{setting.masks(unit)}: {counted(len(contents.subjects) - table.case.nunique(), 'scan')} without a"
                    " mask"
                ]
            )[0]
        )
    write_outlines(setting.masks(unit), contents.dataset)
    write_csv(setting.masks(unit) / METRICS, table)


def case_scores(setting: Setting, unit: Unit) -> pd.DataFrame:
    """Mean-foreground scores of a unit, a row per case."""
    if unit.dataset is None:
        return foreground(read_case_table(setting.fold(unit).metrics))
    return scores_of_masks(setting.masks(unit), setting.contents[unit.dataset].dataset)


def scores_of_masks(masks: Path, dataset: Dataset) -> pd.DataFrame:
    """Mean-foreground scores of masks, a row per case, with `outline_dice`: of all labels as one."""
    if not (masks / OUTLINES).exists():  # as an earlier hippopt left it
        write_outlines(masks, dataset)
    outlines = pd.read_csv(masks / OUTLINES, dtype={"case": str})
    return foreground(read_case_table(masks / METRICS)).merge(outlines, on="case", how="left")


def write_outlines(masks: Path, dataset: Dataset) -> None:
    """Score all labels as one, and keep the table beside the masks."""
    write_csv(masks / OUTLINES, score_outlines(masks, dataset.cases))


def all_case_scores(setting: Setting, combination: Combination, cases: Cases) -> pd.DataFrame | None:
    """Of all folds of a combination; None where one is missing."""
    units = setting.units([combination], cases)
    if not all(is_scored(setting, unit) for unit in units):
        return None
    return pd.concat([case_scores(setting, unit) for unit in units], ignore_index=True)
