"""Write sbatch scripts: an array job over the parts of a study or the folds of a run, and the job that comes after it.

hippopt submits nothing and watches nothing: the scripts are plain text, explain each option, and are the user's from
then on.
"""

import hashlib
import itertools
import math
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hippopt import __version__
from hippopt.artifacts.codec import write_bytes
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.writable_folder import check_writable
from hippopt.errors import OutputError, UsageError

TASK = '"$SLURM_ARRAY_TASK_ID"'  # stands in a command for the number of the task
SECONDS_CROP, SECONDS_WHOLE = 1.0, 10.0  # a scan, five networks, two cores, all in; docs/experiments.md
FLIPS = 8  # times as long with --tta
PART_MINUTES = 30.0  # long beside the start of a part, short beside what a failing node costs
AT_ONCE = 20
SEAL = "# by this number hippopt sees whether the script was edited, and does not replace it then: "
ARRAY_SIZE = 1001  # SLURM's own default of MaxArraySize


@dataclass(frozen=True)
class Resources:
    """What a task is given. minutes: until SLURM ends it."""

    minutes: int
    memory_gb: int
    cpus: int = 2
    gpus: int = 0


@dataclass(frozen=True)
class ArrayJob:
    """An array job and the one that follows. tasks: as `1-200`; after_needs: of the one that follows; made_by: the
    command line that asked for both.
    """

    name: str
    tasks: str
    at_once: int
    resources: Resources
    command: tuple[str, ...]
    after_name: str
    after: tuple[str, ...]
    after_needs: Resources
    made_by: str


def seconds_of_scan(plan: Plan, networks: int, tta: bool) -> float:
    """How long a scan may take on two cores, from what was measured with five networks."""
    return (SECONDS_CROP if plan.locator is None else SECONDS_WHOLE) * max(1.0, networks / 5) * (FLIPS if tta else 1)


def choose_parts(scans: int, seconds: float, largest: int) -> int:
    """Parts of about PART_MINUTES each; no more than there are scans, nor than `largest`."""
    return max(1, min(scans, largest, math.ceil(scans * seconds / (60 * PART_MINUTES))))


def part_minutes(scans: int, parts: int, seconds: float) -> int:
    """A limit that a slow node does not reach: four times the work of a part, and half an hour."""
    return 30 + math.ceil(4 * math.ceil(scans / parts) * seconds / 60)


def largest_array() -> int:
    """The highest number that a task of an array may have, as this cluster is set up, or as SLURM is by default."""
    try:
        said = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=20, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    values = [line.partition("=")[2].strip() for line in said.splitlines() if line.startswith("MaxArraySize")]
    return (int(values[0]) if values and values[0].isdigit() else ARRAY_SIZE) - 1


def write_scripts(file: Path, job: ArrayJob) -> tuple[Path, list[str]]:
    """(the script of the second job, the two lines that submit both).

    Raises OutputError, also where a script is there already that a person changed. Raises UsageError.
    """
    file = file.absolute()
    after = file.with_name(f"{file.stem}_{job.after_name}{file.suffix}")
    logs = file.with_name(f"{file.stem}_logs")
    if any(character in str(file) for character in "%\\\n"):
        raise UsageError(f"--slurm {file}: SLURM reads % and \\ in the paths of logs as its own; choose another path")
    if file.is_dir():
        raise OutputError(f"--slurm {file}: a folder; give the name of a file")
    check_writable(file.parent, f"--slurm {file}")
    lines = [
        f"job=$(sbatch --parsable {shlex.quote(str(file))})",
        f"sbatch --dependency=afterany:$job {shlex.quote(str(after))}",
    ]
    options = [("its log", f"--output={shlex.quote(str(logs / f'{job.after_name}-%j.log'))}")]
    texts = {
        file: _script(job.name, lines, _array_options(job, logs), job.resources, job.command, job.made_by),
        after: _script(f"{job.name}-{job.after_name}", lines, options, job.after_needs, job.after, job.made_by),
    }
    for path in texts:
        if path.exists() and not _as_written(path.read_text(errors="replace")):
            raise OutputError(
                f"--slurm {path}: is there already, and not as hippopt wrote it; remove it, or give another name"
            )
    logs.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        write_bytes(path, _sealed(text).encode())
    return after, lines


def _sealed(text: str) -> str:
    """A script with a line at the end of its header, by which it can be told later whether a person edited it."""
    before, blank, after = text.partition("\n#\n")
    return f"{before}\n{SEAL}{_digest(text)}{blank}{after}"


def _as_written(text: str) -> bool:
    """Whether a script is as hippopt wrote it."""
    before, seal, after = text.partition(SEAL)
    digest, _, rest = after.partition("\n")
    return bool(seal) and digest == _digest(before + rest)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _array_options(job: ArrayJob, logs: Path) -> list[tuple[str, str]]:
    return [
        ("the tasks, and after % how many may run at the same time", f"--array={job.tasks}%{job.at_once}"),
        (
            "a log for each task: %A is the job's number, %a the task's",
            f"--output={shlex.quote(str(logs / '%A_%a.log'))}",
        ),
        ("a task that is requeued adds to its log", "--open-mode=append"),
        (
            (
                "after the failure of a node, or when a job of higher priority needs it, a task is queued again; it"
                " goes on where it was"
            ),
            "--requeue",
        ),
        (
            (
                "120 seconds before the time limit, hippopt is asked to end: it finishes what it is at and saves (exec"
                " below hands the signal to it)"
            ),
            "--signal=B:TERM@120",
        ),
    ]


def _script(
    name: str,
    submit: Sequence[str],
    options: Sequence[tuple[str, str]],
    resources: Resources,
    command: Sequence[str],
    made_by: str,
) -> str:
    needs = [
        (
            "time limit (hours:minutes:seconds); a task that reaches it is not lost: submit it again",
            f"--time={_clock(resources.minutes)}",
        ),
        ("cores and memory of a task", f"--cpus-per-task={resources.cpus}"),
        ("", f"--mem={resources.memory_gb}G"),
    ]
    if resources.gpus:
        needs.append(("a GPU; clusters name them differently", f"--gres=gpu:{resources.gpus}"))
    lines = [
        "#!/bin/bash",
        f"# Written by hippopt {__version__}: {made_by}",
        "# Yours to edit: add --partition, --account, ... as your cluster asks for. Submit:",
    ]
    lines += [f"#   {line}" for line in submit]
    lines += ["#", "# the job's name in squeue", f"#SBATCH --job-name={name}"]
    for comment, option in (*options, *needs):
        lines += [*([f"# {comment}"] if comment else []), f"#SBATCH {option}"]
    lines += ["# the folder that relative paths start from", f"#SBATCH --chdir={shlex.quote(str(Path.cwd()))}", ""]
    if os.environ.get("PYTHONPATH"):
        lines.append(f"export PYTHONPATH={shlex.quote(os.environ['PYTHONPATH'])}")
    return "\n".join([*lines, f"exec {_broken(command)}", ""])


def _broken(command: Sequence[str]) -> str:
    """A command line, with a line for each option."""
    words = [word if word == TASK else shlex.quote(word) for word in command]
    text = words[0]
    for before, word in itertools.pairwise(words):
        text += (" \\\n  " if word.startswith("-") and before != words[0] else " ") + word
    return text


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"
