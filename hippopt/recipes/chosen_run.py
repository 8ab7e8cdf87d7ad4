"""The runs that are to be used, and which of their folds: what was asked for, what hippopt_best chose, or the only
run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hippopt.artifacts.best import Best, stale_reason
from hippopt.artifacts.codec import load_record
from hippopt.artifacts.fold_names import fit_number
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.postprocessing import Postprocessing
from hippopt.artifacts.weights import AdapterCard
from hippopt.console import Console
from hippopt.errors import PlanError, StaleArtifactError, UsageError
from hippopt.networks.restoring import read_card
from hippopt.result_folders import FoldFolder
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class ChosenRun:
    """A trained run and the folds of it that are used. plan: that the run was trained with.

    others: runs whose networks predict together with its own; postprocessing: of the masks; best: the record by which
    hippopt_best chose all this, or None.
    """

    workspace: Workspace
    dataset: str
    name: str
    plan: Plan
    folds: tuple[str, ...]
    others: tuple["ChosenRun", ...] = ()
    postprocessing: Postprocessing = field(default_factory=Postprocessing)
    best: Best | None = None

    @property
    def plain(self) -> bool:
        """Whether it is one run, and its masks as they are."""
        return not self.others and self.postprocessing.nothing

    @property
    def together(self) -> tuple["ChosenRun", ...]:
        """All runs, this one first."""
        return (self, *self.others)

    @property
    def text(self) -> str:
        """`run A, fold 0 1`; of several runs all."""
        return "; ".join(f"run {run.name}, fold {' '.join(run.folds)}" for run in self.together)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What prediction.json says besides the first run; nothing for a plain one, as before there was a choice."""
        found: dict[str, Any] = {"runs": [run.name for run in self.together]} if self.others else {}
        if not self.postprocessing.nothing:
            found["postprocessing"] = msgspec.to_builtins(self.postprocessing)
        return found

    @property
    def folders(self) -> list[FoldFolder]:
        """The files of each fold that is used."""
        return [self.workspace.fold(self.dataset, self.name, fold) for fold in self.folds]

    def cards(self) -> list[AdapterCard]:
        """The card of each fold, of its last checkpoint. Raises WeightsError."""
        return [read_card(folder.adapter_card) for folder in self.folders]


def chosen_run(
    workspace: Workspace, dataset: str, run: str | None, folds: tuple[str, ...] | None, console: Console
) -> ChosenRun:
    """Choose what is used.

    Args:
        workspace: where the runs lie.
        dataset: the data set's full name.
        run: the run that was asked for, which is used as it is; None for what best.json says, or else the only run.
        folds: of each run, or None for all that there are.
        console: is told what best.json says.

    Raises:
        UsageError: there is no such run or fold, none at all, or several runs without a choice among them.
        StaleArtifactError: best.json was made of other networks than those that are here.
        PlanError: best.json or a plan is damaged.
    """
    best = read_best(workspace, dataset) if run is None and workspace.best(dataset).exists() else None
    names = best.runs if best is not None else (choose_run(workspace, dataset, run),)
    if best is not None:
        console.say(f"{workspace.best(dataset).name}, by hippopt_best: {best.text}; another run with --run")
    found = []
    for name in names:
        plan = load_plan(workspace.run_plan(dataset, name))
        own = choose_folds(workspace, dataset, name, folds, len(plan.folds), console)
        found.append(ChosenRun(workspace, dataset, name, plan, tuple(own)))
    if best is None:
        return found[0]
    lead = found[0]
    return ChosenRun(workspace, dataset, lead.name, lead.plan, lead.folds, tuple(found[1:]), best.postprocessing, best)


def read_best(workspace: Workspace, dataset: str) -> Best:
    """The choice of hippopt_best, held against the runs that are here.

    Raises StaleArtifactError where these are others, PlanError where the record is damaged.
    """
    path, name = workspace.best(dataset), workspace.short_name(dataset)
    remedy = f"choose anew with `hippopt_best {name}`, name one run with --run, or remove the file"
    try:
        best = load_record(path, Best, f"hippopt_best {name}")
    except PlanError as error:
        raise PlanError(f"{str(error).splitlines()[0].partition('; ')[0]}; {remedy}") from None
    if best.dataset != dataset:
        raise StaleArtifactError(f"{path}: chosen for {best.dataset}; {remedy}")
    here = {run: adapters_of(workspace, dataset, run) for run in best.runs if run in workspace.runs(dataset)}
    reason = stale_reason(best, here)
    if reason:
        raise StaleArtifactError(f"{path}: {reason}; {remedy}")
    return best


def adapters_of(workspace: Workspace, dataset: str, run: str) -> dict[str, str]:
    """Fold -> sha256 of its adapter, of the finished folds. Raises WeightsError where a card cannot be read."""
    folds = workspace.trained_folds(dataset, run)
    return {fold: read_card(workspace.fold(dataset, run, fold).adapter_card).sha256 for fold in folds}


def choose_run(workspace: Workspace, dataset: str, run: str | None) -> str:
    """The run asked for, the first that hippopt_best chose, or the only one with finished folds that no comparison
    trained.

    Raises UsageError, and what `read_best` raises.
    """
    if run is None and workspace.best(dataset).exists():
        return read_best(workspace, dataset).runs[0]
    runs = workspace.runs(dataset)
    if run is None and len(runs) > 1:  # what a comparison trained is there to be compared
        compared = workspace.compared_runs(dataset)
        runs = [name for name in runs if name not in compared] or runs
    if run is not None:
        if run not in runs:
            raise UsageError(
                f"--run {run}: no finished fold in {workspace.run(dataset, run)} (runs: {', '.join(runs) or 'none'})"
            )
        return run
    if len(runs) == 1:
        return runs[0]
    if not runs:
        raise UsageError(f"{dataset}: nothing is trained yet; run `hippopt_train {dataset[11:]} 0` first")
    by_best = f", or let `hippopt_best {workspace.short_name(dataset)}` compare them"
    validated = any(fold.isdigit() for name in runs for fold in workspace.trained_folds(dataset, name))
    ships = "; the model that ships is --model NAME (hippopt_models lists it)"
    raise UsageError(
        f"{dataset}: several runs; choose one with --run: {', '.join(runs)}{by_best if validated else ''}{ships}"
    )


def choose_folds(
    workspace: Workspace, dataset: str, run: str, asked: tuple[str, ...] | None, expected: int, console: Console
) -> list[str]:
    """Folds to ensemble: those asked for, else all that are finished, the numbered ones where there are such.

    Raises UsageError for one that was asked for and is missing.
    """
    there = workspace.trained_folds(dataset, run)
    if asked is not None:
        missing = [fold for fold in asked if fold not in there]
        if missing:
            raise UsageError(f"--folds {' '.join(missing)}: not trained in run {run} (there: {' '.join(there)})")
        return list(dict.fromkeys(asked))
    numbered = [fold for fold in there if fold.isdigit()]
    if numbered and len(numbered) < expected:
        console.warn(
            f"run {run}: {len(numbered)} of {expected} folds are trained; predicting with fold {' '.join(numbered)}"
        )
    fits = [fold for fold in there if fit_number(fold)]
    if numbered and fits:
        console.say(f"run {run}: predicting with the folds; for what was trained on all cases, -f {' '.join(fits)}")
    return numbered or there
