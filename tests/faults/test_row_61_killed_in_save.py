"""SIGKILL at any moment of writing a checkpoint leaves the former checkpoint whole."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hippopt.networks import tensor_files
from hippopt.training.checkpoint import LoopState, load_resume, save_resume


def save(folder: Path, step: int) -> None:
    """A checkpoint whose every value is its step."""
    parameter = torch.nn.Parameter(torch.full((100,), float(step)))
    optimizer = torch.optim.AdamW([parameter])
    optimizer.state[parameter] = {name: torch.full((100,), float(step)) for name in ("exp_avg", "exp_avg_sq")}
    names = folder / "resume.safetensors", folder / "resume_previous.safetensors"
    save_resume(*names, {"rest.weight": parameter.detach()}, optimizer, ["rest.weight"], LoopState(step=step))


def killed_while_saving(folder: Path, moment: int) -> bool:
    """Save step 3 in a process of its own, that is killed at the given moment; False when it ended before."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    try:
        left = [moment]

        def dies(call: Callable[..., Any], partly: bool = False) -> Callable[..., Any]:
            def work(*arguments: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    if partly:
                        Path(arguments[1]).write_bytes(b"half of a file")
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            return work

        tensor_files.save_file = dies(tensor_files.save_file, partly=True)
        os.fsync, os.replace = dies(os.fsync), dies(os.replace)
        save(folder, 3)
    finally:
        os._exit(0)


@pytest.mark.parametrize("moment", range(5))
def test_row_61_a_whole_checkpoint_is_left_whenever_the_process_is_killed(tmp_path: Path, moment: int) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    assert killed_while_saving(tmp_path, moment)
    tensors, state, warnings = load_resume(tmp_path / "resume.safetensors", tmp_path / "resume_previous.safetensors")
    assert state.step == 2 and all((value == 2).all() for value in tensors.values()) and len(tensors) == 3
    assert bool(warnings) == (moment == 4)  # between the two renames only the previous one bears its name


def test_row_61_the_moments_are_all_there_are(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    assert not killed_while_saving(tmp_path, 5)
    assert load_resume(tmp_path / "resume.safetensors", tmp_path / "resume_previous.safetensors")[1].step == 3
