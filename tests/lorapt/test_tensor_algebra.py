"""Laws 1 and 2: the t-product, the t-SVD and its truncation."""

import pytest
import torch

from hippopt.lorapt import t_identity, t_product, t_svd, t_transpose
from hippopt.lorapt import tensor_svd as module
from hippopt.lorapt.tensor_algebra import frequency_weights, inverse_transform, is_real, to_frequencies, to_slices
from tests.lorapt import reference

SHAPES = [(1, 4, 3), (2, 3, 5), (3, 5, 3), (4, 4, 4), (5, 2, 6), (6, 6, 2), (7, 3, 3)]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_law_1_the_t_product_is_the_block_circulant_product(shape: tuple[int, int, int]) -> None:
    count, m, n = shape
    a, b = random(count, m, n), random(count, n, 4, seed=1)
    torch.testing.assert_close(t_product(a, b), reference.product(a, b))


@pytest.mark.parametrize("shape", SHAPES)
def test_law_1_algebra_of_transpose_and_identity(shape: tuple[int, int, int]) -> None:
    count, m, n = shape
    a, b = random(count, m, n), random(count, n, 4, seed=1)
    torch.testing.assert_close(t_transpose(a), reference.transpose(a))
    torch.testing.assert_close(t_transpose(t_transpose(a)), a)
    torch.testing.assert_close(t_transpose(t_product(a, b)), t_product(t_transpose(b), t_transpose(a)))
    torch.testing.assert_close(t_product(t_identity(m, count, a), a), a)
    torch.testing.assert_close(t_product(a, t_identity(n, count, a)), a)


@pytest.mark.parametrize("shape", SHAPES)
def test_law_2_the_full_t_svd_reconstructs_and_is_orthogonal(shape: tuple[int, int, int]) -> None:
    count, m, n = shape
    w = random(count, m, n)
    svd = t_svd(w)
    torch.testing.assert_close(svd.reconstruct(), w)
    torch.testing.assert_close(reference.principal(svd.u, svd.s, svd.v), w)
    rank = min(m, n)
    for side in (svd.u, svd.v):
        torch.testing.assert_close(reference.product(reference.transpose(side), side), t_identity(rank, count, w))


@pytest.mark.parametrize("shape", SHAPES)
def test_law_2_the_truncation_error_is_the_dropped_energy_over_all_frequencies(shape: tuple[int, int, int]) -> None:
    count, m, n = shape
    w = random(count, m, n)
    values = reference.singular_values(w)
    for rank in range(1, min(m, n) + 1):
        svd = t_svd(w, rank)
        error = (w - reference.principal(svd.u, svd.s, svd.v)).square().sum()
        torch.testing.assert_close(error, values[:, rank:].square().sum() / count)
        torch.testing.assert_close(svd.energy().sum(), values[:, :rank].square().sum() / count)
        torch.testing.assert_close(t_svd(w).truncate(rank).reconstruct(), svd.reconstruct())


def test_law_2_one_slice_is_the_matrix_svd() -> None:
    w = random(1, 5, 4)
    u, s, vh = torch.linalg.svd(w[0], full_matrices=False)
    svd = t_svd(w, 2)
    torch.testing.assert_close(svd.s[0], s[:2])
    torch.testing.assert_close(svd.reconstruct()[0], u[:, :2] * s[:2] @ vh[:2])


@pytest.mark.parametrize("shape", [(4, 4, 3), (5, 3, 4)])
def test_law_6_the_factors_do_not_depend_on_the_gauge_of_the_svd(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_the_gauge_and_compare(random(*shape), (), monkeypatch)


def turn_the_gauge_and_compare(w: torch.Tensor, group: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn every singular pair by a random phase (a sign where the slice is real): the real factors stay."""
    before = t_svd(w, 2, group)
    plain = torch.linalg.svd

    def turned(a: torch.Tensor, full_matrices: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        u, s, vh = plain(a, full_matrices=full_matrices)
        generator = torch.Generator().manual_seed(3)
        angle = torch.rand(s.shape, generator=generator, dtype=torch.float64) * 6.28
        phase = torch.polar(torch.ones_like(angle), angle) if a.is_complex() else torch.sign(torch.cos(angle))
        return u * phase.unsqueeze(-2), s, phase.conj().unsqueeze(-1) * vh

    monkeypatch.setattr(torch.linalg, "svd", turned)
    after = t_svd(w, 2, group)
    for name in ("u", "s", "v"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name))


def test_the_factors_are_real_for_even_counts() -> None:
    """An arbitrary phase in the zero or the Nyquist slice would
    leave an imaginary part that irfft drops: an error of order 1.
    """
    w = random(6, 5, 4)
    for rank in (1, 2, 3):
        svd = t_svd(w, rank)
        torch.testing.assert_close(
            torch.fft.rfft(svd.u, dim=0).abs().square().sum(1), torch.ones(4, rank, dtype=torch.float64)
        )


@pytest.mark.parametrize(("m", "n"), [(300, 300), (400, 280), (280, 400)])
def test_leading_triplets_equal_those_of_the_whole_svd(m: int, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    strong = random(4, m, 4) * torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)
    w = t_product(strong, random(4, 4, n, seed=1)) + 0.01 * random(4, m, n, seed=2)
    whole = t_svd(w).truncate(3)
    found = []
    leading = module._leading
    monkeypatch.setattr(module, "_leading", lambda a, rank: found.append(leading(a, rank)) or found[-1])
    fast = t_svd(w, 3)
    assert found and all(part is not None for part in found)  # the short way was taken
    scale = float(whole.reconstruct().abs().max())
    torch.testing.assert_close(fast.reconstruct(), whole.reconstruct(), rtol=0, atol=1e-4 * scale)
    torch.testing.assert_close(fast.singular_values, whole.singular_values, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("m", "n"), [(260, 300), (300, 260)])
@pytest.mark.parametrize("count", [2, 3])
def test_leading_triplets_of_a_steep_spectrum(m: int, n: int, count: int) -> None:
    """Over five decades: the Gram matrix of single precision loses the last ones, and the whole SVD takes its place."""
    left, right = (torch.linalg.qr(random(count, side, 20, seed=side))[0] for side in (m, n))
    w = left * torch.logspace(0, -5, 20, dtype=torch.float64) @ right.mT
    whole = t_svd(w).truncate(20)
    torch.testing.assert_close(t_svd(w, 20).reconstruct(), whole.reconstruct(), rtol=0, atol=3e-5)
    torch.testing.assert_close(t_svd(w, 20).singular_values, whole.singular_values, rtol=0, atol=3e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_slices_apart_give_what_a_stack_gives(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    w = random(*shape)
    monkeypatch.setattr(module, "ROWS", 2)  # more than one piece
    for name in ("u", "s", "v"):
        torch.testing.assert_close(getattr(t_svd(list(w)), name), getattr(t_svd(w), name), rtol=0, atol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_law_1_the_inverse_transform_as_a_matrix(shape: tuple[int, int, int]) -> None:
    a = random(*shape)
    transformed = torch.fft.rfft(a, dim=0)
    both = (
        transformed.real if is_real(shape[:1]) else torch.stack([transformed.real, transformed.imag], 1).flatten(0, 1)
    )
    torch.testing.assert_close(torch.tensordot(inverse_transform((shape[0],), a), both, 1), a)


@pytest.mark.parametrize("rank", [0, 4])
def test_law_9_a_rank_beyond_the_bound_is_refused(rank: int) -> None:
    with pytest.raises(ValueError, match="1 to 3"):
        t_svd(random(2, 3, 5), rank)


GROUPS = [
    ((3, 3, 3), 4, 2),
    ((2, 2, 2), 3, 5),
    ((1, 1, 1), 4, 3),
    ((2, 3), 3, 3),
    ((1, 3, 4), 2, 4),
]  # with the sides of their slices


@pytest.mark.parametrize(("group", "m", "n"), GROUPS)
def test_law_1_over_the_positions_of_a_kernel(group: tuple[int, ...], m: int, n: int) -> None:
    """The t-product over a product of cycles is block-circulant in each axis, and its algebra is that of one cycle."""
    count = torch.Size(group).numel()
    a, b = random(count, m, n), random(count, n, 3, seed=1)
    whole = t_product(a, b, group)
    torch.testing.assert_close(whole, reference.product(a, b, group))
    torch.testing.assert_close(t_transpose(a, group), reference.transpose(a, group))
    torch.testing.assert_close(
        t_transpose(whole, group), t_product(t_transpose(b, group), t_transpose(a, group), group)
    )
    torch.testing.assert_close(t_product(t_identity(m, count, a), a, group), a)
    torch.testing.assert_close(t_product(a, t_identity(n, count, a), group), a)
    transformed = to_frequencies(a, group)
    torch.testing.assert_close(to_slices(transformed, group), a)
    assert len(transformed) == len(frequency_weights(group)) and frequency_weights(group).sum() == count
    if min(group) > 1 and len(group) > 1:
        assert not torch.allclose(whole, t_product(a, b))  # it is not the product over one cycle


@pytest.mark.parametrize(("group", "m", "n"), GROUPS)
def test_law_2_over_the_positions_of_a_kernel(group: tuple[int, ...], m: int, n: int) -> None:
    count = torch.Size(group).numel()
    w = random(count, m, n)
    values = reference.singular_values(w, group)
    whole = t_svd(w, group=group)
    torch.testing.assert_close(reference.principal(whole.u, whole.s, whole.v, group), w)
    for side in (whole.u, whole.v):
        identity = t_identity(min(m, n), count, w)
        torch.testing.assert_close(reference.product(reference.transpose(side, group), side, group), identity)
    for rank in range(1, min(m, n) + 1):
        svd = t_svd(w, rank, group)
        kept = reference.principal(svd.u, svd.s, svd.v, group)
        torch.testing.assert_close(kept, svd.reconstruct())
        torch.testing.assert_close(kept, whole.truncate(rank).reconstruct())
        torch.testing.assert_close((w - kept).square().sum(), values[:, rank:].square().sum() / count)
        torch.testing.assert_close(svd.energy().sum(), values[:, :rank].square().sum() / count)


@pytest.mark.parametrize("group", [(3, 3, 3), (2, 2, 2)])
def test_law_6_over_the_positions_of_a_kernel_the_gauge_does_not_matter(
    group: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_the_gauge_and_compare(random(torch.Size(group).numel(), 4, 3), group, monkeypatch)


def test_a_group_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="26 slices"):
        t_svd(random(26, 2, 2), 1, (3, 3, 3))
