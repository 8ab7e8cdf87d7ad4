"""The trainable factors of one stack: U, S and V of its principal part, as real tensors in the original domain."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from hippopt.lorapt.tensor_algebra import to_frequencies, to_slices
from hippopt.lorapt.tensor_svd import TensorSVD

Core = Literal["diagonal", "dense"]
NAMES = ("u", "s", "v")


class RankError(ValueError):
    """A tubal rank outside 1 to min(m, n)."""


def check_rank(rank: int, m: int, n: int, name: str) -> None:
    """Raises RankError with the bound."""
    if not 1 <= rank <= min(m, n):
        raise RankError(f"stack {name}: tubal rank {rank} is outside 1 to {min(m, n)}, the smaller side of its {m} x {n} slices")


def factor_count(m: int, n: int, count: int, rank: int, core: Core) -> int:
    """Trainable numbers: K r (m + n + 1) with S f-diagonal, K r (m + n + r) with S dense."""
    return count * rank * (m + n + (1 if core == "diagonal" else rank))


def initial_factors(svd: TensorSVD, core: Core, balance: bool) -> dict[str, Tensor]:
    """{u: (K, m, r), s: (K, r) or (K, r, r), v: (K, n, r)} float32 from the leading triplets.

    balance: the square root of S goes into both U and V, and the identity stays as S: all three have entries of like size, as
    one learning rate under Adam needs. S^ is real, not negative, and symmetric over the frequencies, so its root is real too.
    """
    count = svd.u.shape[0]
    u, v, values = svd.u, svd.v, svd.singular_values
    if balance:
        root = values.sqrt().unsqueeze(1)
        u, v = (to_slices(to_frequencies(side) * root, count) for side in (u, v))
        values = torch.ones_like(values)
    tubes = to_slices(values.to(torch.complex128), count)
    s = tubes if core == "diagonal" else torch.diag_embed(tubes)
    return {name: value.float().contiguous() for name, value in (("u", u), ("s", s), ("v", v))}


class Factors(nn.Module):
    """U (K, m, r), S and V (K, n, r) of one stack, trainable. S is (K, r), tubes, or dense (K, r, r)."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.u, self.s, self.v = (nn.Parameter(values[name].clone()) for name in NAMES)
        # filled for the length of one forward pass of the model: every layer of the stack shares them
        self._shared: dict[str, Tensor] | None = None

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
        core = torch.fft.rfft(self.s, dim=0)
        transformed = to_frequencies(self.u)
        product = transformed * core.unsqueeze(1) if self.s.ndim == 2 else transformed @ core
        return to_slices(product, self.count)

    def principal(self) -> Tensor:
        """P = U * S * V^T: (K, m, n)."""
        return to_slices(to_frequencies(self.left()) @ to_frequencies(self.v).mH, self.count)

    def begin(self) -> None:
        """Start of a forward pass: what its layers share is computed at first use and kept."""
        self._shared = {}

    def end(self) -> None:
        """End of a forward pass."""
        self._shared = None

    def projections(self) -> tuple[Tensor, Tensor]:
        """(up: (m, K r), down: (K r, n)): the slices of A, and those of V, side by side."""
        return self._once("up", self._up), self._once("down", self._down)

    def built(self) -> Tensor:
        """P, computed once a forward pass."""
        return self._once("built", self._principal_float32)

    def _once(self, key: str, compute: "object") -> Tensor:
        if self._shared is None:
            return compute()  # type: ignore[operator]
        if key not in self._shared:
            self._shared[key] = compute()  # type: ignore[operator]
        return self._shared[key]

    def _up(self) -> Tensor:
        with torch.autocast(self.u.device.type, enabled=False):  # no Fourier transform in half precision
            return self.left().permute(1, 0, 2).reshape(self.u.shape[1], -1)

    def _down(self) -> Tensor:
        return self.v.permute(0, 2, 1).reshape(-1, self.v.shape[1])

    def _principal_float32(self) -> Tensor:
        with torch.autocast(self.u.device.type, enabled=False):
            return self.principal()
