"""What this process may use of the machine: its cores and its memory, as the kernel, a container and a scheduler grant
them.

The smallest of what is granted counts. Containers and schedulers limit a process by a control group: version 2 keeps
`memory.max` and `cpu.max` in a folder for each group, version 1 keeps its own files in one tree for each controller;
the limits of all groups above the process's own hold too. joblib.cpu_count() would look at the uppermost group alone,
and takes a third of a second to import.
"""

import errno
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# lines `number:controllers:path`; version 2 has number 0 and names no controller
OWN_CGROUPS = Path("/proc/self/cgroup")
MOUNTS = Path("/proc/self/mountinfo")
UNKNOWN_MACHINE_BYTES = 16e9  # where the system does not say
# how torch and its libraries word it where they raise a plain RuntimeError
NO_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "unable to mmap",
    "could not create a memory",
    "can't start new thread",
    "failed to map segment",
)
THREADS = "OMP_NUM_THREADS"
# cores of a job's task, by scheduler: SLURM, Grid Engine, PBS, LSF; the first that is set counts
SCHEDULED_CORES = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "NSLOTS", "PBS_NCPUS", "NCPUS", "LSB_DJOB_NUMPROC")


def machine_bytes() -> float:
    """Give the bytes of main memory that this process may use: all
    arrays of scans and probabilities lie there, whatever the device.
    """
    limits = [_physical_bytes(), *_cgroup_bytes(), *_scheduled_bytes(os.environ), *_own_limits()]
    return min(limit for limit in limits if limit > 0)


def core_count() -> int:
    """Give the number of cores that this process may use; a quota of half a core counts as one."""
    limits = [_affine_cores(), *(math.ceil(cores) for cores in _cgroup_cores()), *_scheduled_cores(os.environ)]
    return max(1, min(limits))


def ran_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is memory that could not be had, of Python, numpy, torch or the system."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    spoken = isinstance(error, RuntimeError | ImportError | SystemError)  # a library's, or one that cannot be loaded
    return spoken and any(words in str(error).lower() for words in NO_MEMORY)


def threads_asked() -> int | None:
    """Give the number of threads a process that the user asked for
    with OMP_NUM_THREADS; None where it is not set, or not a number.
    """
    text = os.environ.get(THREADS, "").partition(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _physical_bytes() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):  # not a POSIX system
        return UNKNOWN_MACHINE_BYTES


def _affine_cores() -> int:
    """Cores that the kernel schedules this process on (taskset, cpusets)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _own_limits() -> Iterator[float]:
    """Limits of the process itself, as `ulimit -v` and some schedulers set them."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            yield float(soft)


def _scheduled_cores(environment: Mapping[str, str]) -> Iterator[int]:
    found = (_whole(environment.get(name)) for name in SCHEDULED_CORES)
    yield from [cores for cores in found if cores][:1]


def _scheduled_bytes(environment: Mapping[str, str]) -> Iterator[float]:
    """Memory of a SLURM job on this node, given in MiB; 0 stands for all of it."""
    node, core = _whole(environment.get("SLURM_MEM_PER_NODE")), _whole(environment.get("SLURM_MEM_PER_CPU"))
    cores = _whole(environment.get("SLURM_CPUS_ON_NODE")) or _whole(environment.get("SLURM_CPUS_PER_TASK"))
    if node:
        yield node * 2.0**20
    elif core and cores:
        yield core * cores * 2.0**20


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() else None


def _cgroup_bytes() -> Iterator[float]:
    for folder in _cgroup_folders("memory"):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            yield from _numbers(folder / name)[:1]


def _cgroup_cores() -> Iterator[float]:
    for folder in _cgroup_folders("cpu"):
        limits = [
            _numbers(folder / "cpu.max"),
            _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us"),
        ]
        for values in limits:
            if len(values) == 2 and min(values) > 0:  # a quota of -1 is none
                yield values[0] / values[1]


def _numbers(path: Path) -> list[float]:
    """The numbers of a file of the kernel; none where it is missing, or says `max`."""
    try:
        return [float(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """Folders of the process's own groups and of all groups above
    them, of both versions, where this process can see them.
    """
    seen: set[Path] = set()
    for top, shown in _hierarchies(controller):
        for path in _own_paths(controller):
            own = Path(path)
            # a container may see only a part of the tree, mounted as if it were the whole
            inside = (
                own.relative_to(shown)
                if own.is_relative_to(shown)
                else own.relative_to("/")
                if own.is_absolute()
                else own
            )
            folders = [top / inside, *(top / inside).parents]
            for folder in folders:
                if folder.is_relative_to(top) and folder not in seen:
                    seen.add(folder)
                    yield folder


def _hierarchies(controller: str) -> list[tuple[Path, Path]]:
    """(mount point, the part of the tree that is shown there) of each tree that may hold limits of a controller."""
    found = [(CGROUPS, Path("/"))]
    found += [(folder, Path("/")) for folder in sorted(CGROUPS.glob("*")) if controller in folder.name.split(",")]
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        fields, _, rest = line.partition(" - ")
        words, kind = fields.split(), rest.split()
        if (
            len(words) > 4
            and len(kind) > 2
            and (kind[0] == "cgroup2" or (kind[0] == "cgroup" and controller in kind[2].split(",")))
        ):
            found.append((Path(words[4]), Path(words[3])))
    return found


def _own_paths(controller: str) -> list[str]:
    """Paths of the process's own groups in their trees."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return ["/"]
    fields = [line.split(":", 2) for line in lines]
    found = [words[2] for words in fields if len(words) == 3 and (words[1] == "" or controller in words[1].split(","))]
    return list(dict.fromkeys([*found, "/"]))
