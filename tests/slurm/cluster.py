"""A SLURM of one node on this machine, for tests: `python -m tests.slurm.cluster COMMAND ...` runs a command in it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol", "squeue")
PATIENCE_S = 60.0

CONFIGURATION = """
ClusterName=hippopt
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
MessageTimeout=60
SlurmdParameters=config_overrides
SlurmdTimeout=300
MaxArraySize=1001
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class NoCluster(Exception):
    """Why SLURM cannot run here."""


@contextlib.contextmanager
def cluster(cpus: int = 8) -> Iterator[dict[str, str]]:
    """Yield the environment in which sbatch and the like find a SLURM, which ends with the block. Raises NoCluster.

    cpus: that its node says it has, whatever the machine has; of memory it says 64 GB.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise NoCluster(f"{', '.join(missing)} not installed (Debian: apt-get install slurm-wlm)")
    if os.geteuid() != 0:
        raise NoCluster("its daemons need root")
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("state", "spool"):
            (folder / part).mkdir()
        host = socket.gethostname().partition(".")[0]
        values = {"host": host, "folder": folder, "cpus": cpus, "controller": _free_port(), "node": _free_port()}
        (folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        daemons = []
        try:
            for command in (["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
                log = (folder / f"{command[0]}.out").open("w")
                daemons.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
                )
            _wait_for_node(environment, daemons, folder)
            yield environment
            subprocess.run(["scancel", "--full", "--user", "root"], env=environment, capture_output=True, check=False)
        finally:
            for daemon in reversed(daemons):
                daemon.terminate()
            for daemon in daemons:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    daemon.wait(10)
                if daemon.poll() is None:
                    daemon.kill()
                    daemon.wait()


def _wait_for_node(environment: dict[str, str], daemons: list["subprocess.Popen[bytes]"], folder: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and all(daemon.poll() is None for daemon in daemons):
        found = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True, check=False
        )
        if found.stdout.strip() in ("idle", "mixed"):
            return
        time.sleep(0.5)
    said = [
        line
        for path in folder.glob("*.out")
        for line in path.read_text().splitlines()
        if "error" in line or "fatal" in line
    ]
    raise NoCluster(f"SLURM did not start: {said[-1] if said else 'no node became idle'}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    with cluster() as found:
        sys.exit(subprocess.run(sys.argv[1:], env=found, check=False).returncode)
