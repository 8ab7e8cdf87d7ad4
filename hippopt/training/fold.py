"""The records of one fold's training: what was asked for, and the data, plan and base that it works on."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.part_borders import PartBorders
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import AdapterCard, BaseCard
from hippopt.batches.patches import TrainingCase
from hippopt.networks.initial_factors import InitialFactors
from hippopt.networks.locator import ReadyLocator
from hippopt.training.request import TrainingRequest


@dataclass(frozen=True, kw_only=True)
class FoldRequest(TrainingRequest):
    """What to train: all that the user asked for, with what is decided for this fold.

    `steps` or `minutes` (whole wall time of the fold) replace the plan's number of steps.
    """

    run: str
    fold: str
    seed: int
    workers: int


def request_of_fold(asked: TrainingRequest, run: str, fold: str, seed: int, workers: int, resume: bool) -> FoldRequest:
    """Make the request of one fold of the run's: every other field is taken over as it is."""
    decided: dict[str, Any] = {"seed": seed, "workers": workers, "resume": resume}
    kept = {each.name: getattr(asked, each.name) for each in fields(TrainingRequest) if each.name not in decided}
    return FoldRequest(run=run, fold=fold, **kept, **decided)


@dataclass(frozen=True)
class EarlierAdapter:
    """A trained fold's adapter, which another run goes on from. path: of its tensors."""

    card: AdapterCard
    path: Path


@dataclass(frozen=True)
class Unlabelled:
    """Scans without labels, as cases whose labels are masks of a teacher's networks. seen: content hashes of the scans;
    key: of all that they were made of.
    """

    cases: tuple[TrainingCase, ...]
    seen: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class FoldInputs:
    """What the stage works on: cases of the fold on disk, the base's tensors with its card, or None, the run's
    initial factors where the method has such, what the training labels tell of where parts meet, the locator of a
    ready model, where it serves the fold, the adapter that training goes on from, where it does not begin anew, and
    scans without labels."""

    plan: Plan
    fingerprint: Fingerprint
    train: list[TrainingCase]
    val: list[TrainingCase]
    base: tuple[Mapping[str, torch.Tensor], BaseCard] | None
    device: torch.device
    autocast: bool
    initial: InitialFactors | None = None
    borders: PartBorders | None = None
    ready: ReadyLocator | None = None
    earlier: EarlierAdapter | None = None
    unlabelled: Unlabelled | None = None

    @property
    def shown(self) -> list[TrainingCase]:
        """The cases that patches are drawn from, each as often: with scans without labels, labelled ones are repeated
        until they are about half.
        """
        if self.unlabelled is None:
            return self.train
        repeats = max(1, round(len(self.unlabelled.cases) / len(self.train)))
        return [*self.train * repeats, *self.unlabelled.cases]

    @property
    def on_weights(self) -> bool:
        """Whether training starts from weights that were trained before, and not from random ones."""
        return self.base is not None or self.earlier is not None

    @property
    def planned_steps(self) -> int:
        """Steps of the fold where the user asks for no other number."""
        return self.plan.schedule.steps_from(self.on_weights)

    @property
    def seen_before(self) -> frozenset[str]:
        """Content hashes of the scans that the weights at the start were trained on."""
        of_base = (self.base[1].seen_images or ()) if self.base else ()
        return frozenset(of_base) | frozenset(self.earlier.card.seen_images if self.earlier else ())


def settings_of(request: FoldRequest, inputs: FoldInputs) -> dict[str, Any]:
    """What must stay the same for a resumed run to be the same run."""
    return {
        "plan_hash": content_hash(inputs.plan), "method": request.method, "seed": request.seed, "fold": request.fold,
        "steps": request.steps or inputs.planned_steps, "minutes": request.minutes,
        "base_sha256": inputs.base[1].sha256 if inputs.base else None,
        "earlier_sha256": inputs.earlier.card.sha256 if inputs.earlier else None,
        **({"unlabelled": inputs.unlabelled.key} if inputs.unlabelled else {}),
    }  # fmt: skip


def fold_cases(plan: Plan, fingerprint: Fingerprint, fold: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(train, val) case ids of a fold's name."""
    if not fold.isdigit():  # full-data, full-data-2, ...
        return tuple(case.id for case in fingerprint.cases), ()
    return plan.folds[int(fold)].train, plan.folds[int(fold)].val
