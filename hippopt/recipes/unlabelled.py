"""Scans without labels as something to learn from: masks of a run's networks, without the doubtful ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hippopt.artifacts.codec import content_hash
from hippopt.console import Console, counted
from hippopt.errors import UsageError
from hippopt.files.scan_listing import ScanFiles, list_scans
from hippopt.inference.outcomes import mask_path
from hippopt.inference.request import PredictionRequest
from hippopt.inference.sure_scans import doubtful_scans, flags_against
from hippopt.inference.volume_table import VOLUMES, read_volumes
from hippopt.networks.tensor_files import file_sha256
from hippopt.planned_dataset import PlannedDataset
from hippopt.recipes.chosen_run import ChosenRun, chosen_run
from hippopt.recipes.prediction import predict_scans
from hippopt.stages.prepare_unlabelled import Learned, prepare_unlabelled
from hippopt.stop_signals import StopSignals
from hippopt.training.fold import Unlabelled
from hippopt.training.request import TrainingRequest

NAMED = 5  # scans left out that are named


def learn_from_unlabelled(
    planned: PlannedDataset, run: str, request: TrainingRequest, console: Console, signals: StopSignals
) -> Unlabelled:
    """Segment the scans of `request.unlabelled` with the teacher, and prepare what is sure enough to learn from.

    Everything lies under the run's own folder, in one that is named after the teacher's networks and the scans'
    contents: the same command goes on where it stopped, and masks of other networks or scans are never taken for
    these. Raises HippoptError's kinds; Interrupted after a signal.
    """
    assert request.unlabelled is not None
    teacher = _teacher(planned, run, request, console)
    scans, _ = list_scans(request.unlabelled, planned.plan.channel_names)
    key = content_hash(
        [
            [card.sha256 for each in teacher.together for card in each.cards()],
            [[files.id, *(file_sha256(path) for path in files.channels if path.is_file())] for files in scans],
        ]
    )
    folder = planned.workspace.run(planned.name, run) / "unlabelled" / key[:12]
    console.say(f"scans without labels are segmented by {teacher.text}")
    together = _segment(planned, request, None if teacher.best else teacher, folder / "teacher", console)
    networks = [replace(each, folds=(fold,)) for each in teacher.together for fold in each.folds]
    folders = (
        [_segment(planned, request, each, folder / f"{each.name}_{each.folds[0]}", console) for each in networks]
        if len(networks) > 1
        else [together]
    )
    learned = _sure(scans, together, folders, console)
    if not learned:
        raise UsageError(
            f"--unlabelled {request.unlabelled}: no scan is left to learn from, of {len(scans)}; look at"
            f" {together / VOLUMES}"
        )
    cases, seen = prepare_unlabelled(
        learned,
        planned.plan,
        folder,
        console,
        lambda: signals.stop_if_asked("while scans without labels were prepared"),
    )
    console.say(
        f"learning from {counted(len(learned), 'scan')} without labels, each with the masks of up to"
        f" {counted(len(folders), 'network')}; {len(scans) - len(learned)} left out"
    )
    return Unlabelled(cases, seen, key)


def _sure(scans: Sequence[ScanFiles], together: Path, networks: Sequence[Path], console: Console) -> list[Learned]:
    """The scans to learn from, with the masks of those networks that no flag speaks against."""
    judged = read_volumes(together / VOLUMES)
    here = {files.id: judged[files.id] for files in scans if files.id in judged}
    doubtful = doubtful_scans(here)
    own = [read_volumes(folder / VOLUMES) for folder in networks]
    learned: list[Learned] = []
    for files in scans:
        if files.id not in here or files.id in doubtful:
            continue
        masks = tuple(
            mask_path(files, folder)
            for folder, rows in zip(networks, own, strict=True)
            if files.id in rows and not flags_against(rows[files.id])
        )
        if masks:
            learned.append((files, masks))
        else:
            doubtful[files.id] = "each network's own mask is flagged"
    for scan, reason in list(doubtful.items())[:NAMED]:
        console.say(f"{scan}: left out: {reason}")
    if len(doubtful) > NAMED:
        console.say(f"and {len(doubtful) - NAMED} more; all flags are in {together / VOLUMES}")
    return learned


def _teacher(planned: PlannedDataset, run: str, request: TrainingRequest, console: Console) -> ChosenRun:
    """The run that was asked for, what hippopt_best chose, or the only other one."""
    workspace, name = planned.workspace, request.teacher
    if name is None and not workspace.best(planned.name).exists():
        compared = workspace.compared_runs(planned.name)
        others = [each for each in workspace.runs(planned.name) if each != run]
        others = [each for each in others if each not in compared] or others
        if len(others) != 1:
            raise UsageError(
                "--unlabelled: name the run that segments the scans with --teacher: " + ", ".join(others)
                if others
                else f"--unlabelled: nothing is trained yet that could segment the scans; first hippopt_train"
                f" {workspace.short_name(planned.name)} all"
            )
        name = others[0]
    if name == run:
        raise UsageError(f"--teacher {name}: is the run that is to be trained; give that another --name")
    found = chosen_run(workspace, planned.name, name, None, console)
    for each in found.together:
        if each.name == run:
            raise UsageError(f"run {run}: is among those that hippopt_best chose; name another run with --teacher")
        if (each.plan.labels, each.plan.channel_names) != (planned.plan.labels, planned.plan.channel_names):
            raise UsageError(
                f"--teacher {each.name}: was trained for other labels or channels than the plan has now; train a"
                " teacher by this plan"
            )
    return found


def _segment(
    planned: PlannedDataset, request: TrainingRequest, by: ChosenRun | None, output: Path, console: Console
) -> Path:
    """The folder with the masks of these networks; by: None for what hippopt_best chose."""
    assert request.unlabelled is not None
    run, folds = (by.name, by.folds) if by is not None else (None, None)
    asked = PredictionRequest(request.unlabelled, output, folds=folds, run=run, device=request.device)
    predict_scans(planned.workspace, planned.name, asked, console)
    return output
