"""A run that goes on from the networks of another, fold by fold: its plan, its name, and what each fold starts from."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_edits import plan_changes
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.weights import AdapterCard, BaseCard
from hippopt.console import Console
from hippopt.errors import TrainingError, UsageError, WeightsError
from hippopt.networks.base_files import known_base_file
from hippopt.networks.restoring import check_adapter, read_card
from hippopt.networks.tensor_files import read_state
from hippopt.planned_dataset import PlannedDataset
from hippopt.planning.run_plan import run_name
from hippopt.training.fold import EarlierAdapter
from hippopt.workspace import Workspace

if TYPE_CHECKING:
    import torch

NAME = "continued"
# what a trained network's input and output mean: with another of these it would be another network
BOUND = (
    "channel_names",
    "labels",
    "sides",
    "target_spacing_mm",
    "crop",
    "normalisation",
    "straighten_degrees",
    "patch_size",
    "network",
    "mirror_sides",
)
FREE = ("folds", "fingerprint_hash")  # of the data set as it is now
SHOWN = 3


@dataclass(frozen=True)
class EarlierRun:
    """A finished run to go on from. plan: its own, with the folds that the data set has now; base: its file, if any."""

    name: str
    method: Method
    plan: Plan
    base: str | None


def open_earlier(planned: PlannedDataset, run: str, console: Console) -> EarlierRun:
    """Read what a run goes on with, and say where its plan is not the data set's.

    Args:
        planned: the data set as it is now.
        run: name of the earlier run.
        console: decisions in which the two plans differ, and the run's is kept, are said here.

    Raises:
        UsageError: there is no such run, or its method cannot go on.
        TrainingError: its networks see other scans, or name other labels, than the data set's plan.
        WeightsError: its base is missing.
    """
    workspace, dataset, plan = planned.workspace, planned.name, planned.plan
    trained = workspace.trained_folds(dataset, run)
    if not trained:
        raise UsageError(f"--continue-from {run}: {_not_there(workspace, dataset, run)}")
    card = read_card(planned.fold(run, trained[0]).adapter_card)
    if METHODS[card.method].known_steps:
        raise UsageError(
            f"--continue-from {run}: {card.method} settles its ranks over all its steps, and cannot go on from their"
            " end; train anew without --continue-from"
        )
    if card.as_base is not None:
        raise UsageError(f"--continue-from {run}: its network is a base as it is; train on that with --base instead")
    path = workspace.run_plan(dataset, run)
    own = load_plan(path)
    changes = [line for line in plan_changes(own, plan) if line.partition(":")[0] not in FREE]
    bound = [line for line in changes if line.startswith(BOUND) and not line.startswith("network.transformer")]
    if bound:
        raise TrainingError(
            f"{path}: run {run} was trained with another plan than {dataset} has now ({_some(bound)}); restore that"
            " with `hippopt_plan --set`, or train anew without --continue-from"
        )
    if changes:
        console.say(f"the plan of run {run} is kept where that of {dataset} differs: {_some(changes)}")
    taken = msgspec.structs.replace(own, folds=plan.folds, fingerprint_hash=plan.fingerprint_hash)
    return EarlierRun(run, card.method, taken, _base_file(workspace, card))


def _base_file(workspace: Workspace, card: AdapterCard) -> str | None:
    if card.base_sha256 is None:
        return None
    path = known_base_file(card.base_sha256, workspace.base(card.base_sha256))
    if not path.exists():
        raise WeightsError(
            f"{path}: missing, and run {card.run} was trained on this base ({card.base_name}); copy it there"
        )
    return str(path)


def _not_there(workspace: Workspace, dataset: str, run: str) -> str:
    elsewhere = [other for other in workspace.datasets() if other != dataset and run in workspace.runs(other)]
    if elsewhere:
        return f"a run of {elsewhere[0]}, and none of {dataset}; name a run of this data set"
    there = ", ".join(workspace.runs(dataset)) or "none"
    return f"{dataset} has no finished run of this name (there are: {there})"


def continued_name(earlier: EarlierRun) -> str:
    """What the user's own name of the new run is where none is given: that of the earlier one, `continued` or, after
    such a run, `continued-2` and so on. The same run always gives the same name, so that --resume finds it.
    """
    own = _own_name(earlier)
    found = re.fullmatch(rf"(.*-)?{NAME}(?:-(\d+))?", own)
    if found is None:
        return f"{own}-{NAME}" if own else NAME
    return f"{found[1] or ''}{NAME}-{int(found[2] or 1) + 1}"


def _own_name(earlier: EarlierRun) -> str:
    """What a user had added to the run's name."""
    plain = run_name(earlier.method, earlier.plan.adapter.rank, "")
    return earlier.name.removeprefix(plain).removeprefix("-") if earlier.name.startswith(plain) else earlier.name


def starting_points(
    planned: PlannedDataset,
    earlier: str | None,
    folds: Sequence[str],
    base: "tuple[Mapping[str, torch.Tensor], BaseCard] | None",
) -> dict[str, EarlierAdapter]:
    """{fold: the adapter of the same fold of the earlier run}; nothing where a run begins anew.

    Raises TrainingError where that fold is not finished, UsageError where it was trained on another base, WeightsError
    or StaleArtifactError where its files do not belong together.
    """
    if earlier is None:
        return {}
    plan, found = load_plan(planned.workspace.run_plan(planned.name, earlier)), {}
    for fold in folds:
        folder = planned.fold(earlier, fold)
        if not folder.adapter_card.exists():
            finished = " ".join(planned.workspace.trained_folds(planned.name, earlier))
            raise TrainingError(
                f"--continue-from {earlier}: its fold {fold} is not finished (finished: {finished}); train it first, or"
                " name a fold that is"
            )
        card = read_card(folder.adapter_card)
        check_adapter(card, read_state(folder.adapter), plan, folder.adapter)
        if card.base_sha256 != (base[1].sha256 if base else None):
            raise UsageError(
                f"--base: fold {fold} of run {earlier} was trained {_on(card.base_name)}; leave --base out, or train"
                " anew without --continue-from"
            )
        found[fold] = EarlierAdapter(card, folder.adapter)
    return found


def _on(base: str | None) -> str:
    return f"on base {base}" if base else "from random weights"


def check_origin(planned: PlannedDataset, run: str, earlier: str | None, anew: Collection[str]) -> None:
    """Raises UsageError where the run would hold folds that go on from different runs, or itself.

    anew: folds that are trained from the beginning, whatever is there.
    """
    if earlier == run:
        raise UsageError(f"--continue-from {run}: the new run would bear the same name; give it another with --name")
    for fold in planned.workspace.trained_folds(planned.name, run):
        before = read_card(planned.fold(run, fold).adapter_card).continued_from
        origin = before.run if before else None
        if fold in anew or origin == earlier:
            continue
        words, remedy = (
            (f"goes on from run {origin}", f"give --continue-from {origin} for the others too")
            if origin
            else ("was trained from the beginning", "leave --continue-from out for the others too")
        )
        raise UsageError(f"run {run}: its fold {fold} {words}; {remedy}, or give --name for a run of its own")


def _some(lines: Sequence[str]) -> str:
    return "; ".join(lines[:SHOWN]) + (f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")
