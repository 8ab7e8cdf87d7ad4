"""Turn a prediction or a training into SLURM scripts: checked here,
so that no task of an array finds a mistake that all share.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hippopt.console import Console, counted
from hippopt.errors import UsageError
from hippopt.files.scan_listing import list_scans
from hippopt.inference.output_checks import check_output
from hippopt.inference.request import PredictionRequest
from hippopt.jobs.slurm_scripts import (
    AT_ONCE,
    TASK,
    ArrayJob,
    Resources,
    choose_parts,
    largest_array,
    part_minutes,
    seconds_of_scan,
    write_scripts,
)
from hippopt.networks.memory import training_bytes
from hippopt.planned_dataset import PlannedDataset
from hippopt.planning.run_plan import run_name
from hippopt.recipes.chosen_run import chosen_run
from hippopt.recipes.parts import dealt_in, open_list
from hippopt.recipes.prediction import check_identity, run_identity
from hippopt.recipes.requested_plan import requested_plan
from hippopt.recipes.training_inputs import check_run_plan
from hippopt.training.machine_limits import PROCESS_BYTES
from hippopt.training.request import TrainingRequest
from hippopt.workspace import Workspace

# memory of a prediction by whether scans are whole heads; docs/experiments.md has the peaks
SCAN_GB = {
    False: 4,
    True: 6,
}
MERGE_MINUTES = 60
TRAINING_HOURS = 24  # the limit of a fold without --minutes; one that reaches it goes on when it is submitted again


@dataclass(frozen=True)
class ScriptRequest:
    """file: of the array job's script; seconds: per scan, None where they are to be estimated; report: whether the
    merge draws the page of the study; made_by: the command line.
    """

    file: Path
    made_by: str
    seconds: float | None = None
    report: bool = False


def write_study(
    workspace: Workspace,
    dataset: str,
    request: PredictionRequest,
    script: ScriptRequest,
    command: Callable[[PredictionRequest], tuple[str, ...]],
    console: Console,
) -> None:
    """Write the scripts that segment a folder in parts and merge them.

    Raises HippoptError's kinds before anything is written.
    """
    chosen = chosen_run(workspace, dataset, request.run, request.folds, console)
    plan, folds = chosen.plan, chosen.folds
    scans, notes = list_scans(request.source, plan.channel_names)
    for note in notes:
        console.warn(note)
    check_output(request.source, request.output)
    if script.seconds is not None and not 0 < script.seconds < math.inf:
        raise UsageError("--seconds-per-scan must be above 0")
    seconds = script.seconds or seconds_of_scan(plan, len(folds), request.tta)
    largest = largest_array()
    dealt = dealt_in(request.output, request.parts)
    if dealt:  # what came later is in no part
        scans = open_list(request.source, request.output, scans, dealt, console).scans
    parts = dealt or request.parts or choose_parts(len(scans), seconds, largest)
    if parts > largest:
        raise UsageError(
            f"--parts {parts}: this SLURM numbers the tasks of an array up to {largest} (MaxArraySize - 1)"
        )
    asked = replace(
        request,
        source=request.source.absolute(),
        output=request.output.absolute(),
        parts=parts,
        part=None,
        head_size=request.head_size and request.head_size.absolute(),
        # what hippopt_best chose each task reads for itself; prediction.json sees to it that all find the same
        run=chosen.name if chosen.plain else None,
        folds=folds,
    )
    check_identity(asked, run_identity(chosen, asked))
    made = command(asked)
    resources = Resources(
        part_minutes(len(scans), parts, seconds),
        SCAN_GB[plan.locator is not None],
        gpus=1 if request.device == "cuda" else 0,
    )
    job = ArrayJob(
        name="hippopt",
        tasks=f"1-{parts}",
        at_once=min(parts, AT_ONCE),
        resources=resources,
        command=made,
        after_name="merge",
        after=(*made, "--merge", *(["--report"] if script.report else [])),
        after_needs=Resources(MERGE_MINUTES, resources.memory_gb),
        made_by=script.made_by,
    )
    _write(script.file, job, console)
    if dealt:
        console.say(f"{request.output}: its scans were dealt out in {counted(parts, 'part')} before, and stay so")
    console.say(
        f"{counted(len(scans), 'scan')} in {counted(parts, 'part')}, {seconds:g} s per scan assumed:"
        f" {resources.minutes} minutes per part at most"
    )


def write_folds(
    planned: PlannedDataset,
    request: TrainingRequest,
    script: ScriptRequest,
    command: Callable[[str, TrainingRequest], tuple[str, ...]],
    console: Console,
) -> None:
    """Write the scripts that train each fold in a task of its own, and then calibrate. Raises HippoptError's kinds."""
    if request.overwrite:
        raise UsageError("--slurm and --overwrite exclude each other: a task that is requeued would begin anew")
    folds = [str(fold) for fold in range(len(planned.plan.folds))]
    plan = requested_plan(planned.plan, request, folds)
    base = str(Path(request.base).absolute()) if request.base and Path(request.base).exists() else request.base
    asked = replace(request, resume=True, base=base)
    run = run_name(request.method, plan.adapter.rank, request.name)
    check_run_plan(planned.with_plan(plan), run, folds, asked)
    bytes_ = PROCESS_BYTES + training_bytes(
        plan.network, len(plan.channel_names), len(plan.class_names), plan.patch_size, plan.batch_size
    )
    minutes = 60 * TRAINING_HOURS if request.minutes is None else 30 + math.ceil(1.5 * request.minutes)
    resources = Resources(
        minutes, max(4, math.ceil(1.5 * bytes_ / 1e9)), cpus=4, gpus=1 if request.device == "cuda" else 0
    )
    job = ArrayJob(
        name="hippopt-train",
        tasks=f"0-{len(plan.folds) - 1}",
        at_once=len(plan.folds),
        resources=resources,
        command=command(TASK, asked),
        after_name="calibrate",
        after=command("all", asked),
        after_needs=resources,  # it also trains what a task left unfinished
        made_by=script.made_by,
    )
    _write(script.file, job, console)
    console.say(
        f"{counted(len(plan.folds), 'fold')}, each in a task; then their scores together and the calibration, and any"
        " fold that was left unfinished"
    )


def _write(file: Path, job: ArrayJob, console: Console) -> None:
    after, lines = write_scripts(file, job)
    console.say(f"written: {file.absolute()} and {after}; look at them, then submit both:")
    for line in lines:
        console.say(f"  {line}")
    console.result(script=str(file.absolute()), after=str(after), tasks=job.tasks, submit=lines)
