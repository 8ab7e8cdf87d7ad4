"""Whether a job of SLURM has ended, as SLURM itself says."""

import os
import subprocess

WAIT_S = 20.0
UNKNOWN = "Invalid job id"  # a job that has ended is forgotten after some minutes (MinJobAge)
ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}


def job_has_ended(number: str) -> bool:
    """Ask squeue whether a job has ended.

    Args:
        number: the job's SLURM_JOB_ID, or the array's and the task's as `40_3`: in an array the first task's number is
            that of the whole array. On the cluster that squeue asks by default.

    Returns:
        Whether it has; False also where squeue is not there, does not answer or says nothing, since then nobody knows.
    """
    if not number.replace("_", "", 1).isdecimal():
        return False
    command = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={number}"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}  # a person's filters
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False, env=plain)
    except (OSError, subprocess.TimeoutExpired):
        return False
    if done.returncode:
        return UNKNOWN in done.stderr
    states = done.stdout.split()
    return bool(states) and set(states) <= ENDED
