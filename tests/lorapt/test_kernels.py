"""Laws 3 to 9 on kernels of convolutions: each a stack of its own, a slice for each position."""

import copy

import pytest
import torch
from torch import Tensor, nn

from hippopt.lorapt import Adaptation, RankError, Slot, Stack, StackError, adapt, factor_count, gather, kernel_stack
from hippopt.lorapt import factors as kernel_factors
from tests.lorapt import reference

CORES = ["diagonal", "dense"]
KERNELS = {
    "0.weight": ((3, 3, 3), 6, 4),
    "1.weight": ((2, 2, 2), 5, 6),
    "3.weight": ((1, 1, 1), 4, 5),
}  # size, outputs m, inputs n
BOUND = 4


class Convolutions(nn.Sequential):
    """A convolution, a transposed one, a non-linear step and a
    convolution of one voxel: (B, 4, Z, Y, X) -> (B, 4, 2 Z, 2 Y, 2 X).
    """

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(
            nn.Conv3d(4, 6, 3, padding=1, bias=False),
            nn.ConvTranspose3d(6, 5, 2, stride=2),
            nn.Tanh(),
            nn.Conv3d(5, 4, 1),
        )

    def stacks(self, group: bool = True) -> list[Stack]:
        """Over the cycles of the three axes, or over one cycle in raster order."""
        found = [kernel_stack(f"k{name[0]}", name, size, name == "1.weight") for name, (size, _, _) in KERNELS.items()]
        return found if group else [Stack(stack.name, stack.slots) for stack in found]


@pytest.fixture
def model() -> Convolutions:
    return Convolutions()


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 4, 3, 4, 5, generator=torch.Generator().manual_seed(7))


def move(adaptation: Adaptation) -> None:
    """Move every factor, as training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for factor in adaptation.factors.values():
            factor += 0.1 * torch.randn(factor.shape, generator=generator)


def test_the_sides_of_a_slice_are_outputs_and_inputs(model: Convolutions) -> None:
    """A transposed convolution stores (inputs, outputs, ...); its slices are outputs x inputs all the same."""
    weights = dict(model.named_parameters())
    for stack in model.stacks():
        size, m, n = KERNELS[stack.slots[0].parameter]
        assert stack.group == size  # the product of the cycles of the axes, not one cycle in raster order
        slices = gather(weights, stack)
        assert slices.shape == (torch.Size(size).numel(), m, n)
        weight = weights[stack.slots[0].parameter].detach()
        swapped = weight.transpose(0, 1) if stack.name == "k1" else weight
        torch.testing.assert_close(slices[-1], swapped[:, :, size[0] - 1, size[1] - 1, size[2] - 1])
        torch.testing.assert_close(
            slices[1 % len(slices)], swapped[:, :, 0, 0, 1 % size[2]]
        )  # raster order: the last axis first


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("rank", [1, 2, BOUND])
def test_law_3_at_the_start_nothing_changes(
    model: Convolutions, image: Tensor, core: str, balance: bool, rank: int
) -> None:
    before = model(image)
    adapt(model, model.stacks(), rank, core=core, balance=balance)
    torch.testing.assert_close(model(image), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("core", CORES)
def test_law_4_every_factor_moves_and_nothing_else(model: Convolutions, image: Tensor, core: str) -> None:
    adaptation = adapt(model, model.stacks(), 2, core=core)
    assert not any(parameter.requires_grad for name, parameter in model.named_parameters() if name in KERNELS)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("lorapt."))
    assert set(adaptation.factors) == {f"k{number}.{part}" for number in "013" for part in "usv"}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(image).square().sum().backward()
    for name, factor in adaptation.factors.items():
        assert factor.grad is not None and bool((factor.grad.abs().amax(tuple(range(1, factor.ndim))) > 0).all()), name
    torch.optim.Adam(adaptation.factors.values(), 1e-3).step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("lorapt.")), name


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("group", [True, False], ids=["axes", "raster"])
@pytest.mark.parametrize("rank", [1, 3])
def test_law_5_value_and_gradient_are_those_of_the_definition(
    model: Convolutions, image: Tensor, core: str, group: bool, rank: int
) -> None:
    """The reference: float64, each kernel put together position by position from block-circulant products."""
    adaptation = adapt(model, model.stacks(group), rank, core=core)
    move(adaptation)
    factors = {name: factor.detach().double().requires_grad_() for name, factor in adaptation.factors.items()}
    values = {
        name: value.detach().double() for name, value in model.named_parameters() if not name.startswith("lorapt.")
    }
    for stack in model.stacks(group):
        principal = reference.principal(*(factors[f"{stack.name}.{part}"] for part in "usv"), stack.group)
        name = stack.slots[0].parameter
        kernel = torch.stack([part.T if name == "1.weight" else part for part in principal], -1)
        values[name] = values[name] + kernel.reshape(values[name].shape)
    expected = torch.func.functional_call(Convolutions().double(), values, (image.double(),))
    expected.square().sum().backward()
    found = model(image)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    found.square().sum().backward()
    for name, factor in adaptation.factors.items():
        scale = factors[name].grad.abs().max()
        assert (factor.grad.double() - factors[name].grad).abs().max() < 1e-4 * scale, name


def test_law_5_in_bfloat16_no_transform_is_taken_in_half_precision(
    model: Convolutions, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    adaptation = adapt(model, model.stacks(), 2)
    move(adaptation)
    exact = model(image)
    kinds: set[torch.dtype] = set()
    plain = kernel_factors.spectrum

    def watched(a: Tensor, group: tuple[int, ...]) -> tuple[Tensor, ...]:
        found = plain(a, group)
        kinds.update((a.dtype, *(part.dtype for part in found)))
        return found

    monkeypatch.setattr(kernel_factors, "spectrum", watched)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(image)
    assert rough.dtype == torch.bfloat16 and (rough - exact).abs().max() < 0.05 * exact.abs().max()
    assert kinds == {torch.float32}
    rough.float().square().sum().backward()
    assert all(factor.grad.dtype == torch.float32 and bool(factor.grad.any()) for factor in adaptation.factors.values())


def test_a_kernel_is_built_once_in_a_forward_pass_that_uses_it_twice(image: Tensor) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.conv(x))

    model = Twice()
    adaptation = adapt(model, [kernel_stack("k", "conv.weight", (3, 3, 3))], 2)
    factors = next(module for module in model.modules() if hasattr(module, "principal"))
    built = []
    plain = factors._kernel
    factors._kernel = lambda: built.append(1) or plain()
    model(image).sum().backward()
    assert len(built) == 1 and all(bool(factor.grad.any()) for factor in adaptation.factors.values())
    model(image)
    assert len(built) == 2  # and anew in the next, when the factors may have moved


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("rank", [1, 3])
def test_law_6_the_trainable_count_is_the_formula(model: Convolutions, core: str, rank: int) -> None:
    adaptation = adapt(model, model.stacks(), rank, core=core)
    expected = sum(factor_count(m, n, torch.Size(size).numel(), rank, core) for size, m, n in KERNELS.values())
    assert sum(factor.numel() for factor in adaptation.factors.values()) == expected


def test_law_7_merging_is_exact_idempotent_and_undone_exactly(model: Convolutions, image: Tensor) -> None:
    keys = {name: value.shape for name, value in model.state_dict().items()}
    adaptation = adapt(model, model.stacks(), 2)
    move(adaptation)
    adapted = model(image)
    unmerged = {name: value.clone() for name, value in model.state_dict().items()}
    adaptation.merge()
    assert {name: value.shape for name, value in model.state_dict().items()} == keys
    assert [type(module) for module in model] == [nn.Conv3d, nn.ConvTranspose3d, nn.Tanh, nn.Conv3d]
    torch.testing.assert_close(model(image), adapted, rtol=1e-5, atol=1e-5)
    once = {name: value.clone() for name, value in model.state_dict().items()}
    adaptation.merge()
    assert all(torch.equal(value, once[name]) for name, value in model.state_dict().items())
    adaptation.unmerge()
    after = model.state_dict()
    assert set(after) == set(unmerged) and all(torch.equal(after[name], value) for name, value in unmerged.items())
    assert torch.equal(model(image), adapted)


def test_the_change_is_what_training_added_to_the_kernels(model: Convolutions) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adaptation = adapt(model, model.stacks(), 2)
    move(adaptation)
    change = adaptation.change()
    adaptation.merge()
    added = {name: value - before[name] for name, value in model.state_dict().items()}
    for stack in model.stacks():
        torch.testing.assert_close(torch.stack(change[stack.name]), gather(added, stack), rtol=1e-4, atol=1e-5)


def test_law_8_initial_and_trained_factors_restore_the_function_without_an_svd(
    model: Convolutions, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy.deepcopy(model)
    adaptation = adapt(model, model.stacks(), 2)
    initial = adaptation.initial_state()
    move(adaptation)
    monkeypatch.setattr(torch.linalg, "svd", None)  # another machine's SVD must not matter
    adapt(other, other.stacks(), 2, initial=initial, trained=adaptation.state())
    assert torch.equal(other(image), model(image))


@pytest.mark.parametrize(("number", "bound"), [(0, 4), (1, 5), (2, 4)])
def test_law_9_a_rank_beyond_the_smaller_side_is_refused_with_the_bound(
    model: Convolutions, number: int, bound: int
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stack = model.stacks()[number]
    with pytest.raises(RankError, match=f"{stack.name}: tubal rank {bound + 1} is outside 1 to {bound}"):
        adapt(model, [stack], bound + 1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_kernels_beside_linear_layers(image: Tensor) -> None:
    """One model, stacks of both kinds: each on its own path, merged together."""
    model = nn.Sequential(nn.Conv3d(4, 6, 1), nn.Flatten(2), nn.Linear(60, 60), nn.Linear(60, 60))
    before = model(image)
    rows = Stack("rows", tuple(Slot(f"{i}.weight", 0, 60) for i in (2, 3)))
    adaptation = adapt(
        model, [rows, kernel_stack("kernel", "0.weight", (1, 1, 1))], {"rows": 3, "kernel": 2}, path="activations"
    )
    torch.testing.assert_close(model(image), before, rtol=1e-4, atol=1e-4)
    move(adaptation)
    adapted = model(image)
    adaptation.set_path("weights")
    torch.testing.assert_close(model(image), adapted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(adaptation.merge()(image), adapted, rtol=1e-4, atol=1e-4)


def test_stacks_that_are_not_one_kernel_are_refused(model: Convolutions) -> None:
    first, second, _ = model.stacks()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for stack, words in (
        (Stack("part", first.slots[:3]), "not every position of the one kernel 0.weight"),
        (Stack("turned", first.slots[::-1], first.group), "in raster order"),
        (Stack("group", first.slots, (3, 9)), "neither the kernel's size"),
        (Stack("count", first.slots, (2, 2, 2)), "27 slots are not the elements"),
        (
            kernel_stack("side", "0.weight", (3, 3, 3), transposed=True),
            "not the weight of a transposed convolution but of Conv3d",
        ),
        (kernel_stack("side", "1.weight", (2, 2, 2)), "not the weight of a convolution but of ConvTranspose3d"),
        (kernel_stack("size", "0.weight", (4, 3, 3)), "shape"),
        (kernel_stack("nowhere", "9.weight", (3, 3, 3)), "no such parameter"),
    ):
        with pytest.raises(StackError, match=words):
            adapt(model, [stack], 1)
    with pytest.raises(StackError, match="stands in two slots"):
        adapt(model, [first, Stack("again", first.slots)], 1)
    with pytest.raises(StackError, match="different shapes"):
        adapt(model, [Stack("mixed", (*first.slots, *second.slots))], 1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert type(model[0]) is nn.Conv3d
