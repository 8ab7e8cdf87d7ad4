"""Train a locator on synthetic whole heads, in steps that can be interrupted and resumed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.synthesis import HeadSynthesis
from hippopt.batches.head_maps import HeadMaps
from hippopt.batches.synthetic_heads import HeadCanvas, head_batch
from hippopt.imaging.arrays import Values
from hippopt.networks.locator import build_locator
from hippopt.training.checkpoint import LoopState, load_resume, restore_optimizer, save_resume

WARMUP = 0.05  # share of the steps in which the learning rate rises
RESUME_EVERY = 200  # steps
CANVAS = (48, 56, 48)  # voxels of the image of a head: 192 x 224 x 192 mm at 4 mm
UNSEEN_SEED, UNSEEN_BATCHES = 2**31, 8  # of the fixed heads made from maps that are held out
NEAR_MM = 8.0  # a centre this near to the true one is found: a window around it holds the structure


@dataclass(frozen=True)
class HeadLocatorInputs:
    """What a training of a locator works on. unseen: maps that are not trained on."""

    trained: HeadMaps
    unseen: HeadMaps
    synthesis: HeadSynthesis
    plan: Plan
    seed: int
    autocast: bool = False  # compute in bfloat16

    @property
    def canvas(self) -> HeadCanvas:
        """Of every batch."""
        assert self.plan.locator is not None
        return HeadCanvas(CANVAS, self.plan.locator.spacing_mm)


@dataclass(frozen=True)
class HeadLocatorHooks:
    """stopping: tells of a signal; on_step: gets steps done and the loss; on_check: gets the state's newest row."""

    stopping: Callable[[], bool]
    on_step: Callable[[int, float], None]
    on_check: Callable[[dict[str, float]], None]


def locator_settings(inputs: HeadLocatorInputs) -> dict[str, Any]:
    """What must stay the same for a resumed training to be the same one."""
    settings = inputs.plan.locator
    assert settings is not None
    return {
        "seed": inputs.seed,
        "spacing_mm": settings.spacing_mm,
        "channels": list(settings.channels),
        "steps": settings.steps,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "synthesis": content_hash(inputs.synthesis),
        "maps": content_hash([[found.name, found.volumes_mm3] for found in inputs.trained.maps]),
    }


def train_head_locator(
    inputs: HeadLocatorInputs, kept: tuple[Path, Path], resume: bool, hooks: HeadLocatorHooks
) -> tuple[nn.Module, LoopState] | None:
    """(the locator, how it went), or None where `stopping` said so; the state is then kept.

    kept: the resume file and the one before it. A function of maps, synthesis, plan and seed. Raises TrainingError
    where there is nothing to resume from.
    """
    from monai.losses import DiceCELoss

    settings = inputs.plan.locator
    assert settings is not None
    model = build_locator(inputs.plan, inputs.seed).train()
    parameters = dict(model.named_parameters())
    names = list(parameters)
    optimizer = torch.optim.AdamW(parameters.values(), lr=settings.learning_rate)
    state = LoopState()
    if resume:
        tensors, state, _ = load_resume(*kept)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[name])
        restore_optimizer(optimizer, tensors, names, state.step)
    loss_of = DiceCELoss(include_background=False, softmax=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)
    losses: list[float] = []
    last = time.perf_counter()
    while state.step < settings.steps:
        if hooks.stopping():
            save_resume(*kept, parameters, optimizer, names, state)
            return None
        progress = state.step / settings.steps
        for group in optimizer.param_groups:
            group["lr"] = (
                settings.learning_rate * min(1.0, (progress + 1 / settings.steps) / WARMUP) * (1 - progress) ** 0.9
            )
        image, regions = head_batch(
            inputs.trained, inputs.synthesis, inputs.canvas, settings.batch_size, inputs.seed, state.step
        )
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=inputs.autocast):
            found = model(image)
        loss = loss_of(found.float(), regions)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        state.step += 1
        now = time.perf_counter()
        state.elapsed_s += now - last
        last = now
        hooks.on_step(state.step, losses[-1])
        if state.step % RESUME_EVERY == 0 or state.step == settings.steps:
            row = {"step": state.step, "elapsed_s": round(state.elapsed_s, 1), "train_loss": float(np.mean(losses))}
            state.rows.append(row | check_locator(model, inputs))
            losses = []
            save_resume(*kept, parameters, optimizer, names, state)
            hooks.on_check(state.rows[-1])
    return model.eval(), state


def check_locator(model: nn.Module, inputs: HeadLocatorInputs) -> dict[str, float]:
    """On heads of maps that are held out: share of the sides within NEAR_MM of the truth, and the median distance."""
    assert inputs.plan.locator is not None
    distances: list[float] = []
    model.eval()
    with torch.inference_mode():
        for index in range(UNSEEN_BATCHES):
            image, regions = head_batch(
                inputs.unseen, inputs.synthesis, inputs.canvas, inputs.plan.locator.batch_size, UNSEEN_SEED, index
            )
            found = torch.softmax(model(image), 1)
            for sample, truth in zip(found, regions, strict=True):
                distances += _distances(sample.numpy(), truth.numpy(), inputs.canvas.spacing_mm)
    model.train()
    known = np.array(distances)
    return {"found": float((known <= NEAR_MM).mean()), "median_mm": float(np.median(known))}


def _distances(found: Values, truth: Values, spacing_mm: float) -> Sequence[float]:
    """Of both sides' centres from the true ones, where those are in view; infinite where nothing is found."""
    distances = []
    for side in (1, 2):
        if truth[side].sum() < 5:
            continue
        inside = found[side] * (found.argmax(0) == side)
        if inside.sum() < 1:
            distances.append(np.inf)
            continue
        centres = [np.array(ndimage.center_of_mass(values)) for values in (inside, truth[side])]
        distances.append(float(np.linalg.norm(centres[0] - centres[1]) * spacing_mm))
    return distances
