"""The t-SVD with its gauge fixed, and its leading part (Kilmer and
Martin 2011, theorem 4.1; lora_pt: equations 4 to 6 of 2407.11292).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hippopt.lorapt.tensor_algebra import Group, frequency_weights, group_of, to_frequencies, to_slices

# where fewer than this share of the triplets are asked for, and the smaller side is not tiny, they are taken from the
# Gram matrix
LEADING_SHARE = 0.25
SMALLEST_LEADING = 256
OVERSAMPLING = 8
# of the residual |A v - s u|, relative to the largest singular value: single precision, in which factors are trained.
# What is missing to the best approximation stays in the residual weights, so that the sum is exact all the same
TOLERANCE = 2e-5
ROWS = 128  # of all slices, transformed at a time


@dataclass(frozen=True)
class TensorSVD:
    """W = U * S * V^T, or its r leading triplets. Real, in the original domain; float64.

    u: (K, m, r); v: (K, n, r); s: (K, r), the tubes of the f-diagonal S. singular_values: (F, r), of each frequency,
    falling; F is K // 2 + 1 for a cycle. group: what the K slices are the elements of.
    """

    u: Tensor
    s: Tensor
    v: Tensor
    singular_values: Tensor
    group: Group

    def reconstruct(self) -> Tensor:
        """(K, m, n): U * S * V^T."""
        left = to_frequencies(self.u, self.group) * self.singular_values.unsqueeze(1)
        return to_slices(left @ to_frequencies(self.v, self.group).mH, self.group)

    def truncate(self, rank: int) -> "TensorSVD":
        """The `rank` leading triplets."""
        values = self.singular_values[:, :rank]
        tubes = to_slices(values.to(torch.complex128), self.group)
        return TensorSVD(self.u[..., :rank], tubes, self.v[..., :rank], values, self.group)

    def energy(self) -> Tensor:
        """(r,): share of each triplet in the squared Frobenius norm of
        the tensor: 1/K times its sum over all K frequencies.
        """
        weights = frequency_weights(self.group).to(self.singular_values.device)
        return (weights[:, None] * self.singular_values**2).sum(0) / self.u.shape[0]


def t_svd(w: Tensor | Sequence[Tensor], rank: int | None = None, group: Group = ()) -> TensorSVD:
    """Decompose a tensor (K, m, n) by the t-SVD, or give its `rank` leading triplets.

    An SVD leaves the phase of each singular pair open; the product does not depend on it, but the real factors and
    their training do. So the entry of largest modulus in every column of U^ is made real and positive, and the
    frequencies that are real (zero, and Nyquist in even cycles) are decomposed by a real SVD. Computed in float64, but
    for a few triplets of large matrices (see _leading); one frequency after the other, so that the work needs little
    more memory than the transform.

    Args:
        w: a real tensor (K, m, n) of any floating dtype, or its K slices (m, n), which are then never copied as a
            whole. Gradients do not flow through the decomposition.
        rank: number of triplets, 1 to min(m, n); all of them by default.
        group: what the K slices are the elements of, as in tensor_algebra; empty for a cycle.

    Returns:
        U (K, m, r), the tubes of S (K, r) and V (K, n, r), float64 on the device of `w`, with the singular values
        (F, r) of each frequency.

    Raises:
        ValueError: a rank outside 1 to min(m, n), or a group that has not K elements.
    """
    slices = [part.detach() for part in (w.unbind(0) if isinstance(w, Tensor) else w)]
    count, (m, n) = len(slices), slices[0].shape
    bound = min(m, n)
    rank = bound if rank is None else rank
    if not 1 <= rank <= bound:
        raise ValueError(f"rank {rank} is outside 1 to {bound}, the smaller side of {m} x {n} slices")
    leading = bound >= SMALLEST_LEADING and rank + OVERSAMPLING <= LEADING_SHARE * bound
    group = group_of(count, group)
    transformed = _transform(slices, torch.float32 if leading else torch.float64, group)
    frequencies = transformed.shape[0]
    u = transformed.new_empty(frequencies, m, rank, dtype=torch.complex128)
    v = transformed.new_empty(frequencies, n, rank, dtype=torch.complex128)
    values = u.real.new_empty(frequencies, rank)
    for f, (matrix, weight) in enumerate(zip(transformed, frequency_weights(group).tolist(), strict=True)):
        a = matrix.real if weight == 1 else matrix
        left, singular, right = (_leading(a, rank) if leading else None) or _whole(a, rank)
        phase = _gauge(left)
        u[f], v[f], values[f] = left * phase, right * phase, singular
    return TensorSVD(to_slices(u, group), to_slices(values.to(u.dtype), group), to_slices(v, group), values, group)


def _transform(slices: list[Tensor], kind: torch.dtype, group: Group) -> Tensor:
    """(F, m, n): the transform along the slices, some rows at a time, since the slices lie apart in a model."""
    parts = (
        torch.stack([part[start : start + ROWS] for part in slices]) for start in range(0, slices[0].shape[0], ROWS)
    )
    first = to_frequencies(next(parts).to(kind), group)
    whole = first.new_empty(first.shape[0], *slices[0].shape)
    whole[:, : first.shape[1]] = first
    for number, part in enumerate(parts, 1):
        whole[:, number * ROWS : (number + 1) * ROWS] = to_frequencies(part.to(kind), group)
    return whole


def _gauge(u: Tensor) -> Tensor:
    """(1, r) of modulus 1: what makes the largest entry of each column of U (m, r) real and positive."""
    largest = u.gather(0, u.abs().argmax(0, keepdim=True))
    return largest.conj() / largest.abs()


def _whole(a: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """(U, s, V) of the `rank` leading triplets of (m, n), in double precision."""
    double = a.to(torch.complex128 if a.is_complex() else torch.float64)
    u, s, vh = torch.linalg.svd(double, full_matrices=False)
    return u[:, :rank], s[:rank], vh.mH[:, :rank]


def _leading(a: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor] | None:
    """The same from the Gram matrix of the smaller side, or None where that is not precise enough.

    Its eigenvectors (single precision, a few more than asked for) span the subspace; then one step of subspace
    iteration with Rayleigh and Ritz in double precision, since squaring loses half of the digits. A Krylov subspace
    took as long at rank 4, and at rank 16 did not converge on random weights, whose leading singular values lie close
    together.
    """
    if a.shape[0] < a.shape[1]:
        turned = _leading(a.mH, rank)
        return (turned[2], turned[1], turned[0]) if turned is not None else None
    vectors = torch.linalg.eigh(a.mH @ a)[1][:, -(rank + OVERSAMPLING) :]
    double = a.to(torch.complex128 if a.is_complex() else torch.float64)
    basis = torch.linalg.qr(double @ vectors.to(double.dtype))[0]
    inner, s, vh = torch.linalg.svd(basis.mH @ double, full_matrices=False)
    u, s, v = basis @ inner[:, :rank], s[:rank], vh.mH[:, :rank]
    residual = torch.linalg.vector_norm(double @ v - u * s, dim=0)
    return (u, s, v) if bool((residual <= TOLERANCE * s[0]).all()) else None
