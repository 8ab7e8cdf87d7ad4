"""Scans without labels as something to learn from: masks of a run's networks, without the doubtful ones."""

from pathlib import Path

from hippopt.console import Console, counted
from hippopt.errors import UsageError
from hippopt.files.scan_listing import list_scans
from hippopt.inference.outcomes import mask_path
from hippopt.inference.request import PredictionRequest
from hippopt.inference.sure_scans import doubtful_scans
from hippopt.inference.volume_table import VOLUMES, read_volumes
from hippopt.planned_dataset import PlannedDataset
from hippopt.recipes.chosen_run import ChosenRun, chosen_run
from hippopt.recipes.prediction import predict_scans
from hippopt.stages.prepare_unlabelled import prepare_unlabelled
from hippopt.training.fold import Unlabelled
from hippopt.training.request import TrainingRequest

NAMED = 5  # scans left out that are named


def check_unlabelled(request: TrainingRequest, folds: list[str]) -> None:
    """Raises UsageError where the request cannot be one for scans without labels."""
    if request.unlabelled is None:
        if request.teacher is not None:
            raise UsageError(f"--teacher {request.teacher}: names who segments the scans of --unlabelled; give both")
        return
    numbered = [fold for fold in folds if fold.isdigit()]
    if numbered:
        raise UsageError(
            f"--unlabelled: with full-data, not with fold {numbered[0]}: its validation cases would be judged by a"
            " network whose teachers had learned from them"
        )
    if request.continue_from is not None:
        raise UsageError("--unlabelled: not with --continue-from; name the teacher with --teacher")


def learn_from_unlabelled(planned: PlannedDataset, run: str, request: TrainingRequest, console: Console) -> Unlabelled:
    """Segment the scans of `request.unlabelled` with the teacher, and prepare what is sure enough to learn from.

    Everything lies under the run's own folder and is kept: the same command goes on where it stopped. Raises
    HippoptError's kinds.
    """
    assert request.unlabelled is not None
    teacher = _teacher(planned, run, request, console)
    folder = planned.workspace.run(planned.name, run) / "unlabelled"
    console.say(f"scans without labels are segmented by {teacher.text}")
    together = _segment(planned, request, teacher.name, teacher.folds, folder / "teacher", console)
    networks = [
        _segment(planned, request, each.name, (fold,), folder / f"{each.name}_{fold}", console)
        for each in teacher.together
        for fold in each.folds
    ]
    networks = networks if len(networks) > 1 else [together]
    scans, _ = list_scans(request.unlabelled, planned.plan.channel_names)
    doubtful = doubtful_scans(read_volumes(together / VOLUMES))
    sure = [
        files
        for files in scans
        if files.id not in doubtful and all(mask_path(files, made).exists() for made in networks)
    ]
    for scan, reason in list(doubtful.items())[:NAMED]:
        console.say(f"{scan}: left out: {reason}")
    if len(doubtful) > NAMED:
        console.say(f"and {len(doubtful) - NAMED} more; all flags are in {together / VOLUMES}")
    if not sure:
        raise UsageError(
            f"--unlabelled {request.unlabelled}: no scan is left to learn from, of {len(scans)}; look at"
            f" {together / VOLUMES}"
        )
    found = prepare_unlabelled(sure, networks, planned.plan, folder / "arrays", console)
    console.say(
        f"learning from {counted(len(sure), 'scan')} without labels, each with the masks of"
        f" {counted(len(networks), 'network')}; {len(scans) - len(sure)} left out"
    )
    return found


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
    return chosen_run(workspace, planned.name, name, None, console)


def _segment(
    planned: PlannedDataset,
    request: TrainingRequest,
    run: str,
    folds: tuple[str, ...],
    output: Path,
    console: Console,
) -> Path:
    """The folder with the masks of these networks."""
    assert request.unlabelled is not None
    asked = PredictionRequest(request.unlabelled, output, folds=folds, run=run, device=request.device)
    predict_scans(planned.workspace, planned.name, asked, console)
    return output
