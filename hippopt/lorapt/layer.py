"""A linear layer whose weight is a frozen residual plus slices of a stack's principal part, on either of two paths.

With A = U * S, slice k of the principal part is P_k = sum over j of A_((k + j) mod K) V_j^T, since (A * V^T)_k = sum
over i of A_i (V^T)_((k - i) mod K), and (V^T)_l = V_((K - l) mod K)^T; put j = i - k. So for one token x,

    P_k x = sum over i of A_i z_((i - k) mod K),    z_j = V_j^T x:

the slices of V side by side are one down-projection for all layers of the stack, z is rolled by k along K, and the
slices of A side by side are the up-projection. No weight is built, and none needs a gradient of its full size.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from hippopt.lorapt.factors import Factors

Path = Literal["auto", "activations", "weights"]
# building whole weights is bound by memory and runs in single precision: a multiplication there took 6 to 10 times as
# long as one in the bfloat16 products of the activations (benchmarks/adapter_paths.py)
BUILDING_COST = 8


def cheaper_path(tokens: int, m: int, n: int, count: int, rank: int) -> Literal["activations", "weights"]:
    """The cheaper path for a training step, by multiplications per slice (benchmarks/adapter_paths.py measures both).

    Activations: the two thin products, and twice as many backward: 3 T K r (m + n). Weights: the product over
    frequencies and the inverse transform as a matrix product, m n (2 r + K), twice that backward, each at
    BUILDING_COST, and the full weight gradient, T m n.
    """
    activations = 3 * tokens * count * rank * (m + n)
    weights = m * n * (3 * BUILDING_COST * (2 * rank + count) + tokens)
    return "activations" if activations <= weights else "weights"


@dataclass(frozen=True)
class Part:
    """Rows `start` to `stop` of the layer are slice `index` of the stack of `factors`."""

    factors: Factors
    index: int
    start: int
    stop: int


class StackedLinear(nn.Module):
    """Computes x -> (R + P) x + b for the weight R (frozen) and the slices of P.

    Keeps the names of a linear layer's parameters.
    """

    def __init__(self, linear: nn.Linear, parts: list[Part], path: Path) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features
        # a tuple keeps the shared factors from being registered once more under every layer
        self._parts = tuple(sorted(parts, key=lambda part: part.start))
        self.path = path
        self._rounded: tuple[object, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(..., n) -> (..., rows of the weight)."""
        tokens = x.numel() // x.shape[-1]
        part = self._parts[0]
        m, n = part.stop - part.start, x.shape[-1]
        path = self.path if self.path != "auto" else cheaper_path(tokens, m, n, part.factors.count, part.factors.rank)
        if path == "weights":
            return functional.linear(x, self.effective_weight(), self.bias)
        device = x.device.type
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        flat = x.reshape(tokens, n).to(kind)
        y = functional.linear(flat, self._frozen(kind), self.bias)
        return (y + self._change(flat)).reshape(*x.shape[:-1], self.out_features)

    def effective_weight(self) -> Tensor:
        """R + P."""
        rows, reached = [], 0
        for part in self._parts:
            rows += [
                self.weight[reached : part.start],
                self.weight[part.start : part.stop] + part.factors.built()[part.index],
            ]
            reached = part.stop
        return torch.cat([*rows, self.weight[reached:]])

    def forget(self) -> None:
        """Free what is kept from step to step."""
        self._rounded = None

    def _frozen(self, kind: torch.dtype) -> Tensor:
        """R in `kind`.

        It does not change, so it is rounded once: autocast would do it, and keep the copy, in every step.
        """
        if self.weight.dtype == kind or self.weight.requires_grad:
            return self.weight
        key = (self.weight.data_ptr(), self.weight._version, kind)
        if self._rounded is None or self._rounded[0] != key:
            with torch.inference_mode(False), torch.no_grad():  # one made while predicting could not be trained with
                self._rounded = (key, self.weight.detach().to(kind))
        return self._rounded[1]

    def _change(self, x: Tensor) -> Tensor:
        """(T, n) -> (T, rows): P x. Slices of one stack in this layer share the down-projection."""
        changes: dict[int, Tensor] = {}  # by the start of the rows
        for factors in dict.fromkeys(part.factors for part in self._parts):
            parts = [part for part in self._parts if part.factors is factors]
            change = factors.projections(x.dtype).change(x, tuple(part.index for part in parts))
            if len(parts) == len(self._parts) and sum(part.stop - part.start for part in parts) == self.out_features:
                return change.flatten(1)  # one stack, and all rows in order
            changes |= {part.start: column for part, column in zip(parts, change.unbind(1), strict=True)}
        columns, reached = [], 0
        for part in self._parts:
            columns += [x.new_zeros(x.shape[0], part.start - reached), changes[part.start]]
            reached = part.stop
        return torch.cat([*columns, x.new_zeros(x.shape[0], self.out_features - reached)], 1)
