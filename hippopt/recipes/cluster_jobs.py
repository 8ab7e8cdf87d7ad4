"""Turn a prediction or a training into SLURM scripts: checked here,
so that no task of an array finds a mistake that all share.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hippopt.artifacts.plan import Plan
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
from hippopt.recipes.chosen_run import chosen_run
from hippopt.recipes.requested_plan import requested_plan
from hippopt.training.machine_limits import PROCESS_BYTES
from hippopt.training.request import TrainingRequest
from hippopt.workspace import Workspace

# memory of a prediction by whether scans are whole heads; docs/experiments.md has the peaks
SCAN_GB = {
    False: 4,
    True: 6,
}
TRAINING_HOURS = 24  # the limit of a fold without --minutes; one that reaches it goes on when it is submitted again


@dataclass(frozen=True)
class ScriptRequest:
    """file: of the array job's script; seconds: how long a scan takes,
    None where it is to be estimated; made_by: the command line.
    """

    file: Path
    made_by: str
    seconds: float | None = None


def write_study(
    workspace: Workspace, dataset: str, request: PredictionRequest, script: ScriptRequest,
    command: Callable[[PredictionRequest], tuple[str, ...]], console: Console,
) -> None:  # fmt: skip
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
    parts = request.parts or choose_parts(len(scans), seconds, largest)
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
    made = command(asked)
    resources = Resources(
        part_minutes(len(scans), parts, seconds),
        SCAN_GB[plan.locator is not None],
        gpus=1 if request.device == "cuda" else 0,
    )
    job = ArrayJob(
        "hippopt", f"1-{parts}", min(parts, AT_ONCE), resources, made, "merge", (*made, "--merge"), script.made_by
    )
    _write(script.file, job, console)
    console.say(
        f"{counted(len(scans), 'scan')} in {counted(parts, 'part')}, {seconds:g} s per scan assumed:"
        f" {resources.minutes} minutes per part at most"
    )


def write_folds(
    plan: Plan,
    request: TrainingRequest,
    script: ScriptRequest,
    command: Callable[[str, TrainingRequest], tuple[str, ...]],
    console: Console,
) -> None:
    """Write the scripts that train each fold in a task of its own, and then calibrate. Raises HippoptError's kinds."""
    if request.overwrite:
        raise UsageError("--slurm and --overwrite exclude each other: a task that is requeued would begin anew")
    requested_plan(plan, request, [str(fold) for fold in range(len(plan.folds))])  # what no task could run
    base = str(Path(request.base).absolute()) if request.base and Path(request.base).exists() else request.base
    asked = replace(request, resume=True, base=base)
    bytes_ = PROCESS_BYTES + training_bytes(
        plan.network, len(plan.channel_names), len(plan.class_names), plan.patch_size, plan.batch_size
    )
    minutes = 60 * TRAINING_HOURS if request.minutes is None else 30 + math.ceil(1.5 * request.minutes)
    resources = Resources(
        minutes, max(4, math.ceil(1.5 * bytes_ / 1e9)), cpus=4, gpus=1 if request.device == "cuda" else 0
    )
    job = ArrayJob(
        "hippopt-train",
        f"0-{len(plan.folds) - 1}",
        len(plan.folds),
        resources,
        command(TASK, asked),
        "calibrate",
        command("all", asked),
        script.made_by,
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
