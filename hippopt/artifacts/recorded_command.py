"""The command line that made a base or a model, as its card names it: without the folders of this machine."""

import shlex
import sys
from pathlib import Path

NOT_RECORDED = ("--resume", "--overwrite")  # how often it was begun says nothing of what it made


def recorded_command(name: str) -> str:
    """Give the arguments of this process as a line that a shell would take.

    Args:
        name: of the command, such as hippopt_pretrain, however it was started.

    Returns:
        The name and the arguments without NOT_RECORDED. A path is its last part alone; what has blanks is text, not a
        path, and stays whole.
    """
    words = [
        Path(word).name if "/" in word and " " not in word else word
        for word in sys.argv[1:]
        if word not in NOT_RECORDED
    ]
    return shlex.join([name, *words])
