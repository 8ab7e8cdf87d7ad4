"""Adapt a model: split the weights of its stacks into a frozen
residual and trainable principal factors, and merge them back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hippopt.lorapt.factors import NAMES, Core, Factors, check_rank, initial_factors
from hippopt.lorapt.kernel import StackedConvolution
from hippopt.lorapt.layer import Part, Path, StackedLinear
from hippopt.lorapt.stack import Position, Slot, Stack, StackError, check_apart, owner, views
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
        self._modules = _Holder({stack.name: _factors_of(stack, initial) for stack in self.stacks})
        self._layers: dict[str, tuple[nn.Linear | _ConvNd, StackedLinear | StackedConvolution]] = {}
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
                first = _factors_of(stack, self._initial).to(factors.u.device)
                changes[stack.name] = (factors.principal() - first.principal()).unbind(0)
        return changes

    def load(self, trained: Mapping[str, Tensor]) -> None:
        """Copy trained factors in, by the names of `factors`.

        Raises KeyError or RuntimeError where names or shapes differ.
        """
        self._modules.load_state_dict(dict(trained))

    def set_path(self, path: Path) -> None:
        """Force a path on every linear layer, or leave it to the cost rule ("auto"). Kernels are always built."""
        for _, layer in self._layers.values():
            if isinstance(layer, StackedLinear):
                layer.path = path

    def merge(self) -> nn.Module:
        """Put R + P into plain linear layers and convolutions; the model has its first keys and shapes again.

        Does nothing when merged already.
        """
        if self._residuals is not None:
            return self.model
        residuals = {path: layer.weight.data for path, (_, layer) in self._layers.items()}
        merged = {path: weight.clone() for path, weight in residuals.items()}
        self._add_principal(merged, 1)
        for path, (plain, layer) in self._layers.items():
            layer.forget()
            plain.weight.data = merged[path]
            _replace(self.model, path, plain)
        self._residuals = residuals
        self._detach()
        return self.model

    def unmerge(self) -> nn.Module:
        """Undo `merge`: the residual comes back bit by bit, and the factors train on."""
        if self._residuals is None:
            return self.model
        self._check_free()
        for path, (plain, layer) in self._layers.items():
            plain.weight.data = self._residuals[path]
            layer.weight = plain.weight
            _replace(self.model, path, layer)
        self._residuals = None
        self._attach()
        return self.model

    def _split(self, path: Path) -> None:
        """Write R = W - P into the weights and put the adapted layers in place."""
        found: dict[str, list[tuple[Factors, int, Slot | Position]]] = {}
        for stack in self.stacks:
            factors = self._factors(stack)
            for index, slot in enumerate(stack.slots):
                factors.to(owner(self.model, stack, slot).weight.device)  # type: ignore[arg-type]
                found.setdefault(_module_of(slot), []).append((factors, index, slot))
        modules = {name: self.model.get_submodule(name) for name in found}
        self._add_principal({name: module.weight.data for name, module in modules.items()}, -1)  # type: ignore[misc]
        for name, module in modules.items():
            assert isinstance(module, nn.Linear | _ConvNd)
            module.weight.requires_grad_(False)
            self._layers[name] = (module, _adapted(module, found[name], path))
            _replace(self.model, name, self._layers[name][1])

    def _add_principal(self, weights: Mapping[str, Tensor], sign: int) -> None:
        """Add P, or take it away, in place, from the weights by
        the path of their layer; some rows of a stack at a time.
        """
        with torch.no_grad():
            for stack in self.stacks:
                factors = self._factors(stack)
                for start in range(0, factors.u.shape[1], ROWS):
                    rows = factors.principal(start, start + ROWS)
                    for slot, part in zip(stack.slots, rows, strict=True):
                        place = slot.view(weights[_module_of(slot)])
                        assert place is not None
                        place[start : start + len(part)].add_(part.to(place), alpha=sign)

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


class FormOptions(TypedDict, total=False):
    """The options of `adapt` that say which form the factors have and how they are computed with."""

    core: Core
    balance: bool
    path: Path


@dataclass(frozen=True)
class _Form:
    """`FormOptions` with its defaults. A name that is none of them raises TypeError."""

    core: Core = "diagonal"
    balance: bool = True
    path: Path = "auto"


def adapt(
    model: nn.Module,
    stacks: Sequence[Stack],
    rank: int | Mapping[str, int],
    initial: Mapping[str, Tensor] | None = None,
    trained: Mapping[str, Tensor] | None = None,
    **form: Unpack[FormOptions],
) -> Adaptation:
    """Adapt `model` in place: its function stays the same to rounding until the factors move.

    The stacked weights stop requiring gradients; what else trains is the caller's choice.

    Args:
        model: any module; its stacked layers are replaced.
        stacks: rows of linear layers, or the kernels of convolutions (`kernel_stack`).
        rank: one tubal rank, or one per stack by its name.
        initial: factors of an earlier adaptation of the same weights, in place of an SVD, in any precision.
        trained: the values to go on from.
        **form: `core`, the form of S: "diagonal" (default) or "dense". `balance` (default True): whether the singular
            values are shared between U, S and V. `path`, by which linear layers compute: "auto" (default), "weights" or
            "activations"; kernels are always built.

    Returns:
        The adaptation: its factors, and the way back to plain weights.

    Raises:
        RankError: a rank that a stack cannot have.
        StackError: stacks that overlap, or factors that do not fit them.
    """
    how = _Form(**form)
    check_apart(stacks)
    parameters = dict(model.named_parameters())
    values: dict[str, Tensor] = {}
    for stack in stacks:
        weights = views(parameters, stack)
        m, n = weights[0].shape
        wanted = rank if isinstance(rank, int) else rank[stack.name]
        check_rank(wanted, m, n, stack.name)
        if initial is None:
            found = initial_factors(t_svd(weights, wanted, stack.group), how.core, how.balance)
        else:
            found = {name: initial[f"{stack.name}.{name}"].float() for name in NAMES}
            _check_shapes(stack, (len(weights), m, n), found)
        values |= {f"{stack.name}.{name}": value for name, value in found.items()}
    adaptation = Adaptation(model, stacks, values, how.path)
    if trained is not None:
        adaptation.load(trained)
    return adaptation


def _check_shapes(stack: Stack, shape: tuple[int, int, int], found: Mapping[str, Tensor]) -> None:
    count, m, n = shape
    rank = found["u"].shape[-1]
    if found["u"].shape != (count, m, rank) or found["v"].shape != (count, n, rank):
        raise StackError(
            f"stack {stack.name}: factors {tuple(found['u'].shape)}, {tuple(found['v'].shape)} do not fit {count}"
            f" slices of {m} x {n}"
        )


def _factors_of(stack: Stack, values: Mapping[str, Tensor]) -> Factors:
    return Factors({name: values[f"{stack.name}.{name}"] for name in NAMES}, stack.group)


def _adapted(
    module: nn.Linear | _ConvNd, found: list[tuple[Factors, int, Slot | Position]], path: Path
) -> StackedLinear | StackedConvolution:
    """The layer that stands in for a module. found: factors, number of the slice, slot, of every slice in
    its weight.
    """
    if isinstance(module, nn.Linear):
        return StackedLinear(
            module,
            [Part(factors, index, slot.start, slot.stop) for factors, index, slot in found if isinstance(slot, Slot)],
            path,
        )
    factors, _, slot = found[0]
    return StackedConvolution(module, factors, isinstance(slot, Position) and slot.transposed)


def _module_of(slot: Slot | Position) -> str:
    return slot.parameter.rpartition(".")[0]


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
