"""Train the locator of a fold: a minute or two, from random weights, on coarse images of the fold's training cases."""

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import nn

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.regions import LEFT, RIGHT, region_classes
from hippopt.batches.locator_batches import CoarseCase, LocatorAugmentation, canvas_of, locator_batch
from hippopt.batches.patches import TrainingCase
from hippopt.imaging.scan_source import coarse_shape, coarsen
from hippopt.networks.locator import build_locator, multiple_of, pad_value

WARMUP = 0.1  # share of the steps in which the learning rate rises


def coarse_case(case: TrainingCase, plan: Plan) -> CoarseCase:
    """A preprocessed case as the locator sees it."""
    assert plan.locator is not None
    label = np.asarray(case.label)
    shape = coarse_shape(
        (label.shape[0], label.shape[1], label.shape[2]), plan.target_spacing_mm, plan.locator.spacing_mm
    )
    image = coarsen(case.image, shape)
    shares = np.stack([coarsen(np.isin(label, classes), shape) for classes in region_classes(plan).values()])
    regions = np.concatenate([1 - shares.sum(0, keepdims=True), shares])
    return CoarseCase(
        torch.from_numpy(image), torch.from_numpy(regions), torch.from_numpy(pad_value(image, plan)[:, 0, 0, 0])
    )


def swapped_regions(plan: Plan) -> tuple[int, ...] | None:
    """Order of the locator's classes after a flip along x; None where a side has no twin."""
    names = ["background", *region_classes(plan)]
    if (LEFT in names) != (RIGHT in names):
        return None
    other = {LEFT: RIGHT, RIGHT: LEFT}
    return tuple(names.index(other.get(name, name)) for name in names)


def train_locator(
    cases: Sequence[TrainingCase],
    plan: Plan,
    seed: int,
    track: Callable[[range], Iterable[int]],
    stopping: Callable[[], bool],
) -> tuple[nn.Module, float] | None:
    """(the locator, the seconds that it took), or None where `stopping` said so. A function of cases, plan and seed.

    track: shows progress over the steps. The loss is Dice + cross-entropy against the voxels that a region fills.
    """
    from monai.losses import DiceCELoss

    settings = plan.locator
    assert settings is not None
    began = time.perf_counter()
    coarse = [coarse_case(case, plan) for case in cases]
    unit = multiple_of(plan)
    augmentation = LocatorAugmentation(
        canvas_of(coarse, unit), swapped_regions(plan), plan.normalisation.region == "nonzero"
    )
    model = build_locator(plan, seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    loss_of = DiceCELoss(include_background=False, softmax=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)
    for step in track(range(settings.steps)):
        if stopping():
            return None
        progress = step / settings.steps
        for group in optimizer.param_groups:
            group["lr"] = (
                settings.learning_rate * min(1.0, (progress + 1 / settings.steps) / WARMUP) * (1 - progress) ** 0.9
            )
        image, regions = locator_batch(coarse, augmentation, settings.batch_size, seed, step)
        loss = loss_of(model(image), regions)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model.eval(), time.perf_counter() - began
