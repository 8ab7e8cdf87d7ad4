"""The t-SVD with its gauge fixed, and its leading part (Kilmer and Martin 2011, theorem 4.1; lora_pt: equations 4 to 6 of 2407.11292)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hippopt.lorapt.tensor_algebra import frequency_weights, to_frequencies, to_slices

LEADING_SHARE = 0.05  # below this share of the smaller side, a block Krylov subspace is cheaper than a whole SVD
SMALLEST_LEADING = 256  # smaller matrices are decomposed whole: it takes milliseconds
OVERSAMPLING = 8
CHECK_EVERY = 6  # blocks
# of the residual |A^H u - s v|, relative to the largest singular value: single precision, in which factors are trained. What
# is missing to the best approximation stays in the residual weights, so that the sum is exact all the same
TOLERANCE = 2e-5


@dataclass(frozen=True)
class TensorSVD:
    """W = U * S * V^T, or its r leading triplets. Real, in the original domain; float64.

    u: (K, m, r); v: (K, n, r); s: (K, r), the tubes of the f-diagonal S. singular_values: (K // 2 + 1, r), of each
    frequency, falling.
    """

    u: Tensor
    s: Tensor
    v: Tensor
    singular_values: Tensor

    def reconstruct(self) -> Tensor:
        """(K, m, n): U * S * V^T."""
        count = self.u.shape[0]
        left = to_frequencies(self.u) * self.singular_values.unsqueeze(1)
        return to_slices(left @ to_frequencies(self.v).mH, count)

    def truncate(self, rank: int) -> "TensorSVD":
        """The `rank` leading triplets."""
        values = self.singular_values[:, :rank]
        return TensorSVD(self.u[..., :rank], to_slices(values.to(torch.complex128), self.u.shape[0]), self.v[..., :rank], values)

    def energy(self) -> Tensor:
        """(r,): share of each triplet in the squared Frobenius norm of the tensor: 1/K times its sum over all K frequencies."""
        count = self.u.shape[0]
        weights = frequency_weights(count).to(self.singular_values.device)
        return (weights[:, None] * self.singular_values**2).sum(0) / count


def t_svd(w: Tensor, rank: int | None = None) -> TensorSVD:
    """The t-SVD of (K, m, n), or its `rank` leading triplets.

    An SVD leaves the phase of each singular pair open; the product does not depend on it, but the real factors and their
    training do. So the entry of largest modulus in every column of U^ is made real and positive, and the frequencies that are
    real (zero, and Nyquist for even K) are decomposed by a real SVD. Computed in
    float64, but for a few triplets of large matrices (see _leading).
    Raises ValueError for a rank outside 1 to min(m, n).
    """
    count, m, n = w.shape
    bound = min(m, n)
    rank = bound if rank is None else rank
    if not 1 <= rank <= bound:
        raise ValueError(f"rank {rank} is outside 1 to {bound}, the smaller side of {m} x {n} slices")
    transformed = to_frequencies(w.detach().double())
    real = [0, count // 2] if count % 2 == 0 and count > 1 else [0]
    between = [f for f in range(transformed.shape[0]) if f not in real]
    u = transformed.new_empty(transformed.shape[0], m, rank)
    v = transformed.new_empty(transformed.shape[0], n, rank)
    values = transformed.real.new_empty(transformed.shape[0], rank)
    for indices, matrices in ((real, transformed[real].real), (between, transformed[between])):
        if indices:
            left, singular, right = _svd(matrices, rank)
            phase = _gauge(left)
            u[indices], v[indices], values[indices] = (left * phase).to(u.dtype), (right * phase).to(v.dtype), singular
    return TensorSVD(to_slices(u, count), to_slices(values.to(u.dtype), count), to_slices(v, count), values)


def _gauge(u: Tensor) -> Tensor:
    """(F, 1, r) of modulus 1: what makes the largest entry of each column of U real and positive."""
    where = u.abs().argmax(1, keepdim=True)
    largest = u.gather(1, where)
    return largest.conj() / largest.abs()


def _svd(a: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """(U, s, V) of the `rank` leading triplets of every matrix of (F, m, n)."""
    side = min(a.shape[1:])
    if side >= SMALLEST_LEADING and rank + OVERSAMPLING <= LEADING_SHARE * side:
        found = _leading(a, rank)
        if found is not None:
            return found
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    return u[..., :rank], s[..., :rank], vh.mH[..., :rank]


def _leading(a: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor] | None:
    """The leading triplets from a block Krylov subspace (Musco and Musco 2015), or None where it does not converge in time.

    In single precision, on the smaller side. The basis is kept orthonormal block by block; every few blocks the matrix is
    projected on it (Rayleigh-Ritz) and the residuals are checked.
    """
    if a.shape[1] < a.shape[2]:
        turned = _leading(a.mH, rank)
        return (turned[2], turned[1], turned[0]) if turned is not None else None
    kind = a.dtype
    a = a.to(torch.complex64 if a.is_complex() else torch.float32)
    block = rank + OVERSAMPLING
    generator = torch.Generator(device="cpu").manual_seed(0)
    start = torch.randn(a.shape[2], block, generator=generator).to(a.device, a.dtype)
    basis = torch.linalg.qr(start.expand(a.shape[0], -1, -1))[0]
    images = a @ basis
    blocks = 1
    while basis.shape[2] + block <= a.shape[2] // 2:
        newest = a.mH @ images[..., -block:]
        for _ in range(2):  # once is not enough in rounded arithmetic
            newest = torch.linalg.qr(newest - basis @ (basis.mH @ newest))[0]
        basis, images = torch.cat([basis, newest], 2), torch.cat([images, a @ newest], 2)
        blocks += 1
        if blocks % CHECK_EVERY == 0:
            squares, directions = torch.linalg.eigh(images.mH @ images)
            directions, s = directions[..., -rank:].flip(-1), squares[..., -rank:].flip(-1).clamp_min(1e-30).sqrt()
            u, v = images @ directions / s.unsqueeze(1), basis @ directions
            residual = torch.linalg.vector_norm(a.mH @ u - v * s.unsqueeze(1), dim=1)
            if bool((residual <= TOLERANCE * s[:, :1]).all()):
                return u.to(kind), s.to(torch.float64), v.to(kind)
    return None
