"""LoRA-PT in float64, written from the definitions with loops
and block-circulant matrices: slow, and hard to get wrong.
"""

import torch
from torch import Tensor


def minus(i: int, j: int, group: tuple[int, ...]) -> int:
    """The place of element i - element j, elements in raster order; of a cycle (i - j) mod K."""
    place = 0
    for axis, size in enumerate(group):
        rest = 1
        for later in group[axis + 1 :]:
            rest *= later
        place = place * size + (i // rest % size - j // rest % size) % size
    return place


def block_circulant(a: Tensor, group: tuple[int, ...] = ()) -> Tensor:
    """(K, m, n) -> (K m, K n): block (i, j) is slice i - j, in a cycle mod K (Kilmer and Martin 2011, section 2)."""
    count = a.shape[0]
    group = group or (count,)
    return torch.cat([torch.cat([a[minus(i, j, group)] for j in range(count)], 1) for i in range(count)], 0)


def product(a: Tensor, b: Tensor, group: tuple[int, ...] = ()) -> Tensor:
    """The t-product: fold(circ(a) unfold(b))."""
    return (block_circulant(a, group) @ b.reshape(-1, b.shape[2])).reshape(a.shape[0], a.shape[1], b.shape[2])


def transpose(a: Tensor, group: tuple[int, ...] = ()) -> Tensor:
    count = a.shape[0]
    return torch.stack([a[minus(0, k, group or (count,))].T for k in range(count)])


def diagonal_core(tubes: Tensor) -> Tensor:
    """(K, r) -> (K, r, r), f-diagonal."""
    return torch.stack([torch.diag(tube) for tube in tubes])


def principal(u: Tensor, s: Tensor, v: Tensor, group: tuple[int, ...] = ()) -> Tensor:
    """U * S * V^T."""
    core = diagonal_core(s) if s.ndim == 2 else s
    return product(product(u, core, group), transpose(v, group), group)


def singular_values(w: Tensor, group: tuple[int, ...] = ()) -> Tensor:
    """(K, min(m, n)): those of every frequency, by the whole (not the real) Fourier transform."""
    group = group or (w.shape[0],)
    return torch.linalg.svdvals(
        torch.fft.fftn(w.unflatten(0, group), dim=tuple(range(len(group)))).flatten(0, len(group) - 1)
    )
