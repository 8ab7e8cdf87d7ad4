"""Stacks: which weights of a model are the frontal slices of one tensor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


class StackError(ValueError):
    """A stack does not fit the model."""


@dataclass(frozen=True)
class Slot:
    """Rows `start` to `stop` of a linear layer's weight; `parameter` is its full name in the model."""

    parameter: str
    start: int
    stop: int


@dataclass(frozen=True)
class Stack:
    """A name and the slots in order. The order matters to a t-SVD up to cyclic shifts and reversal: record it."""

    name: str
    slots: tuple[Slot, ...]


def gather(parameters: Mapping[str, Tensor], stack: Stack) -> Tensor:
    """(K, m, n): the slices of a stack, copied. Raises StackError when a parameter is missing or the shapes differ."""
    return torch.stack(views(parameters, stack))


def views(parameters: Mapping[str, Tensor], stack: Stack) -> list[Tensor]:
    """The K slices (m, n) of a stack, where they lie. Raises StackError as `gather` does."""
    if not stack.slots:
        raise StackError(f"stack {stack.name}: no slots")
    slices = []
    for slot in stack.slots:
        weight = parameters.get(slot.parameter)
        if weight is None or weight.ndim != 2 or not 0 <= slot.start < slot.stop <= weight.shape[0]:
            found = "no such parameter" if weight is None else f"shape {tuple(weight.shape)}"
            raise StackError(f"stack {stack.name}: {slot.parameter}[{slot.start}:{slot.stop}]: {found}")
        slices.append(weight.detach()[slot.start : slot.stop])
    shapes = {tuple(part.shape) for part in slices}
    if len(shapes) != 1:
        raise StackError(f"stack {stack.name}: slices of different shapes {sorted(shapes)}; one stack needs one shape")
    return slices


def owner(model: nn.Module, stack: Stack, slot: Slot) -> nn.Linear:
    """The linear layer that owns a slot's weight. Raises StackError for any other kind of module."""
    path, _, attribute = slot.parameter.rpartition(".")
    module = model.get_submodule(path)
    if attribute != "weight" or not isinstance(module, nn.Linear):
        raise StackError(f"stack {stack.name}: {slot.parameter} is not the weight of a linear layer but of {type(module).__name__}")
    return module


def check_apart(stacks: Sequence[Stack]) -> None:
    """Raises StackError where two slots, of one stack or of two, hold the same row of a weight, or two stacks one name."""
    names = [stack.name for stack in stacks]
    if len(set(names)) != len(names):
        raise StackError(f"stacks {', '.join(names)}: two of one name")
    slots = sorted((slot.parameter, slot.start, slot.stop) for stack in stacks for slot in stack.slots)
    for one, two in pairwise(slots):
        if one[0] == two[0] and two[1] < one[2]:
            raise StackError(f"{one[0]}: rows {two[1]}:{min(one[2], two[2])} stand in two slots; a row belongs to one")
