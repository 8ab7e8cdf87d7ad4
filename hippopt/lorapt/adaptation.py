"""Adapt a model: split the weights of its stacks into a frozen residual and trainable principal factors, and merge them back."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hippopt.lorapt.factors import NAMES, Core, Factors, check_rank, initial_factors
from hippopt.lorapt.layer import Part, Path, StackedLinear
from hippopt.lorapt.stack import Stack, StackError, gather, owner
from hippopt.lorapt.tensor_svd import t_svd

MODULE = "lorapt"  # the name under which the factors hang on the adapted model


class Adaptation:
    """An adapted model. `factors`: the trainable parameters by name, `<stack>.u`, `<stack>.s`, `<stack>.v`."""

    def __init__(self, model: nn.Module, stacks: Sequence[Stack], initial: Mapping[str, Tensor], path: Path) -> None:
        self.model = model
        self.stacks = tuple(stacks)
        self._initial = {name: value.detach().cpu().clone() for name, value in initial.items()}
        self._modules = nn.ModuleDict(
            {stack.name: Factors({name: initial[f"{stack.name}.{name}"] for name in NAMES}) for stack in self.stacks}
        )
        self._layers: dict[str, tuple[nn.Linear, StackedLinear]] = {}
        self._residuals: dict[str, Tensor] | None = None
        self._handles: list[Any] = []
        self._split(path)
        self._attach()

    @property
    def factors(self) -> dict[str, nn.Parameter]:
        """Trainable parameters: `<stack>.u` (K, m, r), `<stack>.s` (K, r) or (K, r, r), `<stack>.v` (K, n, r)."""
        return dict(self._modules.named_parameters())

    @property
    def merged(self) -> bool:
        """Whether the model holds plain weights at the moment."""
        return self._residuals is not None

    def initial_state(self) -> dict[str, Tensor]:
        """The factors before training: with them and the base, the residual is restored without a second SVD."""
        return dict(self._initial)

    def load(self, trained: Mapping[str, Tensor]) -> None:
        """Copy trained factors in, by the names of `factors`. Raises KeyError or RuntimeError where names or shapes differ."""
        self._modules.load_state_dict(dict(trained))

    def set_path(self, path: Path) -> None:
        """Force a path on every layer, or leave it to the cost rule ("auto")."""
        for _, layer in self._layers.values():
            layer.path = path

    def merge(self) -> nn.Module:
        """Put R + P into plain linear layers; the model has its first keys and shapes again. Does nothing when merged already."""
        if self._residuals is not None:
            return self.model
        residuals = {}
        with torch.no_grad():
            for factors in self._modules.values():
                factors.begin()  # type: ignore[operator]
            for path, (linear, layer) in self._layers.items():
                residuals[path] = layer.weight.data
                linear.weight.data = layer.effective_weight()
                _replace(self.model, path, linear)
            for factors in self._modules.values():
                factors.end()  # type: ignore[operator]
        self._residuals = residuals
        self._detach()
        return self.model

    def unmerge(self) -> nn.Module:
        """Undo `merge`: the residual comes back bit by bit, and the factors train on."""
        if self._residuals is None:
            return self.model
        for path, (linear, layer) in self._layers.items():
            linear.weight.data = self._residuals[path]
            layer.weight = linear.weight
            _replace(self.model, path, layer)
        self._residuals = None
        self._attach()
        return self.model

    def _split(self, path: Path) -> None:
        """Write R = W - P into the weights and put the adapted layers in place."""
        parts: dict[str, list[Part]] = {}
        with torch.no_grad():
            for stack in self.stacks:
                factors = self._modules[stack.name]
                assert isinstance(factors, Factors)
                principal = factors.principal()
                for index, slot in enumerate(stack.slots):
                    linear = owner(self.model, stack, slot)
                    factors.to(linear.weight.device)
                    linear.weight[slot.start : slot.stop] -= principal[index].to(linear.weight)
                    parts.setdefault(slot.parameter.rpartition(".")[0], []).append(Part(factors, index, slot.start, slot.stop))
        for name, found in parts.items():
            linear = self.model.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            linear.weight.requires_grad_(False)
            layer = StackedLinear(linear, found, path)
            self._layers[name] = (linear, layer)
            _replace(self.model, name, layer)

    def _attach(self) -> None:
        if hasattr(self.model, MODULE):
            raise StackError(f"the model has a module named {MODULE} already; merge an earlier adaptation first")
        self.model.add_module(MODULE, self._modules)
        modules = [factors for factors in self._modules.values() if isinstance(factors, Factors)]

        def begin(*_: Any) -> None:
            for factors in modules:
                factors.begin()

        def end(*_: Any) -> None:
            for factors in modules:
                factors.end()

        self._handles = [
            self.model.register_forward_pre_hook(begin),
            self.model.register_forward_hook(end, always_call=True),
        ]

    def _detach(self) -> None:
        for handle in self._handles:
            handle.remove()
        delattr(self.model, MODULE)


def adapt(
    model: nn.Module,
    stacks: Sequence[Stack],
    rank: int | Mapping[str, int],
    core: Core = "diagonal",
    balance: bool = True,
    initial: Mapping[str, Tensor] | None = None,
    trained: Mapping[str, Tensor] | None = None,
    path: Path = "auto",
) -> Adaptation:
    """Adapt `model` in place: its function stays the same to rounding until the factors move.

    rank: one tubal rank, or one a stack by its name. initial: factors of an earlier adaptation of the same weights, in place
    of an SVD; trained: the values to go on from. The stacked weights stop requiring gradients; what else trains is the caller's
    choice. Raises RankError, StackError.
    """
    parameters = dict(model.named_parameters())
    values: dict[str, Tensor] = {}
    for stack in stacks:
        weights = gather(parameters, stack)
        wanted = rank if isinstance(rank, int) else rank[stack.name]
        check_rank(wanted, weights.shape[1], weights.shape[2], stack.name)
        if initial is None:
            found = initial_factors(t_svd(weights, wanted), core, balance)
        else:
            found = {name: initial[f"{stack.name}.{name}"] for name in NAMES}
            _check_shapes(stack, weights, found)
        values |= {f"{stack.name}.{name}": value for name, value in found.items()}
    adaptation = Adaptation(model, stacks, values, path)
    if trained is not None:
        adaptation.load(trained)
    return adaptation


def _check_shapes(stack: Stack, weights: Tensor, found: Mapping[str, Tensor]) -> None:
    count, m, n = weights.shape
    rank = found["u"].shape[-1]
    if found["u"].shape != (count, m, rank) or found["v"].shape != (count, n, rank):
        raise StackError(
            f"stack {stack.name}: factors {tuple(found['u'].shape)}, {tuple(found['v'].shape)} do not fit {count} slices of {m} x {n}"
        )


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
