"""The run that is to be used, and which of its folds: those that were asked for, or the only ones that fit."""

from dataclasses import dataclass

from hippopt.artifacts.fold_names import fit_number
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.weights import AdapterCard
from hippopt.console import Console
from hippopt.errors import UsageError
from hippopt.networks.restoring import read_card
from hippopt.result_folders import FoldFolder
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class ChosenRun:
    """A trained run and the folds of it that are used. plan: that the run was trained with."""

    workspace: Workspace
    dataset: str
    name: str
    plan: Plan
    folds: tuple[str, ...]

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
    """The run and the folds asked for, or those that there are. Raises UsageError, PlanError."""
    name = choose_run(workspace, dataset, run)
    plan = load_plan(workspace.run_plan(dataset, name))
    return ChosenRun(
        workspace, dataset, name, plan, tuple(choose_folds(workspace, dataset, name, folds, len(plan.folds), console))
    )


def choose_run(workspace: Workspace, dataset: str, run: str | None) -> str:
    """The run asked for, or the only one with finished folds that no comparison trained. Raises UsageError."""
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
    raise UsageError(f"{dataset}: several runs; choose one with --run: {', '.join(runs)}")


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
