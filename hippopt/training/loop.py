"""The training loop: a function of model, batches, loss and schedule."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hippopt.artifacts.plan import ScheduleSettings
from hippopt.errors import TrainingError
from hippopt.training.checkpoint import LoopState
from hippopt.training.pieces import BatchGradients
from hippopt.training.processes import ProcessGroup

SKIPS_ALLOWED = 5  # steps in a row with a loss or gradient that is not finite


@dataclass(frozen=True)
class Budget:
    """When training ends: after `steps`, or after `seconds` of training time where that is given."""

    steps: int
    seconds: float | None = None

    def progress(self, state: LoopState) -> float:
        """Share of the budget that is used, 0 to 1."""
        used = state.step / self.steps if self.seconds is None else state.elapsed_s / max(self.seconds, 1e-9)
        return min(1.0, used)


@dataclass(frozen=True)
class LoopHooks:
    """What happens besides the steps. `on_epoch` gets the state and a row of the log, `on_skip` the cases of a batch
    whose loss or gradient was not finite; `stopping` tells of a signal. `penalty` is added to the loss that is
    minimised, not to the one that is logged; `on_update` gets the number of updates done, right after one and before
    its gradients are cleared; `on_halved` gets how many samples of how many are computed at a time, since the GPU's
    memory was too small for more.
    """

    on_epoch: Callable[[LoopState, dict[str, float]], None]
    on_step: Callable[[LoopState, float], None]
    on_skip: Callable[[LoopState, list[str]], None]
    stopping: Callable[[], bool]
    penalty: Callable[[], torch.Tensor | None] = lambda: None
    on_update: Callable[[int], None] = lambda _: None
    on_halved: Callable[[int, int], None] = lambda *_: None


def learning_rate(schedule: ScheduleSettings, peak: float, progress: float, step: int) -> float:
    """Linear warm-up over the first steps, times (1 - progress) ** exponent."""
    warm = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    return peak * warm * (1 - progress) ** schedule.poly_exponent


def segmentation_loss() -> nn.Module:
    """Dice + cross-entropy (Isensee et al. 2021): Dice over the foreground classes of the whole batch."""
    from monai.losses import DiceCELoss

    return DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5
    )


@dataclass(frozen=True)
class Optimisation:
    """How parameters move. parameters: those that train, by name; schedule: warm-up, decay and clipping; peak_rate: the
    highest learning rate, which a parameter group of the optimizer multiplies by its own "rate" where it has one;
    autocast: compute in bfloat16.
    """

    parameters: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    schedule: ScheduleSettings
    peak_rate: float
    autocast: bool


def train(
    model: nn.Module,
    optimisation: Optimisation,
    batches: Iterator[dict[str, Any]],
    budget: Budget,
    state: LoopState,
    hooks: LoopHooks,
    group: ProcessGroup | None = None,
) -> bool:
    """Train until the budget is used, or until `hooks.stopping`.

    Args:
        model: the network; images (B, C, Z, Y, X) to logits (B, classes, Z, Y, X).
        optimisation: what trains, and how.
        batches: {"image": (B, C, Z, Y, X) float32, "label": (B, 1, Z, Y, X), "cases": ids}.
        budget: steps or seconds.
        state: step, losses and times so far; updated in place.
        hooks: what is called after a step, an update, an epoch and a skipped step.
        group: the processes that train together, each on batches of its own.

    Returns:
        True where the budget is used, False where it was stopped.

    Raises:
        TrainingError: more than SKIPS_ALLOWED steps in a row had a loss or a gradient that is not finite; it names the
            cases of the batch.
    """
    parameters, optimizer, schedule = optimisation.parameters, optimisation.optimizer, optimisation.schedule
    group = group or ProcessGroup()
    gradients_of = BatchGradients(model, segmentation_loss(), optimisation.autocast, hooks.on_halved)
    device = next(iter(parameters.values())).device
    losses: list[float] = []
    model.train()
    epoch_start, epoch_waited, last = state.elapsed_s, state.waited_s, time.perf_counter()
    while (progress := budget.progress(state)) < 1:
        if group.agree(hooks.stopping()):
            return False
        rate = learning_rate(schedule, optimisation.peak_rate, progress, state.step)
        for parameter_group in optimizer.param_groups:
            parameter_group["lr"] = rate * parameter_group.get("rate", 1.0)
        before = time.perf_counter()
        batch = next(batches)
        state.waited_s += time.perf_counter() - before
        image, label = batch["image"].to(device), batch["label"].to(device)
        loss = gradients_of(image, label, hooks.penalty)
        group.average(parameters.values())
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), schedule.gradient_clip)
        value = float(loss.detach())
        if not group.agree(not (math.isfinite(value) and bool(torch.isfinite(norm)))):
            optimizer.step()
            hooks.on_update(state.step - state.skipped + 1)
            state.skipped_in_a_row = 0
            losses.append(value)
        else:
            state.skipped += 1
            state.skipped_in_a_row += 1
        optimizer.zero_grad(set_to_none=True)
        state.step += 1
        now = time.perf_counter()
        state.elapsed_s = group.broadcast_max(state.elapsed_s + now - last)
        last = now
        if state.skipped_in_a_row:
            hooks.on_skip(state, batch["cases"])
        if state.skipped_in_a_row > SKIPS_ALLOWED:
            raise TrainingError(
                f"step {state.step}: loss or gradient not finite {state.skipped_in_a_row} times in a row, last on cases"
                f" {', '.join(batch['cases'])}; look at these scans, or lower the rate with hippopt_plan --set"
                " schedule.learning_rate.full=..."
            )
        hooks.on_step(state, value)
        if state.step % schedule.steps_per_epoch == 0 or budget.progress(state) >= 1:
            spent = max(state.elapsed_s - epoch_start, 1e-9)
            row = {
                "step": state.step,
                "elapsed_s": round(state.elapsed_s, 2),
                "learning_rate": rate,
                "train_loss": sum(losses) / len(losses) if losses else math.nan,
                "seconds_a_step": spent / max((state.step - 1) % schedule.steps_per_epoch + 1, 1),
                "wait_share": (state.waited_s - epoch_waited) / spent,
                "gradient_norm": float(norm),
                "skipped": state.skipped,
            }
            hooks.on_epoch(state, row)
            model.train()
            losses = []
            now = time.perf_counter()
            # validation counts: the budget is wall time
            state.elapsed_s = group.broadcast_max(state.elapsed_s + now - last)
            last, epoch_start, epoch_waited = now, state.elapsed_s, state.waited_s
    return True
