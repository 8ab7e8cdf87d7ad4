"""Cores and memory: the smallest of what the kernel, a container and a scheduler grant."""

import os
from pathlib import Path

import pytest

from hippopt import machine
from hippopt.machine import core_count, machine_bytes, threads_asked

SCHEDULERS = (*machine.SCHEDULED_CORES, "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", machine.THREADS)


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 GB and 16 cores whose control groups lie in a folder of the test, without a scheduler."""
    for name in SCHEDULERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "_physical_bytes", lambda: 64e9)
    monkeypatch.setattr(machine, "_own_limits", lambda: iter(()))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for name, file in (("CGROUPS", "fs"), ("OWN_CGROUPS", "own"), ("MOUNTS", "mounts")):
        monkeypatch.setattr(machine, name, tmp_path / file)
    (tmp_path / "fs").mkdir()
    (tmp_path / "own").write_text("0::/\n")
    return tmp_path


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


CASES = {
    "no limit": ({"fs/memory.max": "max\n", "fs/cpu.max": "max 100000\n"}, 64e9, 16),
    "version 2, a container's own root": ({"fs/memory.max": "1500000000\n", "fs/cpu.max": "100000 100000\n"}, 1.5e9, 1),
    "version 2, a nested group": (
        {
            "own": "0::/slurm/job_7/step_0\n",
            "fs/slurm/job_7/memory.max": "4000000000\n",
            "fs/slurm/job_7/step_0/memory.max": "max\n",
            "fs/slurm/job_7/step_0/cpu.max": "250000 100000\n",
            "fs/memory.max": "max",
        },
        4e9,
        3,
    ),
    "version 2, another job's group is none of ours": (
        {
            "own": "0::/slurm/job_7\n",
            "fs/slurm/job_8/memory.max": "4000000000\n",
            "fs/slurm/job_8/cpu.max": "100000 100000",
        },
        64e9,
        16,
    ),
    "version 2, throttled before it is killed": (
        {"fs/memory.max": "8000000000", "fs/memory.high": "6000000000"},
        6e9,
        16,
    ),
    "version 1, nested": (
        {
            "own": "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n",
            "fs/memory/docker/abc/memory.limit_in_bytes": "3000000000\n",
            "fs/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "fs/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "50000\n",
            "fs/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        },
        3e9,
        1,
    ),
    "version 1, a quota of -1 is none": (
        {"fs/cpu/cpu.cfs_quota_us": "-1\n", "fs/cpu/cpu.cfs_period_us": "100000\n"},
        64e9,
        16,
    ),
    "version 1, the container sees its own part of the tree": (
        {
            "own": "4:memory:/docker/abc/inner\n",
            "mounts": "35 31 0:32 /docker/abc {root}/elsewhere rw - cgroup cgroup rw,memory\n",
            "elsewhere/memory.limit_in_bytes": "2000000000\n",
        },
        2e9,
        16,
    ),
    "nothing can be read": (
        {"own": "broken\n", "mounts": "broken\n", "fs/memory.max": "words", "fs/cpu.max": ""},
        64e9,
        16,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_control_groups(bare_machine: Path, name: str) -> None:
    files, memory, cores = CASES[name]
    write(bare_machine, {path: text.replace("{root}", str(bare_machine)) for path, text in files.items()})
    assert machine_bytes() == memory
    assert core_count() == cores


SCHEDULED: dict[str, tuple[dict[str, str], float, int]] = {
    "SLURM, memory a node": (
        {"SLURM_MEM_PER_NODE": "2000", "SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "8"},
        2000 * 2**20,
        4,
    ),
    "SLURM, memory a core": ({"SLURM_MEM_PER_CPU": "1000", "SLURM_CPUS_ON_NODE": "6"}, 6000 * 2**20, 6),
    "SLURM, all memory of the node": ({"SLURM_MEM_PER_NODE": "0"}, 64e9, 16),
    "Grid Engine": ({"NSLOTS": "3"}, 64e9, 3),
    "more than there is": ({"SLURM_CPUS_PER_TASK": "400", "SLURM_MEM_PER_NODE": "900000"}, 64e9, 16),
    "not numbers": ({"SLURM_CPUS_PER_TASK": "many", "SLURM_MEM_PER_NODE": "-1"}, 64e9, 16),
}


@pytest.mark.parametrize("name", SCHEDULED)
def test_schedulers(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    environment, memory, cores = SCHEDULED[name]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert machine_bytes() == memory
    assert core_count() == cores


@pytest.mark.parametrize(("text", "threads"), [("3", 3), ("4,2", 4), ("", None), ("none", None), ("0", None)])
def test_threads_that_the_user_asked_for(monkeypatch: pytest.MonkeyPatch, text: str, threads: int | None) -> None:
    monkeypatch.setenv(machine.THREADS, text)
    assert threads_asked() == threads
