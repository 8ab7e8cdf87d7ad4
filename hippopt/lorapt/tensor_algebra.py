"""The algebra of third-order tensors under the t-product (Kilmer and Martin 2011, definitions 3.1 to 3.14).

Tensors are (K, m, n) real: K frontal slices. The discrete Fourier transform along K turns the t-product, which is block-circulant, into
one matrix product a frequency. Real tensors have conjugate-symmetric transforms, so rfft's half is enough; irfft is given
K, since the half does not tell odd from even.
"""

from math import pi

import torch
from torch import Tensor


def t_product(a: Tensor, b: Tensor) -> Tensor:
    """(K, m, p) * (K, p, n) -> (K, m, n): slice k is the sum over i of a_i b_((k - i) mod K)."""
    return to_slices(torch.bmm(to_frequencies(a), to_frequencies(b)), a.shape[0])


def t_transpose(a: Tensor) -> Tensor:
    """(K, m, n) -> (K, n, m): slice 0 transposed, slice k the transpose of slice K - k."""
    return torch.roll(a.flip(0), 1, 0).transpose(1, 2)


def t_identity(size: int, count: int, like: Tensor | None = None) -> Tensor:
    """(count, size, size): the identity matrix in slice 0, zeros elsewhere. dtype and device as `like`."""
    identity = torch.zeros(count, size, size) if like is None else like.new_zeros(count, size, size)
    identity[0].fill_diagonal_(1)
    return identity


def to_frequencies(a: Tensor) -> Tensor:
    """(K, m, n) real -> (K // 2 + 1, m, n) complex."""
    return torch.fft.rfft(a, dim=0)


def to_slices(a: Tensor, count: int) -> Tensor:
    """(count // 2 + 1, m, n) complex -> (count, m, n) real."""
    return torch.fft.irfft(a, n=count, dim=0)


def frequency_weights(count: int) -> Tensor:
    """(count // 2 + 1,): how often each frequency of rfft stands among all `count`: twice but for zero and Nyquist."""
    weights = torch.full((count // 2 + 1,), 2.0, dtype=torch.float64)
    weights[0] = 1
    if count % 2 == 0:
        weights[-1] = 1
    return weights


def inverse_transform(count: int, like: Tensor) -> Tensor:
    """(count, 2 (count // 2 + 1)) real: what takes the real parts of all frequencies, and below them the imaginary ones, to the slices.

    a_k = 1/K sum over f of w_f (Re a^_f cos(2 pi f k / K) - Im a^_f sin(2 pi f k / K)), w_f as in `frequency_weights`. One matrix product:
    on a CPU many times faster than an inverse FFT along the slowest dimension of large slices.
    """
    slices, frequencies = torch.arange(count, dtype=torch.float64), torch.arange(count // 2 + 1, dtype=torch.float64)
    angles = 2 * pi / count * torch.outer(slices, frequencies)
    weights = frequency_weights(count) / count
    return torch.cat([angles.cos() * weights, -angles.sin() * weights], 1).to(like.device, like.dtype)
