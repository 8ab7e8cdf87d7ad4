"""Adapt a model: split the weights of its stacks into a frozen residual and trainable principal factors, and merge them back."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hippopt.lorapt.factors import NAMES, Core, Factors, check_rank, initial_factors
from hippopt.lorapt.layer import Part, Path, StackedLinear
from hippopt.lorapt.stack import Slot, Stack, StackError, check_apart, owner, views
from hippopt.lorapt.tensor_svd import t_svd

ROWS = 256  # of every slice of a stack, computed at a time where P is added to weights
MODULE = "lorapt"  # the name under which the factors hang on the adapted model


class _Holder(nn.ModuleDict):
    """Holds the factors on the model. Passes its input on, since a Sequential calls every module that it holds."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Adaptation:
    """An adapted model. `factors`: the trainable parameters by name, `<stack>.u`, `<stack>.s`, `<stack>.v`."""

    def __init__(self, model: nn.Module, stacks: Sequence[Stack], initial: Mapping[str, Tensor], path: Path) -> None:
        self.model = model
        self.stacks = tuple(stacks)
        self._initial = {name: value.detach().cpu().clone() for name, value in initial.items()}
        self._modules = _Holder({stack.name: Factors({name: initial[f"{stack.name}.{name}"] for name in NAMES}) for stack in self.stacks})
        self._layers: dict[str, tuple[nn.Linear, StackedLinear]] = {}
        self._residuals: dict[str, Tensor] | None = None
        self._handles: list[Any] = []
        self._check_free()  # before anything of the model changes
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

    def state(self) -> dict[str, Tensor]:
        """The factors as they are now, copied, by the names of `factors`."""
        return {name: value.detach().cpu().clone() for name, value in self.factors.items()}

    def change(self) -> dict[str, tuple[Tensor, ...]]:
        """What training has added, P' - P of every slice, by stack: K matrices (m, n). Also while merged."""
        changes = {}
        with torch.no_grad():
            for stack in self.stacks:
                factors = self._factors(stack)
                first = Factors({name: self._initial[f"{stack.name}.{name}"].to(factors.u.device) for name in NAMES})
                changes[stack.name] = (factors.principal() - first.principal()).unbind(0)
        return changes

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
        residuals = {path: layer.weight.data for path, (_, layer) in self._layers.items()}
        merged = {path: weight.clone() for path, weight in residuals.items()}
        self._add_principal(merged, 1)
        for path, (linear, layer) in self._layers.items():
            layer.forget()
            linear.weight.data = merged[path]
            _replace(self.model, path, linear)
        self._residuals = residuals
        self._detach()
        return self.model

    def unmerge(self) -> nn.Module:
        """Undo `merge`: the residual comes back bit by bit, and the factors train on."""
        if self._residuals is None:
            return self.model
        self._check_free()
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
        for stack in self.stacks:
            factors = self._factors(stack)
            for index, slot in enumerate(stack.slots):
                factors.to(owner(self.model, stack, slot).weight.device)
                parts.setdefault(_module_of(slot), []).append(Part(factors, index, slot.start, slot.stop))
        self._add_principal({name: self.model.get_submodule(name).weight.data for name in parts}, -1)
        for name, found in parts.items():
            linear = self.model.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            linear.weight.requires_grad_(False)
            layer = StackedLinear(linear, found, path)
            self._layers[name] = (linear, layer)
            _replace(self.model, name, layer)

    def _add_principal(self, weights: Mapping[str, Tensor], sign: int) -> None:
        """Add P, or take it away, in place, from the weights by the path of their layer; some rows of a stack at a time."""
        with torch.no_grad():
            for stack in self.stacks:
                factors = self._factors(stack)
                for start in range(0, factors.u.shape[1], ROWS):
                    rows = factors.principal(start, start + ROWS)
                    for slot, part in zip(stack.slots, rows, strict=True):
                        weight = weights[_module_of(slot)]
                        weight[slot.start + start : slot.start + start + len(part)].add_(part.to(weight), alpha=sign)

    def _factors(self, stack: Stack) -> Factors:
        factors = self._modules[stack.name]
        assert isinstance(factors, Factors)
        return factors

    def _check_free(self) -> None:
        if hasattr(self.model, MODULE):
            raise StackError(f"the model has a module named {MODULE} already; merge an earlier adaptation first")

    def _attach(self) -> None:
        self.model.add_module(MODULE, self._modules)
        modules = [self._factors(stack) for stack in self.stacks]

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
    check_apart(stacks)
    parameters = dict(model.named_parameters())
    values: dict[str, Tensor] = {}
    for stack in stacks:
        weights = views(parameters, stack)
        m, n = weights[0].shape
        wanted = rank if isinstance(rank, int) else rank[stack.name]
        check_rank(wanted, m, n, stack.name)
        if initial is None:
            found = initial_factors(t_svd(weights, wanted), core, balance)
        else:
            found = {name: initial[f"{stack.name}.{name}"] for name in NAMES}
            _check_shapes(stack, (len(weights), m, n), found)
        values |= {f"{stack.name}.{name}": value for name, value in found.items()}
    adaptation = Adaptation(model, stacks, values, path)
    if trained is not None:
        adaptation.load(trained)
    return adaptation


def _check_shapes(stack: Stack, shape: tuple[int, int, int], found: Mapping[str, Tensor]) -> None:
    count, m, n = shape
    rank = found["u"].shape[-1]
    if found["u"].shape != (count, m, rank) or found["v"].shape != (count, n, rank):
        raise StackError(
            f"stack {stack.name}: factors {tuple(found['u'].shape)}, {tuple(found['v'].shape)} do not fit {count} slices of {m} x {n}"
        )


def _module_of(slot: Slot) -> str:
    return slot.parameter.rpartition(".")[0]


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
