"""The name under which a process id means one process: the host's, and in a container also that of its processes."""

import socket
from functools import cache
from pathlib import Path

OUTSIDE = "pid:[4026531836]"  # what Linux calls the processes of the host itself (include/linux/proc_ns.h)


@cache
def this_host() -> str:
    """The host's name. Containers may share it, each with process ids of its own: what tells these apart is added."""
    try:
        processes = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # no Linux, or no /proc
        processes = OUTSIDE
    name = socket.gethostname()
    return name if processes == OUTSIDE else f"{name}-{processes.removeprefix('pid:[').removesuffix(']')}"
