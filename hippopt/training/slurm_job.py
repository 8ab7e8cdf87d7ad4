"""Whether a job of SLURM has ended, as SLURM itself says."""

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
        number: the job's SLURM_JOB_ID, on the cluster that squeue asks by default.

    Returns:
        Whether it has; False also where squeue is not there or does not answer, since then nobody knows.
    """
    if not number.isdecimal():
        return False
    command = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={number}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    if done.returncode:
        return UNKNOWN in done.stderr
    return set(done.stdout.split()) <= ENDED
