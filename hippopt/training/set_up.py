"""Set up the training of a fold: its network, new or as far as it has come, and the optimizer of what trains."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from hippopt.console import Console
from hippopt.errors import TrainingError, WeightsError
from hippopt.networks.base_weights import KeyReport
from hippopt.networks.restoring import build_with_base
from hippopt.networks.tensor_files import read_state, tensors_sha256
from hippopt.networks.tuning import Tuned, is_factor, tune
from hippopt.training.checkpoint import LoopState, load_resume, restore_optimizer, save_resume
from hippopt.training.fold import EarlierAdapter, FoldInputs, FoldRequest


@dataclass(frozen=True)
class StateFiles:
    """Where the state of a training is kept: the newest, the one before it, and the run's initial factors."""

    resume: Path
    previous: Path
    initial_factors: Path


@dataclass
class Begun:
    """A training that has begun: the network, how far it has come, and its optimizer over the parameters of these
    names.
    """

    tuned: Tuned
    state: LoopState
    names: list[str]
    optimizer: torch.optim.Optimizer
    files: StateFiles

    def save(self) -> None:
        """Write the state that --resume continues from."""
        save_resume(
            self.files.resume, self.files.previous, self.tuned.resume_tensors(), self.optimizer, self.names, self.state
        )


def set_up(
    request: FoldRequest, inputs: FoldInputs, files: StateFiles, console: Console
) -> tuple[Begun, list[KeyReport]]:
    """Build the network from its base and make what trains of it ready: as it was kept, where the request resumes.

    Args:
        request: of the fold.
        inputs: its plan, base, initial factors and the adapter to go on from.
        files: of which a resumed fold is read; nothing is written.
        console: told where the fold goes on from.

    Returns:
        The training, on the device of the inputs, and what became of each key of the base.

    Raises:
        TrainingError: nothing whole to resume from, or other initial factors than it began with.
        WeightsError: a base or an earlier adapter that cannot be used.
    """
    plan = inputs.plan
    source = inputs.base[1].name if inputs.base else "none"
    model, reports, remade = build_with_base(plan, inputs.base, request.seed, source)
    stored, state = None, LoopState(initial_sha256=inputs.initial.sha256 if inputs.initial else None)
    if request.resume:
        stored, state = _resumed(files, state.initial_sha256, console)
    moments = {name: value for name, value in (stored or {}).items() if name.startswith("optimizer.")}
    values = {name: value for name, value in stored.items() if name not in moments} if stored is not None else None
    if inputs.earlier is not None:
        remade = inputs.earlier.card.remade
        if values is None:
            values = _earlier_values(inputs.earlier)
            console.say(f"fold {request.fold}: goes on from run {inputs.earlier.card.run}")
    initial = inputs.initial.tensors if inputs.initial else None
    tuned = tune(model, request.method, plan.network, plan.adapter, remade, initial, values)
    shared = plan.schedule.base_share_of_one_scan > 0 and inputs.base is not None
    if shared and (inputs.earlier is not None or inputs.unlabelled is not None):
        console.say(
            f"fold {request.fold}: what trains is not averaged with the base (schedule.base_share_of_one_scan), since"
            + (
                " it goes on from networks that were"
                if inputs.earlier is not None
                else " it sees more scans than those"
            )
        )
    elif shared:
        fresh = tuned
        if values is not None:
            model, _, _ = build_with_base(plan, inputs.base, request.seed, source)
            fresh = tune(model, request.method, plan.network, plan.adapter, remade, initial, None)
        tuned.begun_with = fresh.adapter_tensors()
    tuned.model.to(inputs.device)
    parameters = tuned.trainable()
    groups = tuned.rated(plan.adapter)
    names = [name for _, group in groups for name in group]
    optimizer = torch.optim.AdamW(
        [{"params": [parameters[name] for name in group], "rate": rate,
          "weight_decay": 0.0 if is_factor(group[0]) else plan.schedule.weight_decay} for rate, group in groups],
        lr=plan.schedule.rate(request.method, inputs.on_weights),
    )  # fmt: skip
    restore_optimizer(optimizer, moments, names, state.step - state.skipped)
    return Begun(tuned, state, names, optimizer, files), reports


def _resumed(
    files: StateFiles, initial_sha256: str | None, console: Console
) -> tuple[Mapping[str, torch.Tensor], LoopState]:
    """(tensors, state) as they were kept. initial_sha256: of the initial factors that are there now."""
    stored, state, warnings = load_resume(files.resume, files.previous)
    if state.initial_sha256 != initial_sha256:
        raise TrainingError(
            f"{files.resume}: begun with other initial factors than those in {files.initial_factors}; copy the"
            " original file back, or train the fold anew with --overwrite"
        )
    for warning in warnings:
        console.warn(warning)
    console.say(f"resumed at step {state.step}")
    return stored, state


def _earlier_values(earlier: EarlierAdapter) -> dict[str, torch.Tensor]:
    """The tensors of the adapter to go on from. Raises WeightsError where they are no longer those of its card."""
    tensors = read_state(earlier.path)
    if tensors_sha256(tensors) != earlier.card.sha256:
        raise WeightsError(f"{earlier.path}: changed since this training began; copy it anew or train that fold again")
    return tensors
