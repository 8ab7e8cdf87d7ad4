"""LoRA-PT on a UNETR: principal tensor factors of stacks of
transformer weights, of kernels of convolutions, or of both.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from hippopt.artifacts.methods import Method
from hippopt.artifacts.plan import AdapterSettings, NetworkSettings
from hippopt.lorapt import Stack, adapt
from hippopt.networks.adapters.protocol import Adapter, RatedNames
from hippopt.networks.stacks import kernel_stacks, stack_ranks, unetr_stacks


class Maker(Adapter):
    """`hippopt.lorapt` on the plan's stacks."""

    def __init__(
        self,
        model: nn.Module,
        method: Method,
        stacks: Sequence[Stack],
        settings: AdapterSettings,
        initial: Mapping[str, torch.Tensor] | None,
    ) -> None:
        super().__init__(model, method, stacks, settings, initial)
        ranks = stack_ranks(settings.rank, stacks)
        self._adaptation = adapt(model, stacks, ranks, core=settings.core, balance=settings.balance, initial=initial)

    @classmethod
    def weights(
        cls, method: Method, model: nn.Module, network: NetworkSettings, settings: AdapterSettings
    ) -> list[Stack]:
        """The stacks of the transformer that the plan names, and a stack for each kernel that does not train whole."""
        return unetr_stacks(network.hidden_size, network.mlp_dim, settings.stacks, settings.attention) + kernel_stacks(
            model, settings
        )

    @property
    def factors(self) -> dict[str, nn.Parameter]:
        """`STACK.u`, `STACK.s`, `STACK.v`."""
        return self._adaptation.factors

    def initial_state(self) -> dict[str, torch.Tensor]:
        """The principal part of the base, by the names of `factors`."""
        return self._adaptation.initial_state()

    def merge(self) -> nn.Module:
        """Plain linear layers and convolutions."""
        return self._adaptation.merge()

    def rated(self, settings: AdapterSettings) -> RatedNames:
        """U and V at the plan's `factor_rate`, S at `s_rate` times that."""
        cores = [name for name in self.factors if settings.s_rate != 1 and name.endswith(".s")]
        others = [name for name in self.factors if name not in cores]
        return [(settings.factor_rate, others), (settings.factor_rate * settings.s_rate, cores)]
