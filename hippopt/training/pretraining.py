"""The records of one pre-training: what was asked for, and the data that it works on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.plan import NetworkSettings, ScheduleSettings
from hippopt.artifacts.weights import BaseCard

# Adam's 2e-3 as for `full` from random weights (docs/experiments.md); steps for the case that neither steps nor minutes
# are given
SYNTHETIC_SCHEDULE = ScheduleSettings(
    steps=20_000,
    steps_per_epoch=100,
    learning_rate={"full": 2e-3},
    warmup_steps=100,
    weight_decay=0.01,
    poly_exponent=0.9,
    gradient_clip=1.0,
)


@dataclass(frozen=True)
class PretrainRequest:
    """`steps` or `minutes` of training replace the schedule's number of steps. precision: of the stored weights."""

    name: str
    seed: int = 0
    steps: int | None = None
    minutes: float | None = None
    learning_rate: float | None = None
    resume: bool = False
    overwrite: bool = False
    precision: Literal["half", "float"] = "half"


@dataclass(frozen=True)
class PretrainInputs:
    """batches(first, step): opens the batches of indices first, first + step, ...; windows: fixed images (N, C, Z, Y,
    X) and labels (N, Z, Y, X) that are not trained on; start: weights to go on from; card: of the base to be, without
    its sha256.
    """

    card: BaseCard
    batches: Callable[[int, int], AbstractContextManager[Iterator[dict[str, Any]]]]
    batch_size: int
    windows: tuple[torch.Tensor, torch.Tensor]
    schedule: ScheduleSettings
    start: tuple[Mapping[str, torch.Tensor], BaseCard] | None
    device: torch.device
    autocast: bool

    @property
    def network(self) -> NetworkSettings:
        return self.card.network


def settings_of(request: PretrainRequest, inputs: PretrainInputs) -> dict[str, Any]:
    """What must stay the same for a resumed pre-training to be the same one."""
    card = inputs.card
    return {
        "seed": request.seed,
        "steps": request.steps or inputs.schedule.steps,
        "minutes": request.minutes,
        "learning_rate": peak_rate(request, inputs),
        "batch_size": inputs.batch_size,
        "network": content_hash(card.network),
        "patch_size": list(card.patch_size),
        "scans": content_hash([card.label_maps, card.seen_images, card.label_values]),
        "synthesis": content_hash(card.synthesis),
        "base": inputs.start[1].sha256 if inputs.start else None,
    }


def peak_rate(request: PretrainRequest, inputs: PretrainInputs) -> float:
    """The learning rate asked for, or the schedule's for `full`."""
    return request.learning_rate or inputs.schedule.learning_rate["full"]
