"""What the base of a run reaches before any training, on the run's validation cases, where it has not seen them."""

import tempfile
from pathlib import Path

import pandas as pd
import torch

from hippopt.artifacts.codec import load_record
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import BaseCard
from hippopt.console import Console, SilentConsole
from hippopt.errors import HippoptError
from hippopt.networks.device import choose_device
from hippopt.recipes.chosen_run import ChosenRun
from hippopt.scoring.tables import read_case_table, write_csv
from hippopt.stages.adopt_base import load_known_base
from hippopt.stages.evaluate import LabelNames, evaluate
from hippopt.stages.segment_by_base import labels_meant, segment_by_base


def untuned_scores(run: ChosenRun, base_sha256: str, cases: list[str], console: Console) -> pd.DataFrame | str:
    """Segment cases with the base as it is, and score them. The table is kept for the next page.

    Args:
        run: whose plan names labels and scans.
        base_sha256: of the base.
        cases: validation cases of the run.
        console: shows a bar.

    Returns:
        A case table, or why there is none.
    """
    kept = run.workspace.untuned(run.dataset, base_sha256, run.plan.fingerprint_hash)
    try:
        if kept.exists():
            table = read_case_table(kept)
            if set(cases) <= set(table.case):
                return table[table.case.isin(cases)].reset_index(drop=True)
        if run.plan.locator is not None:
            return "whole heads, in which it would have to look everywhere"
        base = load_known_base(base_sha256, run.workspace)
        if labels_meant(base[1], run.plan) is None:
            return "its classes do not mean the labels of this data set"
        if base[1].seen_images is None:
            return "it is not known which scans it was trained on"
        if set(_hashes(run, cases)) & set(base[1].seen_images):
            return "it was trained on some of these scans"
        table = _scores(run, base, cases, console)
    except HippoptError as error:
        return str(error).splitlines()[0]
    write_csv(kept, table)
    return table


def _hashes(run: ChosenRun, cases: list[str]) -> list[str]:
    own = run.workspace.run_fingerprint(run.dataset, run.name)
    path = own if own.exists() else run.workspace.fingerprint(run.dataset)
    found = {case.id: case.image_hash for case in load_record(path, Fingerprint, "hippopt_plan").cases}
    return [found.get(case, "") for case in cases]


def _scores(
    run: ChosenRun, base: tuple[dict[str, torch.Tensor], BaseCard], cases: list[str], console: Console
) -> pd.DataFrame:
    dataset = load_dataset(run.workspace.dataset_folder(run.dataset))
    wanted = [case for case in dataset.cases if case.id in set(cases)]
    plan: Plan = run.plan
    foreground = {name: value for name, value in plan.labels.items() if value}
    with tempfile.TemporaryDirectory() as folder:
        segment_by_base(base, plan, wanted, Path(folder), choose_device("auto")[0], console)
        names = LabelNames(foreground, {case.id: case.subject for case in wanted})
        labels = run.workspace.dataset_folder(run.dataset) / "labelsTr"
        return evaluate(Path(folder), labels, names, 1, SilentConsole())[0]
