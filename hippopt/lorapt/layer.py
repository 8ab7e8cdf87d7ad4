"""A linear layer whose weight is a frozen residual plus slices of a stack's principal part, on either of two paths.

With A = U * S, slice k of the principal part is P_k = sum over j of A_((k + j) mod K) V_j^T, since
(A * V^T)_k = sum over i of A_i (V^T)_((k - i) mod K), and (V^T)_l = V_((K - l) mod K)^T; put j = i - k. So for one token x,

    P_k x = sum over i of A_i z_((i - k) mod K),    z_j = V_j^T x:

the slices of V side by side are one down-projection for all layers of the stack, z is rolled by k along K, and the slices of A
side by side are the up-projection. No weight is built, and none needs a gradient of its full size.
"""

from dataclasses import dataclass
from math import log2
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from hippopt.lorapt.factors import Factors

Path = Literal["auto", "activations", "weights"]
# a transform along the slices is bound by memory: on two cores it took 25 to 50 times as long as its multiplications in a matrix product
TRANSFORM_COST = 25


def cheaper_path(tokens: int, m: int, n: int, count: int, rank: int) -> Literal["activations", "weights"]:
    """The cheaper path for a training step, by multiplications a slice (benchmarks/adapter_step.py measures both).

    Activations: the two thin products, and twice as many backward: 3 T K r (m + n). Weights: the product over frequencies and
    the inverse transform, m n (2 r + 2.5 log2 K), twice that backward, each at TRANSFORM_COST, and the full weight gradient, T m n.
    """
    activations = 3 * tokens * count * rank * (m + n)
    weights = m * n * (3 * TRANSFORM_COST * (2 * rank + 2.5 * log2(max(count, 2))) + tokens)
    return "activations" if activations <= weights else "weights"


@dataclass(frozen=True)
class Part:
    """Rows `start` to `stop` of the layer are slice `index` of the stack of `factors`."""

    factors: Factors
    index: int
    start: int
    stop: int


class StackedLinear(nn.Module):
    """Computes x -> (R + P) x + b for the weight R (frozen) and the slices of P. Keeps the names of a linear layer's parameters."""

    def __init__(self, linear: nn.Linear, parts: list[Part], path: Path) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features
        # a tuple keeps the shared factors from being registered once more under every layer
        self._parts = tuple(sorted(parts, key=lambda part: part.start))
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        """(..., n) -> (..., rows of the weight)."""
        tokens = x.numel() // x.shape[-1]
        part = self._parts[0]
        m, n = part.stop - part.start, x.shape[-1]
        path = self.path if self.path != "auto" else cheaper_path(tokens, m, n, part.factors.count, part.factors.rank)
        if path == "weights":
            return functional.linear(x, self.effective_weight(), self.bias)
        flat = x.reshape(tokens, n)
        y = functional.linear(flat, self.weight, self.bias)
        change = self._changes(flat)
        return (y + change).reshape(*x.shape[:-1], y.shape[-1])

    def effective_weight(self) -> Tensor:
        """R + P."""
        rows = [self.weight.new_zeros(0, self.in_features)]
        reached = 0
        for part in self._parts:
            rows += [self.weight.new_zeros(part.start - reached, self.in_features), part.factors.built()[part.index]]
            reached = part.stop
        rows.append(self.weight.new_zeros(self.out_features - reached, self.in_features))
        return self.weight + torch.cat(rows)

    def _changes(self, x: Tensor) -> Tensor:
        """(T, n) -> (T, rows): P x. Slices of one stack in this layer share the down-projection."""
        projected: dict[int, Tensor] = {}
        columns, reached = [], 0
        for part in self._parts:
            up, down = part.factors.projections()
            z = projected.get(id(part.factors))
            if z is None:
                z = functional.linear(x, down).reshape(x.shape[0], part.factors.count, part.factors.rank)
                projected[id(part.factors)] = z
            if part.start > reached:
                columns.append(x.new_zeros(x.shape[0], part.start - reached, dtype=z.dtype))
            columns.append(functional.linear(torch.roll(z, part.index, 1).flatten(1), up))
            reached = part.stop
        if reached < self.out_features:
            columns.append(x.new_zeros(x.shape[0], self.out_features - reached, dtype=columns[-1].dtype))
        return columns[0] if len(columns) == 1 else torch.cat(columns, 1)
