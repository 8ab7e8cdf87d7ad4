"""The algebra of third-order tensors under the t-product (Kilmer and Martin 2011, definitions 3.1 to 3.14).

Tensors are (K, m, n) real: K frontal slices. The slices stand for the elements of a finite abelian group: the cycle of
K of the paper (`group` left out), or a product of cycles, such as (3, 3, 3) for the positions of a kernel, in raster
order. The discrete Fourier transform over the group turns the t-product, a convolution over it, into one matrix product
a frequency. Real tensors have conjugate-symmetric transforms, so one frequency of every conjugate pair is enough; for a
cycle these are the half that rfft gives.
"""

from functools import lru_cache
from math import pi, prod

import torch
from torch import Tensor

Group = tuple[int, ...]


def group_of(count: int, group: Group) -> Group:
    """`group`, or the cycle of `count` where it is empty. Raises ValueError where it has not `count` elements."""
    group = group or (count,)
    if prod(group) != count:
        raise ValueError(f"{count} slices are not the elements of a group of shape {group}")
    return group


def t_product(a: Tensor, b: Tensor, group: Group = ()) -> Tensor:
    """(K, m, p) * (K, p, n) -> (K, m, n): slice k is the sum over i of a_i b_(k - i), k - i taken in the group."""
    group = group_of(a.shape[0], group)
    return to_slices(torch.bmm(to_frequencies(a, group), to_frequencies(b, group)), group)


def t_transpose(a: Tensor, group: Group = ()) -> Tensor:
    """(K, m, n) -> (K, n, m): slice k is the transpose of slice -k; in a cycle slice 0 transposed, then K - 1 to 1."""
    return a[_negated(group_of(a.shape[0], group)).to(a.device)].transpose(1, 2)


def t_identity(size: int, count: int, like: Tensor | None = None) -> Tensor:
    """(count, size, size): the identity matrix in slice 0, zeros
    elsewhere, for every group. dtype and device as `like`.
    """
    identity = torch.zeros(count, size, size) if like is None else like.new_zeros(count, size, size)
    identity[0].fill_diagonal_(1)
    return identity


def to_frequencies(a: Tensor, group: Group) -> Tensor:
    """(K, ...) real -> (F, ...) complex, F = `len(frequency_weights(group))`; K // 2 + 1 for a cycle."""
    if len(group) == 1:
        return torch.fft.rfft(a, dim=0)
    parts = spectrum(a, group)
    return torch.complex(parts[0], parts[1] if len(parts) == 2 else torch.zeros_like(parts[0]))


def spectrum(a: Tensor, group: Group) -> tuple[Tensor, ...]:
    """The real parts of `to_frequencies` and the imaginary ones, (F, ...) each; the real ones alone where all others
    are zero.

    Over a product of cycles, which is small, it is one matrix product.
    """
    if len(group) == 1:
        transformed = torch.fft.rfft(a, dim=0)
        return (transformed.real,) if is_real(group) else (transformed.real, transformed.imag)
    return tuple(
        (_transform(group, a.dtype, a.device) @ a.flatten(1))
        .unflatten(1, a.shape[1:])
        .chunk(1 if is_real(group) else 2)
    )


def is_real(group: Group) -> bool:
    """Whether every frequency is its own conjugate, so that the
    transform of a real tensor is real: cycles of one and of two.
    """
    return max(group) <= 2


def to_slices(a: Tensor, group: Group) -> Tensor:
    """(F, ...) complex -> (K, ...) real: the inverse of `to_frequencies`."""
    if len(group) == 1:  # the half that is given does not tell odd from even
        return torch.fft.irfft(a, n=group[0], dim=0)
    parts = a.real if is_real(group) else torch.stack([a.real, a.imag], 1).flatten(0, 1)
    return (inverse_transform(group, parts) @ parts.flatten(1)).unflatten(1, a.shape[1:])


def frequency_weights(group: Group) -> Tensor:
    """(F,): how often each frequency stands among all K: 2, but 1 for those
    that are their own conjugates (zero, and Nyquist in even cycles).
    """
    chosen = _representatives(group)
    return torch.where(_negated(group)[chosen] == chosen, 1.0, 2.0).double()


def inverse_transform(group: Group, like: Tensor) -> Tensor:
    """(K, 2 F) real: what takes the real and the imaginary part of each frequency in turn to the slices; (K, F) where
    `is_real`.

    a_k = 1/K sum over f of w_f (Re a^_f cos(angle) - Im a^_f sin(angle)), w_f as in `frequency_weights`, the angle 2 pi
    times the sum over the cycles of f k / length. One matrix product: on a CPU many times faster than an inverse FFT
    along the slowest dimension of large slices.
    """
    return _inverse_transform(group, like.dtype, like.device)


@lru_cache(maxsize=64)
def _inverse_transform(group: Group, kind: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():  # kept: one made while predicting could not be trained with
        angles, weights = _angles(group).T, frequency_weights(group) / prod(group)
        real, imaginary = angles.cos() * weights, -angles.sin() * weights
        return (real if is_real(group) else torch.stack([real, imaginary], 2).flatten(1)).to(device, kind)


@lru_cache(maxsize=64)
def _transform(group: Group, kind: torch.dtype, device: torch.device) -> Tensor:
    """(2 F, K) real: the real parts of the transform, and below them the imaginary ones; (F, K) where `is_real`."""
    with torch.inference_mode(False), torch.no_grad():
        angles = _angles(group)
        return (angles.cos() if is_real(group) else torch.cat([angles.cos(), -angles.sin()])).to(device, kind)


def _angles(group: Group) -> Tensor:
    """(F, K): 2 pi times the sum over the cycles of frequency times element over length."""
    elements = _elements(group).double()
    return 2 * pi * elements[_representatives(group)] @ (elements / torch.tensor(group, dtype=torch.float64)).T


def _elements(group: Group) -> Tensor:
    """(K, cycles): the elements in raster order."""
    return torch.cartesian_prod(*(torch.arange(size) for size in group)).reshape(prod(group), len(group))


@lru_cache(maxsize=64)
def _negated(group: Group) -> Tensor:
    """(K,): the place of -k for every element k."""
    with torch.inference_mode(False):
        places = torch.zeros(prod(group), dtype=torch.long)
        for size, column in zip(group, _elements(group).T, strict=True):
            places = places * size + (-column) % size
        return places


@lru_cache(maxsize=64)
def _representatives(group: Group) -> Tensor:
    """(F,): the first of every conjugate pair of frequencies; 0 to K // 2 for a cycle."""
    with torch.inference_mode(False):
        return torch.nonzero(torch.arange(prod(group)) <= _negated(group))[:, 0]
