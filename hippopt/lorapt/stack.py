"""Stacks: which weights of a model are the frontal slices of one tensor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from hippopt.lorapt.tensor_algebra import Group


class StackError(ValueError):
    """A stack does not fit the model."""


@dataclass(frozen=True)
class Slot:
    """Rows `start` to `stop` of a linear layer's weight; `parameter` is its full name in the model."""

    parameter: str
    start: int
    stop: int

    def view(self, weight: Tensor) -> Tensor | None:
        """The slice (m, n) where it lies in the weight, or None where it does not fit."""
        return (
            weight[self.start : self.stop]
            if weight.ndim == 2 and 0 <= self.start < self.stop <= weight.shape[0]
            else None
        )

    def __str__(self) -> str:
        return f"{self.parameter}[{self.start}:{self.stop}]"


@dataclass(frozen=True)
class Position:
    """One position of a convolution's kernel: a matrix (m outputs, n inputs), whichever way the weight is stored.

    transposed: the weight is that of a transposed convolution, (inputs, outputs, ...), and not (outputs, inputs, ...).
    """

    parameter: str
    position: tuple[int, ...]
    transposed: bool = False

    def view(self, weight: Tensor) -> Tensor | None:
        """The slice (m, n) where it lies in the weight, or None where it does not fit."""
        sizes = weight.shape[2:]
        if len(sizes) != len(self.position) or any(
            not 0 <= at < size for at, size in zip(self.position, sizes, strict=True)
        ):
            return None
        matrix = weight
        for at in reversed(self.position):
            matrix = matrix.select(-1, at)  # a view, axis by axis from the last
        return matrix.mT if self.transposed else matrix

    def __str__(self) -> str:
        return f"{self.parameter}[:, :, {', '.join(map(str, self.position))}]"


@dataclass(frozen=True)
class Stack:
    """A name and the slots in order. The order matters to a t-SVD up to cyclic shifts and reversal: record it.

    group: what the slots are the elements of, in raster order; empty for a cycle. Of a convolution's kernel: the
    kernel's size.
    """

    name: str
    slots: tuple[Slot | Position, ...]
    group: Group = ()


def kernel_stack(name: str, parameter: str, size: Sequence[int], transposed: bool = False) -> Stack:
    """The stack of one convolution: a slice for each position of its kernel, over the product of the cycles of its
    axes.

    parameter: full name of the weight, (outputs, inputs, *size), or (inputs, outputs, *size) where it is `transposed`.
    """
    positions = product(*(range(length) for length in size))
    return Stack(name, tuple(Position(parameter, position, transposed) for position in positions), tuple(size))


def gather(parameters: Mapping[str, Tensor], stack: Stack) -> Tensor:
    """(K, m, n): the slices of a stack, copied. Raises StackError when a parameter is missing or the shapes differ."""
    return torch.stack(views(parameters, stack))


def views(parameters: Mapping[str, Tensor], stack: Stack) -> list[Tensor]:
    """The K slices (m, n) of a stack, where they lie. Raises StackError as `gather` does."""
    if not stack.slots:
        raise StackError(f"stack {stack.name}: no slots")
    if stack.group and prod(stack.group) != len(stack.slots):
        raise StackError(
            f"stack {stack.name}: {len(stack.slots)} slots are not the elements of a group of shape {stack.group}"
        )
    slices = []
    for slot in stack.slots:
        weight = parameters.get(slot.parameter)
        part = slot.view(weight.detach()) if weight is not None else None
        if part is None:
            raise StackError(
                f"stack {stack.name}: {slot}: "
                + ("no such parameter" if weight is None else f"shape {tuple(weight.shape)}")
            )
        slices.append(part)
    shapes = {tuple(part.shape) for part in slices}
    if len(shapes) != 1:
        raise StackError(f"stack {stack.name}: slices of different shapes {sorted(shapes)}; one stack needs one shape")
    return slices


def owner(model: nn.Module, stack: Stack, slot: Slot | Position) -> nn.Module:
    """The layer that owns a slot's weight: linear for rows, a convolution for positions.

    Raises StackError for any other kind.
    """
    path, _, attribute = slot.parameter.rpartition(".")
    module = model.get_submodule(path)
    if isinstance(slot, Position):
        fits = (
            attribute == "weight"
            and isinstance(module, _ConvNd)
            and isinstance(module, _ConvTransposeNd) == slot.transposed
        )
        if not fits:
            kind = "transposed convolution" if slot.transposed else "convolution"
            raise StackError(
                f"stack {stack.name}: {slot.parameter} is not the weight of a {kind} but of {type(module).__name__}"
            )
        _check_kernel(stack, module)
    elif attribute != "weight" or not isinstance(module, nn.Linear):
        raise StackError(
            f"stack {stack.name}: {slot.parameter} is not the weight of a linear layer but of {type(module).__name__}"
        )
    return module


def _check_kernel(stack: Stack, module: nn.Module) -> None:
    """Raises StackError where a stack of positions is not one whole kernel: its weight is built in one piece."""
    assert isinstance(module, _ConvNd)
    first = stack.slots[0]
    if stack.slots != kernel_stack("", first.parameter, module.kernel_size, isinstance(module, _ConvTransposeNd)).slots:
        raise StackError(f"stack {stack.name}: not every position of the one kernel {first.parameter}, in raster order")
    if stack.group not in ((), tuple(module.kernel_size), (len(stack.slots),)):
        raise StackError(
            f"stack {stack.name}: group {stack.group} is neither the kernel's size {tuple(module.kernel_size)} nor one"
            " cycle"
        )


def check_apart(stacks: Sequence[Stack]) -> None:
    """Raises StackError where two slots, of one stack or of two, hold the same row of a weight, or two
    stacks one name.
    """
    names = [stack.name for stack in stacks]
    if len(set(names)) != len(names):
        raise StackError(f"stacks {', '.join(names)}: two of one name")
    slots = [slot for stack in stacks for slot in stack.slots]
    rows = sorted((slot.parameter, slot.start, slot.stop) for slot in slots if isinstance(slot, Slot))
    for one, two in pairwise(rows):
        if one[0] == two[0] and two[1] < one[2]:
            raise StackError(f"{one[0]}: rows {two[1]}:{min(one[2], two[2])} stand in two slots; a row belongs to one")
    positions = sorted((slot.parameter, slot.position) for slot in slots if isinstance(slot, Position))
    for before, after in pairwise(positions):
        if before == after:
            raise StackError(f"{before[0]}: position {before[1]} stands in two slots; a position belongs to one")
