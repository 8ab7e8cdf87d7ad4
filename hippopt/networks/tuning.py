"""What trains under each method, and the tensors that an adapter file holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.plan import CONVOLUTIONS, TRANSFORMER_STACKS, AdapterSettings, NetworkSettings
from hippopt.artifacts.trained_words import trained_parts
from hippopt.errors import UsageError, WeightsError
from hippopt.lorapt import RankError, Stack, StackError
from hippopt.networks.adapters.protocol import Adapter, maker_of
from hippopt.networks.stacks import slot_names
from hippopt.networks.unetr import PARTS, UNUSED, also_trained

TRAINED, REST, OWN = "trained.", "rest.", "allocation."


@dataclass
class Tuned:
    """A model set up for a method. `rest`: the model's own parameters that train, by name; `kept`: those that were
    re-made and do not train; `adaptation`: the method's factors, if it has any; `stacks`: the slots of the weights that
    have them, for the card; `begun_with`: what the adapter file would have held before the first step, where a share of
    it is kept.
    """

    model: nn.Module
    method: Method
    rest: dict[str, nn.Parameter]
    kept: dict[str, nn.Parameter]
    remade: tuple[str, ...]
    adaptation: Adapter
    stacks: dict[str, tuple[str, ...]]
    begun_with: dict[str, torch.Tensor] | None = None

    def trainable(self) -> dict[str, nn.Parameter]:
        """All trainable parameters by the names they have in the adapter file."""
        named = {REST + name: parameter for name, parameter in self.rest.items()}
        return named | {TRAINED + name: parameter for name, parameter in self.adaptation.factors.items()}

    def stored(self) -> dict[str, nn.Parameter]:
        """What an adapter file holds: all that trains, and what the base does not have."""
        return self.trainable() | {REST + name: parameter for name, parameter in self.kept.items()}

    def adapter_tensors(self) -> dict[str, torch.Tensor]:
        """What, with the run's initial factors, restores the function
        on the base: trained factors and the trained rest.
        """
        return {name: parameter.detach().cpu().clone().contiguous() for name, parameter in self.stored().items()}

    def resume_tensors(self) -> dict[str, torch.Tensor]:
        """The same, and what else the method's further steps depend on."""
        return self.adapter_tensors() | {OWN + name: value for name, value in self.adaptation.resume_state().items()}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copy values of `resume_tensors` or `adapter_tensors` in, in place.

        Raises WeightsError when a name or a shape does not fit.
        """
        own = {name.removeprefix(OWN): value for name, value in tensors.items() if name.startswith(OWN)}
        tensors, parameters = (
            {name: value for name, value in tensors.items() if not name.startswith(OWN)},
            self.stored(),
        )
        wrong = sorted(set(tensors) ^ set(parameters)) or [
            n for n, p in parameters.items() if p.shape != tensors[n].shape
        ]
        if not wrong:
            try:
                self.adaptation.load_resume_state(own)
            except KeyError:
                wrong = sorted(OWN + name for name in own)
        if wrong:
            raise WeightsError(
                f"adapter: {wrong[0]} does not fit this network ({len(wrong)} names in all); train anew or use its own"
                " plan"
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[name])

    def penalty(self) -> torch.Tensor | None:
        """What a method adds to the loss."""
        return self.adaptation.penalty()

    def after_update(self, updates: int, total: int) -> None:
        """What a method does after the `updates`-th of `total` updates of its weights, while their
        gradients are there.
        """
        self.adaptation.after_update(updates, total)

    def rated(self, settings: AdapterSettings) -> list[tuple[float, list[str]]]:
        """Names of `trainable`, in groups of one learning rate, each in the method's: the adapter's own for factors,
        and 1 for all else.

        Factors stand apart from the rest: weight decay would pull R + P towards R, away from the base, so they have
        none.
        """
        rest = (1.0, [REST + name for name in self.rest])
        factors = [(rate, [TRAINED + name for name in names]) for rate, names in self.adaptation.rated(settings)]
        return [group for group in (rest, *factors) if group[1]]

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
    """Set up `model` (base weights already loaded) for a method, in place. What trains stands in METHODS.

    Weights with low-rank factors stay frozen, whatever else trains. `initial`: the run's initial factors, in place of
    an SVD; `stored`: tensors of an adapter file or a resume file to restore, for lora-pt and pissa with the `initial`
    that they were trained from. Raises WeightsError when the rank exceeds the weights' smaller side, or tensors do not
    fit; UsageError where a library is missing, or the method has no factors
    for the convolutions that the plan names.
    """
    traits = METHODS[method]
    if traits.decomposes and stored is not None and initial is None:
        raise WeightsError("adapter: its initial factors are missing; a second SVD would not give the same ones")
    if traits.adapter is not None and not traits.kernels and CONVOLUTIONS in settings.stacks:
        able = " or ".join(name for name, other in METHODS.items() if other.kernels)
        raise UsageError(
            f"method {method}: adapter.stacks names convolutions, for whose kernels it has no factors; take --method"
            f" {able}, or a plan whose stacks are {', '.join(TRANSFORMER_STACKS)}"
        )
    maker = maker_of(method)
    stacks = maker.weights(method, model, network, settings)
    factored = {slot.parameter for stack in stacks for slot in stack.slots}
    own = {
        name: parameter for name, parameter in model.named_parameters() if UNUSED not in name and name not in factored
    }
    chosen = set(also_trained(list(own), trained_parts(method, settings)))
    anew = tuple(name for name in own if name in set(remade) and name not in chosen)
    if traits.trains_remade:
        chosen |= set(anew)
    rest = {name: parameter for name, parameter in own.items() if name in chosen}
    kept = {name: own[name] for name in anew if name not in chosen}
    adaptation = _adapt(maker, model, method, stacks, settings, initial)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    tuned = Tuned(model, method, rest, kept, anew, adaptation, {stack.name: slot_names(stack) for stack in stacks})
    for parameter in tuned.trainable().values():
        parameter.requires_grad_(True)
    if stored is not None:
        tuned.load(stored)
    return tuned


def _adapt(
    maker: type[Adapter],
    model: nn.Module,
    method: Method,
    stacks: Sequence[Stack],
    settings: AdapterSettings,
    initial: Mapping[str, torch.Tensor] | None,
) -> Adapter:
    try:
        return maker(model, method, stacks, settings, initial)
    except RankError as error:
        raise WeightsError(f"--rank {settings.rank}: {error}; choose a smaller --rank") from None
    except (StackError, KeyError) as error:
        raise WeightsError(f"adapter: its factors do not fit this network ({error}); train the fold anew") from None
