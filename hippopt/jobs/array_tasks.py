"""Which task of a scheduler's array job this process is: SLURM, PBS, SGE, LSF, OAR, AWS Batch and Kubernetes say it."""

from collections.abc import Mapping

from hippopt.errors import UsageError

# variable of a scheduler -> the number of its first task
TASK_VARIABLES = {
    "SLURM_ARRAY_TASK_ID": 1,
    "PBS_ARRAY_INDEX": 1,
    "PBS_ARRAYID": 1,
    "SGE_TASK_ID": 1,
    "LSB_JOBINDEX": 1,
    "OAR_ARRAY_INDEX": 1,
    "AWS_BATCH_JOB_ARRAY_INDEX": 0,
    "JOB_COMPLETION_INDEX": 0,
}


def part_number(parts: int, part: int | None, environment: Mapping[str, str]) -> int:
    """The part asked for, or the scheduler's number of this task. Raises UsageError."""
    if parts < 1:
        raise UsageError(f"--parts {parts}: must be above 0")
    said = f"--part {part}"
    if part is None:
        name = next((name for name in TASK_VARIABLES if environment.get(name, "").isdigit()), None)
        if name is None:
            raise UsageError(
                f"--parts {parts}: which of them? give --part, or run it as an array job ({', '.join(TASK_VARIABLES)})"
            )
        part = int(environment[name]) + 1 - TASK_VARIABLES[name]
        said = f"{name}={environment[name]}"
    if not 1 <= part <= parts:
        raise UsageError(f"{said}: parts are numbered from 1 to {parts}")
    return part
