"""LoRA-PT in float64, written from the definitions with loops and block-circulant matrices: slow, and hard to get wrong."""

import torch
from torch import Tensor


def block_circulant(a: Tensor) -> Tensor:
    """(K, m, n) -> (K m, K n): block (i, j) is slice (i - j) mod K (Kilmer and Martin 2011, section 2)."""
    count = a.shape[0]
    return torch.cat([torch.cat([a[(i - j) % count] for j in range(count)], 1) for i in range(count)], 0)


def product(a: Tensor, b: Tensor) -> Tensor:
    """The t-product: fold(circ(a) unfold(b))."""
    return (block_circulant(a) @ b.reshape(-1, b.shape[2])).reshape(a.shape[0], a.shape[1], b.shape[2])


def transpose(a: Tensor) -> Tensor:
    count = a.shape[0]
    return torch.stack([a[(count - k) % count].T for k in range(count)])


def diagonal_core(tubes: Tensor) -> Tensor:
    """(K, r) -> (K, r, r), f-diagonal."""
    return torch.stack([torch.diag(tube) for tube in tubes])


def principal(u: Tensor, s: Tensor, v: Tensor) -> Tensor:
    """U * S * V^T."""
    core = diagonal_core(s) if s.ndim == 2 else s
    return product(product(u, core), transpose(v))


def singular_values(w: Tensor) -> Tensor:
    """(K, min(m, n)): those of every frequency, by the whole (not the real) Fourier transform."""
    return torch.linalg.svdvals(torch.fft.fft(w, dim=0))
