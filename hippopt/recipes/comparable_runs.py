"""Which runs of a data set can be compared: validated on all folds, on the same cases in the same folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from hippopt.artifacts.best import prediction_hash
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.errors import UsageError
from hippopt.networks.restoring import read_card
from hippopt.scoring.tables import read_case_table
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class ComparableRun:
    """A run that is validated on all its folds. cases: case -> fold; size: trained parameters of a fold."""

    name: str
    plan: Plan
    table: pd.DataFrame
    cases: Mapping[str, str]
    size: int


def comparable_runs(
    workspace: Workspace, dataset: str, named: Sequence[str]
) -> tuple[dict[str, ComparableRun], dict[str, str]]:
    """Find runs that were validated on the same cases in the same folds.

    Args:
        workspace: where they lie.
        dataset: the data set's full name.
        named: which to take; empty for all that no comparison of methods trained.

    Returns:
        The runs by name, and why others are left out.

    Raises:
        UsageError: none can be compared, or one that was named cannot.
    """
    every = workspace.runs(dataset)
    missing = [name for name in named if name not in every]
    if missing:
        raise UsageError(f"--runs {' '.join(missing)}: no finished fold (runs: {', '.join(every) or 'none'})")
    name = workspace.short_name(dataset)
    if not every:
        raise UsageError(f"{dataset}: nothing is trained yet; run `hippopt_train {name} all` first")
    compared = workspace.compared_runs(dataset) if not named else set()
    asked = named or [run for run in every if run not in compared] or every
    found: dict[str, ComparableRun] = {}
    left_out: dict[str, str] = {}
    for run in asked:
        made = _read_run(workspace, dataset, run)
        if isinstance(made, str):
            left_out[run] = made
        else:
            found[run] = made
    if not found:
        reasons = "; ".join(f"{run}: {reason}" for run, reason in left_out.items())
        raise UsageError(f"{dataset}: no run has all its folds validated ({reasons}); run `hippopt_train {name} all`")
    lead = _most_alike(found, load_plan(workspace.plan(dataset)) if workspace.plan(dataset).exists() else None)
    for run, made in list(found.items()):
        reason = _unlike(made, lead)
        if reason:
            left_out[run] = f"{reason} than run {lead.name}"
            del found[run]
    refused = [run for run in named if run in left_out]
    if refused:
        raise UsageError(f"--runs {refused[0]}: {left_out[refused[0]]}; leave it out, or train it to match")
    return found, left_out


def _read_run(workspace: Workspace, dataset: str, run: str) -> "ComparableRun | str":
    """The run, or why it cannot be compared."""
    plan = load_plan(workspace.run_plan(dataset, run))
    if not plan.folds:
        return "its plan has no folds"
    tables, cases = [], dict[str, str]()
    for number, fold in enumerate(plan.folds):
        folder = workspace.fold(dataset, run, str(number))
        if not folder.adapter_card.exists():
            return f"fold {number} is not trained"
        if not (folder.summary.exists() and folder.metrics.exists()):
            return f"fold {number} is not validated"
        table = read_case_table(folder.metrics)
        if set(table.case) != set(fold.val):
            return f"fold {number} was validated on other cases than its plan names"
        tables.append(table)
        cases |= {case: str(number) for case in fold.val}
    card = read_card(workspace.fold(dataset, run, "0").adapter_card)
    return ComparableRun(run, plan, pd.concat(tables, ignore_index=True), cases, sum(card.trained_parameters.values()))


def _most_alike(found: Mapping[str, ComparableRun], plan: Plan | None) -> ComparableRun:
    """A run of the largest group with the same cases in the same folds; of equal groups that of the plan of now."""
    now = {case: str(number) for number, fold in enumerate(plan.folds) for case in fold.val} if plan else {}
    prepared = prediction_hash(plan) if plan else ""

    def rank(run: ComparableRun) -> tuple[int, bool, bool]:
        alike = sum(not _unlike(other, run) for other in found.values())
        return alike, run.cases == now, prediction_hash(run.plan) == prepared

    return max(found.values(), key=rank)


def _unlike(run: ComparableRun, lead: ComparableRun) -> str:
    if run.cases != lead.cases:
        return "it was validated on other cases or in other folds"
    if prediction_hash(run.plan) != prediction_hash(lead.plan):
        return "its plan prepares scans otherwise"
    return ""
