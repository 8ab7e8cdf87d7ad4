"""hippopt_best: which runs can be compared, what is compared, and the choice with its evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from hippopt import __version__
from hippopt.artifacts.best import Best, ComparedRun
from hippopt.artifacts.codec import content_hash, load_record, write_json
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.postprocessing import Postprocessing
from hippopt.console import Console, counted
from hippopt.errors import StaleArtifactError
from hippopt.networks.device import choose_device
from hippopt.networks.restoring import read_card
from hippopt.planned_dataset import PlannedDataset
from hippopt.recipes.chosen_run import adapters_of
from hippopt.recipes.comparable_runs import ComparableRun, comparable_runs
from hippopt.recipes.training_inputs import check_cache, training_cases
from hippopt.scoring.candidates import Together, postprocessings, runs_together
from hippopt.scoring.choosing import RULE, simplest
from hippopt.scoring.comparison import foreground
from hippopt.scoring.deciding import decide
from hippopt.scoring.tables import case_table
from hippopt.stages.adopt_base import load_known_base
from hippopt.stages.compare_out_of_fold import ComparisonInputs, FoldToScore, compare_out_of_fold
from hippopt.stop_signals import StopSignals
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class BestRequest:
    """What was asked of hippopt_best. runs: empty for all that no comparison of methods trained."""

    runs: tuple[str, ...] = ()
    ensembles: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"


def choose_best(workspace: Workspace, dataset: str, request: BestRequest, console: Console) -> Best:
    """Compare the runs of a data set out of fold, choose, and write best.json.

    Args:
        workspace: where the runs lie.
        dataset: the data set's full name.
        request: which runs, whether ensembles are tried, and where they are computed.
        console: shows the table and what was chosen.

    Returns:
        The record that was written.

    Raises:
        UsageError: no run can be compared, or one that was asked for cannot.
        HippoptError: one of its kinds, where data, plans and runs do not belong together.
    """
    runs, left_out = comparable_runs(workspace, dataset, request.runs)
    for name, reason in left_out.items():
        console.warn(f"run {name}: left out, {reason}")
    tables = {name: foreground(run.table) for name, run in runs.items()}
    sizes = {name: float(run.size) for name, run in runs.items()}
    single = simplest(tables, sizes)
    together = runs_together(tables, single, request.ensembles)
    settings = postprocessings(runs[single].plan.labels)
    console.say(
        f"{counted(len(runs), 'run')} ({', '.join(runs)}), {counted(len(together) - len(runs), 'ensemble')},"
        f" {len(settings) - 1} kinds of post-processing, {counted(len(runs[single].cases), 'case')} of"
        f" {counted(runs[single].table.subject.nunique(), 'subject')}"
    )
    scores = _scores(workspace, dataset, runs, (together, settings), request, console)
    decision = decide(scores, single, sizes)
    for note in decision.notes:
        console.warn(note)
    best = Best(
        hippopt=__version__,
        dataset=dataset,
        runs=decision.together,
        postprocessing=decision.postprocessing,
        rule=RULE,
        candidates=decision.candidates,
        compared={
            name: ComparedRun(
                plan_hash=content_hash(run.plan),
                adapters=_folds_alone(adapters_of(workspace, dataset, name)),
                trained_parameters=run.size,
            )
            for name, run in runs.items()
        },
        left_out=left_out,
    )
    write_json(workspace.best(dataset), best)
    return best


def _folds_alone(adapters: Mapping[str, str]) -> dict[str, str]:
    """Without fits on all cases, which no case judges."""
    return {fold: sha256 for fold, sha256 in adapters.items() if fold.isdigit()}


def _scores(
    workspace: Workspace,
    dataset: str,
    runs: Mapping[str, ComparableRun],
    tried: tuple[Sequence[Together], Sequence[Postprocessing]],
    request: BestRequest,
    console: Console,
) -> dict[tuple[Together, Postprocessing], pd.DataFrame]:
    """Mean-foreground scores of every candidate, a row per case."""
    plans = {name: run.plan for name, run in runs.items()}
    lead = next(iter(runs.values()))
    kept = workspace.run_fingerprint(dataset, lead.name)
    fingerprint = load_record(kept if kept.exists() else workspace.fingerprint(dataset), Fingerprint, "hippopt_plan")
    if fingerprint.dataset_hash != lead.plan.fingerprint_hash:
        raise StaleArtifactError(
            f"{workspace.fingerprint(dataset)}: not of the scans that run {lead.name} was trained on; restore it, or"
            " train the runs anew"
        )
    planned = PlannedDataset(workspace, dataset, lead.plan, fingerprint)
    entries = check_cache(planned)
    folds = []
    for number, fold in enumerate(lead.plan.folds):
        cases = training_cases(planned, fold.val)
        folders = {name: planned.fold(name, str(number)) for name in runs}
        folds.append(FoldToScore([(case, entries[case.id]) for case in cases], folders))
    cards = [read_card(folder.adapter_card) for fold in folds for folder in fold.folders.values()]
    needed = {card.base_sha256 for card in cards if card.base_sha256} if len(tried[0]) > len(runs) else set()
    inputs = ComparisonInputs(
        load_dataset(workspace.dataset_folder(dataset)),
        plans,
        {sha256: load_known_base(sha256, workspace) for sha256 in sorted(needed)},
        tried[0],
        tried[1],
        choose_device(request.device)[0],
    )
    with StopSignals() as signals:
        found = compare_out_of_fold(inputs, folds, console, signals)
    return {key: foreground(case_table(scored)) for key, scored in found.items()}
