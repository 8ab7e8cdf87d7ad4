"""What a way to fine-tune has to say of its factors: what they
are, what they start from, and what happens to them in training.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module

import torch
from torch import nn

from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.plan import AdapterSettings, NetworkSettings
from hippopt.lorapt import Stack

RatedNames = list[tuple[float, list[str]]]


class Adapter:
    """Factors that stand in a model in place of some of its weights.

    This one has none: for ways to fine-tune without.
    """

    def __init__(
        self,
        model: nn.Module,
        method: Method,
        stacks: Sequence[Stack],
        settings: AdapterSettings,
        initial: Mapping[str, torch.Tensor] | None,
    ) -> None:
        """Put factors in place of the weights of `stacks`, in place.

        Args:
            model: with the base's weights.
            method: the way to fine-tune.
            stacks: what `weights` gave.
            settings: the plan's.
            initial: what `initial_state` gave in an earlier process, in place of a decomposition.

        Raises:
            RankError: the rank exceeds the smaller side of a weight.
            StackError: initial factors do not fit.
            UsageError: a library is missing.
        """
        self.model = model

    @classmethod
    def weights(
        cls, method: Method, model: nn.Module, network: NetworkSettings, settings: AdapterSettings
    ) -> list[Stack]:
        """The weights that get factors; `model`: only its shapes are looked at. They train in no other way."""
        return []

    @property
    def factors(self) -> dict[str, nn.Parameter]:
        """Trainable parameters by name."""
        return {}

    def initial_state(self) -> dict[str, torch.Tensor]:
        """The factors before training, for a method that decomposes the base: with them the residual is restored."""
        return {}

    def resume_state(self) -> dict[str, torch.Tensor]:
        """What else the further steps of a stopped training depend on, for its resume file."""
        return {}

    def load_resume_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `resume_state` gave. Raises KeyError for a name that is not this adapter's."""
        for name in tensors:
            raise KeyError(name)

    def merge(self) -> nn.Module:
        """The model with plain weights again, trained factors within. Does nothing when merged already."""
        return self.model

    def penalty(self) -> torch.Tensor | None:
        """What is added to the loss."""
        return None

    def after_update(self, updates: int, total: int) -> None:
        """What follows the `updates`-th of `total` updates of the weights, while their gradients are there."""

    def rated(self, settings: AdapterSettings) -> RatedNames:
        """The names of the factors in groups of one learning rate, each in the method's."""
        return [(1.0, list(self.factors))]


def maker_of(method: Method) -> type[Adapter]:
    """The class that makes a method's factors."""
    name = METHODS[method].adapter
    if name is None:
        return Adapter
    maker: type[Adapter] = import_module(f"hippopt.networks.adapters.{name}").Maker
    return maker
