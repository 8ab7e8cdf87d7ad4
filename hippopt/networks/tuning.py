"""What trains under each method, and the tensors that an adapter file holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from hippopt.artifacts.plan import AdapterSettings, NetworkSettings
from hippopt.artifacts.weights import Method
from hippopt.errors import WeightsError
from hippopt.lorapt import Adaptation, RankError, StackError, adapt
from hippopt.networks.stacks import slot_names, stack_ranks, unetr_stacks
from hippopt.networks.unetr import PARTS, UNUSED, also_trained

TRAINED, REST = "trained.", "rest."


@dataclass
class Tuned:
    """A model set up for a method. `rest`: names of the model's own parameters that train; `adaptation`: for lora-pt."""

    model: nn.Module
    method: Method
    rest: tuple[str, ...]
    adaptation: Adaptation | None
    stacks: dict[str, tuple[str, ...]]

    def trainable(self) -> dict[str, nn.Parameter]:
        """All trainable parameters by the names they have in the adapter file."""
        own = dict(self.model.named_parameters())
        named = {REST + name: own[name] for name in self.rest}
        if self.adaptation is not None:
            named |= {TRAINED + name: parameter for name, parameter in self.adaptation.factors.items()}
        return named

    def adapter_tensors(self) -> dict[str, torch.Tensor]:
        """What, with the run's initial factors, restores the function on the base: trained factors and the trained rest."""
        return {name: parameter.detach().cpu().clone().contiguous() for name, parameter in self.trainable().items()}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copy trained values into the parameters, in place. Raises WeightsError when a name or a shape does not fit."""
        parameters = self.trainable()
        wrong = sorted(set(tensors) ^ set(parameters)) or [n for n, p in parameters.items() if p.shape != tensors[n].shape]
        if wrong:
            raise WeightsError(f"adapter: {wrong[0]} does not fit this network ({len(wrong)} names in all); train anew or use its own plan")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[name])

    def rated(self, s_rate: float) -> list[tuple[float, list[str]]]:
        """Names of `trainable`, in groups of one learning rate, each in the method's rate: `s_rate` for S, 1 for the rest.

        Factors stand apart from the rest: weight decay would pull R + P towards R, away from the base, so they have none.
        """
        names = list(self.trainable())
        factors = [name for name in names if is_factor(name)]
        own = [name for name in factors if s_rate != 1 and name.endswith(".s")]
        groups = (
            (1.0, [name for name in names if name not in factors]),
            (1.0, [name for name in factors if name not in own]),
            (s_rate, own),
        )
        return [group for group in groups if group[1]]

    def counts(self) -> dict[str, int]:
        """Trained parameters: factors, decoder, head and others apart."""
        groups: dict[str, int] = {}
        for name, parameter in self.trainable().items():
            group = "factors" if name.startswith(TRAINED) else _group(name.removeprefix(REST))
            groups[group] = groups.get(group, 0) + parameter.numel()
        return groups


def is_factor(name: str) -> bool:
    """Whether a name of `Tuned.trainable` is a factor's."""
    return name.startswith(TRAINED)


def _group(name: str) -> str:
    part = next((part for part in PARTS if also_trained([name], [part])), "transformer")
    return "convolutional encoders" if part == "encoders" else part


def tune(
    model: nn.Module,
    method: Method,
    network: NetworkSettings,
    settings: AdapterSettings,
    remade: Sequence[str],
    initial: Mapping[str, torch.Tensor] | None = None,
    stored: Mapping[str, torch.Tensor] | None = None,
) -> Tuned:
    """Set up `model` (base weights already loaded) for a method, in place.

    lora-pt: principal factors of the stacks, `settings.also_trained` and whatever was re-made. decoder: the same without
    factors. full: everything. `initial`: the run's initial factors, in place of an SVD; `stored`: tensors of an adapter file or
    a resume file to restore, for lora-pt with the `initial` that they were trained from.
    Raises WeightsError when the rank exceeds the stacked weights' smaller side, or tensors do not fit.
    """
    names = [name for name, _ in model.named_parameters() if UNUSED not in name]
    chosen = {*also_trained(names, settings.also_trained), *remade}
    rest = tuple(name for name in names if method == "full" or name in chosen)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in set(rest))
    adaptation, listed = None, {}
    if method == "lora-pt":
        if stored is not None and initial is None:
            raise WeightsError("adapter: its initial factors are missing; a second SVD would not give the same ones")
        stacks = unetr_stacks(network.hidden_size, network.mlp_dim, settings.stacks, settings.attention)
        listed = {stack.name: slot_names(stack) for stack in stacks}
        stacked = {slot.parameter for stack in stacks for slot in stack.slots}  # frozen, whatever else trains
        rest = tuple(name for name in rest if name not in stacked)
        try:
            ranks = stack_ranks(settings.rank, stacks)
            adaptation = adapt(model, stacks, ranks, core=settings.core, balance=settings.balance, initial=initial)
        except RankError as error:
            raise WeightsError(f"--rank {settings.rank}: {error}; choose a smaller --rank") from None
        except (StackError, KeyError) as error:
            raise WeightsError(f"adapter: its factors do not fit this network ({error}); train the fold anew") from None
    tuned = Tuned(model, method, rest, adaptation, listed)
    if stored is not None:
        tuned.load(stored)
    return tuned
