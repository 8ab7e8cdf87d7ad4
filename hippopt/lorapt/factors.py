"""The trainable factors of one stack: U, S and V of its principal part, as real tensors in the original domain."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from hippopt.lorapt.projection import Projections
from hippopt.lorapt.tensor_algebra import (
    Group,
    group_of,
    inverse_transform,
    is_real,
    spectrum,
    to_frequencies,
    to_slices,
)
from hippopt.lorapt.tensor_svd import TensorSVD

T = TypeVar("T")
Core = Literal["diagonal", "dense"]
NAMES = ("u", "s", "v")


class RankError(ValueError):
    """A tubal rank outside 1 to min(m, n)."""


def check_rank(rank: int, m: int, n: int, name: str) -> None:
    """Raises RankError with the bound."""
    if not 1 <= rank <= min(m, n):
        raise RankError(
            f"stack {name}: tubal rank {rank} is outside 1 to {min(m, n)}, the smaller side of its {m} x {n} slices"
        )


def factor_count(m: int, n: int, count: int, rank: int, core: Core) -> int:
    """Trainable numbers: K r (m + n + 1) with S f-diagonal, K r (m + n + r) with S dense."""
    return count * rank * (m + n + (1 if core == "diagonal" else rank))


def initial_factors(svd: TensorSVD, core: Core, balance: bool) -> dict[str, Tensor]:
    """{u: (K, m, r), s: (K, r) or (K, r, r), v: (K, n, r)} float32 from the leading triplets.

    balance: the square root of S goes into both U and V, and the identity stays as S: all three have entries of like
    size, as one learning rate under Adam needs. S^ is real, not negative, and symmetric over the frequencies, so its
    root is real too.
    """
    group = svd.group
    u, v, values = svd.u, svd.v, svd.singular_values
    if balance:
        root = values.sqrt().unsqueeze(1)
        u, v = (to_slices(to_frequencies(side, group) * root, group) for side in (u, v))
        values = torch.ones_like(values)
    tubes = to_slices(values.to(torch.complex128), group)
    s = tubes if core == "diagonal" else torch.diag_embed(tubes)
    return {name: value.float().contiguous() for name, value in (("u", u), ("s", s), ("v", v))}


class Factors(nn.Module):
    """U (K, m, r), S and V (K, n, r) of one stack, trainable.

    S is (K, r), tubes, or dense (K, r, r). group: of the K slices.
    """

    def __init__(self, values: Mapping[str, Tensor], group: Group = ()) -> None:
        super().__init__()
        self.group = group_of(values["u"].shape[0], group)
        self.u, self.s, self.v = (nn.Parameter(values[name].clone()) for name in NAMES)
        # filled for the length of one forward pass of the model: every layer of the stack shares them
        self._shared: dict[str, Any] | None = None

    @property
    def count(self) -> int:
        """K."""
        return self.u.shape[0]

    @property
    def rank(self) -> int:
        """The tubal rank r."""
        return self.u.shape[2]

    def left(self) -> Tensor:
        """A = U * S: (K, m, r)."""
        parts = self._left_spectrum()
        return to_slices(
            torch.complex(parts[0], parts[1] if len(parts) == 2 else torch.zeros_like(parts[0])), self.group
        )

    def principal(self, start: int = 0, stop: int | None = None) -> Tensor:
        """P = U * S * V^T, rows `start` to `stop` of every slice: (K, stop - start, n).

        By frequencies: A^_f V^_f^H costs 2 r multiplications per number, the inverse transform as a matrix product K.
        """
        with torch.autocast(self.u.device.type, enabled=False):  # no Fourier transform in half precision
            transformed = self._transformed(start, stop)
            return (inverse_transform(self.group, transformed) @ transformed.flatten(1)).reshape(
                self.count, *transformed.shape[1:]
            )

    def _transformed(self, start: int = 0, stop: int | None = None) -> Tensor:
        """(2 F, rows, n): the real and the imaginary part of P^ at
        each frequency in turn; (F, rows, n) where all are real.
        """
        left = [part[:, start:stop] for part in self._left_spectrum()]
        right = torch.cat(spectrum(self.v, self.group), 2).mT
        if is_real(self.group):
            return left[0] @ right
        real, imaginary = left
        both = torch.cat([torch.cat([real, imaginary], 2), torch.cat([imaginary, -real], 2)], 1)
        return (both @ right).unflatten(1, (2, -1)).flatten(0, 1)

    def begin(self) -> None:
        """Start of a forward pass: what its layers share is computed at first use and kept."""
        self._shared = {}

    def end(self) -> None:
        """End of a forward pass."""
        self._shared = None

    def projections(self, kind: torch.dtype) -> Projections:
        """The slices of A, and those of V, side by side, to compute with in `kind`."""
        return self._once(f"projections {kind}", lambda: self._projections(kind))

    def kernel(self) -> Tensor:
        """P with its positions last, (m, n, K), as a convolution's weight has them; computed once per forward pass."""
        return self._once("kernel", self._kernel)

    def built(self) -> tuple[Tensor, ...]:
        """The K slices of P, computed once per forward pass."""
        # unbound at once: indexing K times would make K gradients of the size of the whole stack
        return self._once("built", lambda: self.principal().unbind(0))

    def _once(self, key: str, compute: Callable[[], T]) -> T:
        if self._shared is None:
            return compute()
        key = (  # what was made without them must not serve a layer that needs them
            f"{key}, gradients {torch.is_grad_enabled()}"
        )
        if key not in self._shared:
            self._shared[key] = compute()
        return self._shared[key]

    def _projections(self, kind: torch.dtype) -> Projections:
        with torch.autocast(self.u.device.type, enabled=False):
            up = self.left().permute(1, 0, 2).reshape(self.u.shape[1], -1)
            down = self.v.permute(0, 2, 1).reshape(-1, self.v.shape[1])
            return Projections(up, down, self.count, kind)

    def _kernel(self) -> Tensor:
        with torch.autocast(self.u.device.type, enabled=False):
            transformed = self._transformed()
            # the product turned over, since turning (K, m, n) over afterwards takes longer than all else
            return (transformed.flatten(1).T @ inverse_transform(self.group, transformed).T).unflatten(
                0, transformed.shape[1:]
            )

    def _left_spectrum(self) -> tuple[Tensor, ...]:
        """The real parts of A^ and the imaginary ones, (F, m, r) each; the real ones alone where all are real."""
        u, s = spectrum(self.u, self.group), spectrum(self.s, self.group)

        def times(a: Tensor, b: Tensor) -> Tensor:
            return a * b.unsqueeze(1) if b.ndim == 2 else a @ b

        if is_real(self.group):
            return (times(u[0], s[0]),)
        return times(u[0], s[0]) - times(u[1], s[1]), times(u[0], s[1]) + times(u[1], s[0])
