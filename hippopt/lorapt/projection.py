"""P x for all layers of a stack through two shared projections, and its gradient, without any weight being built.

    P_k x = sum over i of A_i z_((i - k) mod K),    z_j = V_j^T x                                             (derived
    in layer.py)

Every layer adds to the gradients of the two projections. Each addition would be a product of their full size, so the
factors of the products are collected during the backward pass and multiplied once: the gradients of `up`, sum over
layers of G_k^T Z_k, is one product whose inner dimension runs over the tokens of all layers.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

COLLECTED_TOKENS = 8192  # multiplied when so many rows have come together, which bounds their memory


class Projections:
    """`up` (m, K r): the slices of A side by side; `down` (K r, n): those of V. Both computed with in `kind`."""

    def __init__(self, up: Tensor, down: Tensor, count: int, kind: torch.dtype) -> None:
        self.up, self.down = up.detach().to(kind), down.detach().to(kind)
        self.count = count
        self._up, self._down = _Sum(up), _Sum(down)
        self._pass = -1
        self._gate: Tensor = _Gate.apply(up, down, self._up, self._down)

    def change(self, x: Tensor, indices: tuple[int, ...]) -> Tensor:
        """(T, n) -> (T, slices, m): P_k x for the slices k of `indices`."""
        return _Change.apply(x.to(self.up.dtype), self._gate, self, indices)

    def roll(self, z: Tensor, indices: tuple[int, ...], back: bool = False) -> Tensor:
        """(slices, T, K r): z (T, K r) rolled by each index; with
        `back`, z is (slices, T, K r) and each part is rolled back.
        """
        wide = z.unflatten(-1, (self.count, -1))
        parts = [wide[i] if back else wide for i in range(len(indices))]
        return torch.stack([part.roll(-k if back else k, 1) for part, k in zip(parts, indices, strict=True)]).flatten(2)

    def collect(self, above: Tensor, rolled: Tensor, above_z: Tensor, x: Tensor) -> None:
        """Factors of a layer's part of the gradients: d up = above^T rolled, d down = above_z^T x."""
        # a pass that asked for the gradient of the input alone never reaches the gate: what it left is dropped
        current = torch._C._current_graph_task_id()
        if current != self._pass:
            self._up.clear()
            self._down.clear()
            self._pass = current
        self._up.add(above, rolled)
        self._down.add(above_z, x)


class _Sum:
    """A sum of products a^T b, multiplied as late as COLLECTED_TOKENS allows."""

    def __init__(self, like: Tensor) -> None:
        self._like = like.detach()
        self.clear()

    def clear(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._tokens = 0
        self._total: Tensor | None = None

    def add(self, a: Tensor, b: Tensor) -> None:
        self._pairs.append((a, b))
        self._tokens += a.shape[0]
        if self._tokens >= COLLECTED_TOKENS:
            self._multiply()

    def take(self) -> Tensor:
        self._multiply()
        total = self._total
        self.clear()
        return torch.zeros_like(self._like) if total is None else total

    def _multiply(self) -> None:
        if not self._pairs:
            return
        a, b = (torch.cat([pair[side] for pair in self._pairs]) for side in (0, 1))
        product = (a.T @ b).to(self._like.dtype)
        self._total = product if self._total is None else self._total + product
        self._pairs, self._tokens = [], 0


class _Gate(torch.autograd.Function):
    """A number through which every layer depends on the projections:
    its backward pass runs when those of all layers are done.
    """

    @staticmethod
    def forward(ctx: Any, up: Tensor, down: Tensor, up_sum: _Sum, down_sum: _Sum) -> Tensor:
        # not the Projections, which hold the gate: a cycle would keep them until the collector runs
        ctx.sums = (
            up_sum,
            down_sum,
        )
        return up.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        up, down = (collected.take() for collected in ctx.sums)
        return up, down, None, None


class _Change(torch.autograd.Function):
    """Projections.change. Keeps x and z; z is rolled anew backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor, projections: Projections, indices: tuple[int, ...]) -> Tensor:
        z = x @ projections.down.T
        ctx.save_for_backward(x, z)
        ctx.projections, ctx.indices = projections, indices
        rolled = projections.roll(z, indices)
        return (rolled.flatten(0, 1) @ projections.up.T).unflatten(0, rolled.shape[:2]).transpose(0, 1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, z = ctx.saved_tensors
        projections, indices = ctx.projections, ctx.indices
        above = above.transpose(0, 1).flatten(0, 1)  # (slices T, m), as the rolled activations lie
        above_rolled = (above @ projections.up).unflatten(0, (len(indices), -1))
        above_z = projections.roll(above_rolled, indices, back=True).sum(0)
        if ctx.needs_input_grad[1]:
            projections.collect(above, projections.roll(z, indices).flatten(0, 1), above_z, x)
        above_x = above_z @ projections.down if ctx.needs_input_grad[0] else None
        return above_x, above.new_zeros((), dtype=torch.float32) if ctx.needs_input_grad[1] else None, None, None
