"""Resume files: safetensors with the loop's state as JSON in the header. Two generations are kept."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from hippopt.errors import TrainingError
from hippopt.networks.tensor_files import save_tensors, tensors_sha256

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class LoopState:
    """Where training stands. Batches are keyed by `step`, so no random state needs keeping.

    initial_sha256: the run's initial factors that the trained ones of lora-pt or pissa belong to.
    """

    step: int = 0
    elapsed_s: float = 0.0
    waited_s: float = 0.0
    skipped: int = 0
    skipped_in_a_row: int = 0
    smoothed_dice: float | None = None
    best_dice: float | None = None
    best_step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    initial_sha256: str | None = None


def save_resume(
    path: Path,
    previous: Path,
    tensors: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    names: list[str],
    state: LoopState,
) -> None:
    """Write the resume file; the one before becomes `previous`, so that one whole file exists at any moment.

    `names`: of the optimiser's parameters, group after group.
    """
    everything = dict(tensors)
    for name, parameter in zip(names, _parameters(optimizer), strict=True):
        for moment in MOMENTS:
            if moment in optimizer.state[parameter]:
                everything[f"optimizer.{moment}.{name}"] = optimizer.state[parameter][moment]
    metadata = {"state": json.dumps(asdict(state)), "sha256": tensors_sha256(everything)}
    temporary = path.with_name("resume_new.safetensors")
    save_tensors(temporary, everything, metadata)
    if path.exists():
        os.replace(path, previous)
    os.replace(temporary, path)


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def load_resume(path: Path, previous: Path) -> tuple[dict[str, torch.Tensor], LoopState, list[str]]:
    """(tensors, state, warnings) from the newest whole resume file. Raises TrainingError where none can be read."""
    warnings: list[str] = []
    candidates = [candidate for candidate in (path, previous) if candidate.exists()]
    if not candidates:
        raise TrainingError(f"{path}: nothing to resume from; start without --resume")
    for candidate in candidates:
        try:
            with safe_open(candidate, "pt") as stream:
                metadata = stream.metadata()
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            if tensors_sha256(tensors) != metadata["sha256"]:
                raise ValueError("its content does not match its checksum")
            if candidate == previous:
                warnings.append(
                    f"{path.name} is missing or damaged; continuing from {previous.name}, one checkpoint earlier"
                )
            return tensors, LoopState(**json.loads(metadata["state"])), warnings
        except Exception as error:
            warnings.append(f"{candidate}: cannot be used ({error})")
    raise TrainingError("; ".join([*warnings, "no whole checkpoint is left: train anew with --overwrite"]))


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], names: list[str], updates: int
) -> None:
    """Put AdamW's moments back, by name: the groups may be others than when they were saved.

    `updates`: optimiser steps done so far.
    """
    for name, parameter in zip(names, _parameters(optimizer), strict=True):
        if f"optimizer.{MOMENTS[0]}.{name}" not in tensors:
            continue
        state: dict[str, Any] = {
            moment: tensors[f"optimizer.{moment}.{name}"].to(parameter.device) for moment in MOMENTS
        }
        optimizer.state[parameter] = {"step": torch.tensor(float(updates)), **state}
