"""Whether the files of a model belong together: plan, base, initial factors and the adapters of its folds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from hippopt.artifacts.methods import METHODS
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import AdapterCard, BaseCard
from hippopt.errors import WeightsError
from hippopt.networks.initial_factors import InitialFactors
from hippopt.networks.restoring import check_adapter, rebuild
from hippopt.networks.tuning import Tuned


@dataclass(frozen=True)
class AdapterParts:
    """One adapter file as read. `source`: named in errors."""

    source: Path
    card: AdapterCard
    tensors: Mapping[str, torch.Tensor]


def check_model(
    plan: Plan,
    base: tuple[Mapping[str, torch.Tensor], BaseCard] | None,
    initial: InitialFactors | None,
    adapters: Iterable[AdapterParts],
) -> None:
    """Restore the first adapter, and see that the others fit its network and have its base, method and initial factors.

    Raises StaleArtifactError for another plan, WeightsError for whatever else does not fit.
    """
    first: AdapterCard | None = None
    tuned: Tuned | None = None
    for parts in adapters:
        card = parts.card
        if (card.initial_sha256 is not None) != METHODS[card.method].decomposes:
            raise WeightsError(
                f"{parts.source}: its card names no initial factors that fit method {card.method}; train the fold anew"
            )
        if card.initial_sha256 is not None and (initial is None or initial.sha256 != card.initial_sha256):
            raise WeightsError(
                f"{parts.source}: was trained from other initial factors than those beside it; copy the originals back"
            )
        if first is None or tuned is None:
            first, tuned = card, rebuild(card, parts.tensors, initial, base, plan, parts.source)
            continue
        check_adapter(card, parts.tensors, plan, parts.source)
        for key in (
            "method",
            "base_sha256",
            "initial_sha256",
            "network",
            "rank",
            "core",
            "balance",
            "stacks",
            "remade",
        ):
            if getattr(card, key) != getattr(first, key):
                raise WeightsError(
                    f"{parts.source}: its {key} is not that of fold {first.fold}; one model needs one {key}: train it"
                    " anew"
                )
        try:
            tuned.load(parts.tensors)
        except WeightsError as error:
            raise WeightsError(f"{parts.source}: {error}") from None
