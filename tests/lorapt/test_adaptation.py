"""Laws 3 to 9 on an adapted model."""

import copy

import pytest
import torch
from torch import Tensor

from hippopt.lorapt import RankError, StackError, adapt, cheaper_path, factor_count, gather, projection, t_svd
from hippopt.lorapt.factors import initial_factors
from tests.lorapt import reference
from tests.lorapt.conftest import Blocks

CORES = ["diagonal", "dense"]
BOUND = 6


def move(adaptation: "object", seed: int = 1) -> None:
    """Move every factor, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for factor in adaptation.factors.values():  # type: ignore[attr-defined]
            factor += 0.1 * torch.randn(factor.shape, generator=generator)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("path", ["activations", "weights"])
@pytest.mark.parametrize("rank", [1, 2, BOUND])
def test_law_3_at_the_start_nothing_changes(
    blocks: Blocks, tokens: Tensor, core: str, balance: bool, path: str, rank: int
) -> None:
    before = blocks(tokens)
    adapt(blocks, blocks.stacks(), rank, core=core, balance=balance, path=path)
    torch.testing.assert_close(blocks(tokens), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("shape", [(4, 6, 3), (5, 3, 6), (1, 4, 4)])
def test_law_2_the_initial_factors_are_the_best_approximation(
    shape: tuple[int, int, int], core: str, balance: bool
) -> None:
    """In float32, with either form of S, and wherever the root of S is put: a law of the start would not
    see another P.
    """
    w = torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    for rank in range(1, min(shape[1:]) + 1):
        svd = t_svd(w, rank)
        found = initial_factors(svd, core, balance)
        assert {name: value.dtype for name, value in found.items()} == dict.fromkeys("usv", torch.float32)
        wanted = reference.principal(svd.u, svd.s, svd.v)
        torch.testing.assert_close(
            reference.principal(*(found[name].double() for name in "usv")), wanted, rtol=1e-5, atol=1e-5
        )
        energy = [found[name].double().square().sum() for name in "uv"]
        if balance:  # sqrt(S) on either side
            torch.testing.assert_close(energy[0], energy[1])
            first = torch.zeros_like(found["s"])
            first[0] = 1 if core == "diagonal" else torch.eye(rank)
            torch.testing.assert_close(found["s"], first, rtol=0, atol=1e-6)
        else:
            torch.testing.assert_close(energy[0], torch.tensor(float(rank), dtype=torch.float64))


def test_the_rounded_residual_follows_the_weights(blocks: Blocks, tokens: Tensor) -> None:
    """Under autocast it is rounded once, not at every step; weights loaded later must still be seen."""
    adaptation = adapt(blocks, blocks.stacks(), 2, path="activations")
    other = {
        name: value + 0.5 if name.endswith("up.weight") else value.clone()
        for name, value in blocks.state_dict().items()
    }
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        before = blocks(tokens)
        assert torch.equal(blocks(tokens), before)
        blocks.load_state_dict(other)
        after = blocks(tokens)
        adaptation.set_path("weights")
        built = blocks(tokens)
    assert (after - before).abs().max() > 0.2
    assert (after - built).abs().max() < 0.05 * built.abs().max()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("path", ["activations", "weights"])
def test_law_4_every_factor_moves_and_nothing_else(
    blocks: Blocks, tokens: Tensor, core: str, balance: bool, path: str
) -> None:
    adaptation = adapt(blocks, blocks.stacks(), 2, core=core, balance=balance, path=path)
    stacked = {slot.parameter for stack in blocks.stacks() for slot in stack.slots}
    assert not any(parameter.requires_grad for name, parameter in blocks.named_parameters() if name in stacked)
    for name, parameter in blocks.named_parameters():
        parameter.requires_grad_(name.startswith("lorapt."))
    assert set(adaptation.factors) == {f"{stack}.{part}" for stack in ("attention", "up", "down") for part in "usv"}
    before = {name: value.clone() for name, value in blocks.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in blocks.parameters() if p.requires_grad], 1e-3)
    blocks(tokens).square().sum().backward()
    for name, factor in adaptation.factors.items():
        assert factor.grad is not None and bool((factor.grad.abs().amax(tuple(range(1, factor.ndim))) > 0).all()), name
    optimizer.step()
    for name, value in blocks.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("lorapt.")), name


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("rank", [1, 3, BOUND])
def test_law_5_both_paths_agree_with_the_definition_in_value_and_gradient(
    blocks: Blocks, tokens: Tensor, core: str, rank: int
) -> None:
    adaptation = adapt(blocks, blocks.stacks(), rank, core=core)
    move(adaptation)
    weights = copy.deepcopy({name: p for name, p in blocks.named_parameters() if not name.startswith("lorapt.")})

    # the reference: float64, weights put together slice by slice from the definition
    factors = {name: f.detach().double().requires_grad_() for name, f in adaptation.factors.items()}
    values = {name: p.detach().double() for name, p in weights.items()}
    for stack in blocks.stacks():
        principal = reference.principal(*(factors[f"{stack.name}.{part}"] for part in "usv"))
        for index, slot in enumerate(stack.slots):
            rows = torch.zeros_like(values[slot.parameter])
            rows = torch.cat([rows[: slot.start], principal[index], rows[slot.stop :]])
            values[slot.parameter] = values[slot.parameter] + rows
    plain = Blocks(len(blocks.blocks)).double()
    expected = torch.func.functional_call(plain, values, (tokens.double(),))
    expected.square().sum().backward()

    for path in ("activations", "weights", "auto"):
        adaptation.set_path(path)
        blocks.zero_grad()
        found = blocks(tokens)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
        found.square().sum().backward()
        for name, factor in adaptation.factors.items():
            scale = factors[name].grad.abs().max()
            assert (factor.grad.double() - factors[name].grad).abs().max() < 1e-4 * scale, (path, name)


def gradients(adaptation: "object", loss: Tensor) -> dict[str, Tensor]:
    loss.backward(retain_graph=True)
    found = {name: factor.grad.clone() for name, factor in adaptation.factors.items()}  # type: ignore[attr-defined]
    adaptation.model.zero_grad()  # type: ignore[attr-defined]
    return found


def test_law_5_gradients_stay_the_same_however_they_are_summed(
    blocks: Blocks, tokens: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one product or in many; after another backward pass; after
    one for the inputs alone, which uses none of what it collects.
    """
    adaptation = adapt(blocks, blocks.stacks(), 2, path="activations")
    move(adaptation)
    inputs = tokens.clone().requires_grad_()
    loss = blocks(inputs).square().sum()
    once = gradients(adaptation, loss)
    again = gradients(adaptation, loss)
    torch.autograd.grad(loss, inputs, retain_graph=True)
    after = gradients(adaptation, loss)
    monkeypatch.setattr(projection, "COLLECTED_TOKENS", 15)
    pieces = gradients(adaptation, blocks(inputs).square().sum())
    for name, wanted in once.items():
        assert torch.equal(again[name], wanted) and torch.equal(after[name], wanted), name
        torch.testing.assert_close(pieces[name], wanted, rtol=1e-4, atol=1e-4)


def test_law_5_the_gradient_of_the_input(blocks: Blocks, tokens: Tensor) -> None:
    adaptation = adapt(blocks, blocks.stacks(), 2)
    move(adaptation)
    found = []
    for path in ("activations", "weights"):
        adaptation.set_path(path)
        inputs = tokens.clone().requires_grad_()
        found.append(torch.autograd.grad(blocks(inputs).square().sum(), inputs)[0])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", ["activations", "weights"])
def test_law_5_in_bfloat16_to_its_own_rounding(blocks: Blocks, tokens: Tensor, path: str) -> None:
    adaptation = adapt(blocks, blocks.stacks(), 2, path=path)
    move(adaptation)
    exact = blocks(tokens)
    wanted = gradients(adaptation, exact.square().sum())
    with torch.autocast("cpu", torch.bfloat16):
        rough = blocks(tokens)
    assert rough.dtype == torch.bfloat16 and (rough - exact).abs().max() < 0.05 * exact.abs().max()
    for name, gradient in gradients(adaptation, rough.float().square().sum()).items():
        assert gradient.dtype == torch.float32
        assert (gradient - wanted[name]).norm() < 0.05 * wanted[name].norm(), name


@pytest.mark.parametrize("path", ["activations", "weights"])
def test_law_5_a_model_in_double_precision(blocks: Blocks, tokens: Tensor, path: str) -> None:
    blocks.double()
    before = blocks(tokens.double())
    adaptation = adapt(blocks, blocks.stacks(), 2, path=path)
    after = blocks(tokens.double())
    assert after.dtype == torch.float64
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    gradients(adaptation, after.square().sum())


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_law_6_the_trainable_count_is_the_formula(blocks: Blocks, core: str, rank: int) -> None:
    adaptation = adapt(blocks, blocks.stacks(), rank, core=core)
    layers = len(blocks.blocks)
    expected = sum(
        factor_count(m, n, k, rank, core) for m, n, k in ((6, 6, 4 * layers), (10, 6, layers), (6, 10, layers))
    )
    assert sum(factor.numel() for factor in adaptation.factors.values()) == expected


def test_law_6_the_papers_network_at_rank_1() -> None:
    """The paper's figure: 165,960 factors with either form of S (lora_pt.md)."""
    for core in ("diagonal", "dense"):
        assert 2 * factor_count(3072, 768, 12, 1, core) + factor_count(768, 768, 48, 1, core) == 165_960


@pytest.mark.parametrize("core", CORES)
def test_law_7_merging_is_exact_idempotent_and_undone_exactly(blocks: Blocks, tokens: Tensor, core: str) -> None:
    keys = {name: value.shape for name, value in blocks.state_dict().items()}
    adaptation = adapt(blocks, blocks.stacks(), 2, core=core)
    move(adaptation)
    adapted = blocks(tokens)
    unmerged = {name: value.clone() for name, value in blocks.state_dict().items()}
    adaptation.merge()
    assert {name: value.shape for name, value in blocks.state_dict().items()} == keys
    assert all(type(module) is torch.nn.Linear for module in (blocks.blocks[0].qkv, blocks.blocks[0].down))
    torch.testing.assert_close(blocks(tokens), adapted, rtol=1e-5, atol=1e-5)
    once = {name: value.clone() for name, value in blocks.state_dict().items()}
    adaptation.merge()
    assert all(torch.equal(value, once[name]) for name, value in blocks.state_dict().items())
    adaptation.unmerge()
    after = blocks.state_dict()
    assert set(after) == set(unmerged) and all(torch.equal(after[name], value) for name, value in unmerged.items())
    assert torch.equal(blocks(tokens), adapted)


@pytest.mark.parametrize("core", CORES)
def test_law_8_initial_and_trained_factors_restore_the_function_without_an_svd(
    blocks: Blocks, tokens: Tensor, core: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy.deepcopy(blocks)
    adaptation = adapt(blocks, blocks.stacks(), 2, core=core)
    initial = adaptation.initial_state()
    move(adaptation)
    trained = {name: factor.detach().clone() for name, factor in adaptation.factors.items()}
    monkeypatch.setattr(torch.linalg, "svd", None)  # another machine's SVD must not matter
    adapt(other, other.stacks(), 2, core=core, initial=initial, trained=trained)
    assert torch.equal(other(tokens), blocks(tokens))
    assert not torch.equal(initial["up.u"], trained["up.u"])


@pytest.mark.parametrize("rank", [0, BOUND + 1])
def test_law_9_a_rank_beyond_the_bound_is_refused_with_the_bound(blocks: Blocks, rank: int) -> None:
    before = {name: value.clone() for name, value in blocks.state_dict().items()}
    with pytest.raises(RankError, match=f"1 to {BOUND}"):
        adapt(blocks, blocks.stacks(), rank)
    assert all(torch.equal(value, before[name]) for name, value in blocks.state_dict().items())


@pytest.mark.parametrize("stack", range(3))
def test_law_9_the_bound_is_the_smaller_side_of_every_stack(blocks: Blocks, stack: int) -> None:
    chosen = blocks.stacks()[stack]
    with pytest.raises(RankError, match=f"{chosen.name}: tubal rank {BOUND + 1} is outside 1 to {BOUND}"):
        adapt(blocks, [chosen], BOUND + 1)


def test_an_option_that_there_is_not_is_refused_before_anything_changes(blocks: Blocks) -> None:
    before = {name: value.clone() for name, value in blocks.state_dict().items()}
    with pytest.raises(TypeError, match="balanced"):
        adapt(blocks, blocks.stacks(), 2, balanced=False)  # type: ignore[call-arg]
    assert all(torch.equal(value, before[name]) for name, value in blocks.state_dict().items())


def test_a_rank_for_each_stack(blocks: Blocks, tokens: Tensor) -> None:
    before = blocks(tokens)
    adaptation = adapt(blocks, blocks.stacks(), {"attention": 1, "up": 2, "down": 3})
    assert [adaptation.factors[f"{name}.u"].shape[2] for name in ("attention", "up", "down")] == [1, 2, 3]
    torch.testing.assert_close(blocks(tokens), before, rtol=1e-5, atol=1e-5)


def test_slots_that_leave_rows_of_a_weight_alone(blocks: Blocks, tokens: Tensor) -> None:
    """Query and value only: the rows of the key stay free of any change, on both paths."""
    before = blocks(tokens)
    stack = blocks.stacks()[0]
    chosen = type(stack)(
        "qv", tuple(slot for slot in stack.slots if slot.parameter.endswith("qkv.weight") and slot.start != 6)
    )
    adaptation = adapt(blocks, [chosen], 2)
    torch.testing.assert_close(blocks(tokens), before, rtol=1e-5, atol=1e-5)
    move(adaptation)
    by_path = []
    for path in ("activations", "weights"):
        adaptation.set_path(path)
        by_path.append(blocks.blocks[0].qkv(tokens))
    torch.testing.assert_close(by_path[0], by_path[1])
    adaptation.merge()
    key = blocks.blocks[0].qkv.weight[6:12]
    torch.manual_seed(len(blocks.blocks))
    fresh = Blocks(len(blocks.blocks))
    assert torch.equal(key, fresh.blocks[0].qkv.weight[6:12])


def test_attention_in_four_stacks(blocks: Blocks, tokens: Tensor) -> None:
    """Query, key and value of one layer then belong to stacks of their own, each with its own rank and projections."""
    before = blocks(tokens)
    attention = blocks.stacks()[0]
    four = [type(attention)(name, attention.slots[number::4]) for number, name in enumerate("qkvo")]
    adaptation = adapt(blocks, four, {"q": 1, "k": 2, "v": 3, "o": 2}, path="activations")
    torch.testing.assert_close(blocks(tokens), before, rtol=1e-5, atol=1e-5)
    move(adaptation)
    by_path = []
    for path in ("activations", "weights"):
        adaptation.set_path(path)
        by_path.append((blocks(tokens), gradients(adaptation, blocks(tokens).square().sum())))
    torch.testing.assert_close(by_path[0], by_path[1], rtol=1e-3, atol=1e-3)


def test_the_change_is_what_training_added_to_the_weights(blocks: Blocks) -> None:
    before = {name: value.clone() for name, value in blocks.state_dict().items()}
    adaptation = adapt(blocks, blocks.stacks(), 2)
    assert all(bool((part == 0).all()) for parts in adaptation.change().values() for part in parts)
    move(adaptation)
    change, state = adaptation.change(), adaptation.state()
    assert all(torch.equal(state[name], factor) for name, factor in adaptation.factors.items())
    adaptation.merge()
    for stack in blocks.stacks():
        for slot, added in zip(stack.slots, change[stack.name], strict=True):
            merged = blocks.state_dict()[slot.parameter]
            found = (merged - before[slot.parameter])[slot.start : slot.stop]
            torch.testing.assert_close(added, found, rtol=1e-4, atol=1e-5)


def test_rows_in_two_slots_are_refused(blocks: Blocks) -> None:
    attention, up, _ = blocks.stacks()
    before = {name: value.clone() for name, value in blocks.state_dict().items()}
    with pytest.raises(StackError, match="rows 6:12 stand in two slots"):
        adapt(blocks, [attention, type(attention)("keys", (attention.slots[1],))], 1)
    with pytest.raises(StackError, match="rows 0:10 stand in two slots"):
        adapt(blocks, [type(up)("twice", up.slots[:1] * 2)], 1)
    with pytest.raises(StackError, match="two of one name"):
        adapt(blocks, [up, up], 1)
    with pytest.raises(StackError, match="no slots"):
        adapt(blocks, [type(up)("none", ())], 1)
    assert all(torch.equal(value, before[name]) for name, value in blocks.state_dict().items())


def test_a_stack_that_does_not_fit_is_refused(blocks: Blocks) -> None:
    attention, up, _ = blocks.stacks()
    mixed = type(up)("mixed", (up.slots[0], attention.slots[0]))
    with pytest.raises(StackError, match="different shapes"):
        gather(dict(blocks.named_parameters()), mixed)
    unknown = type(up)("unknown", (type(up.slots[0])("nowhere.weight", 0, 6),))
    with pytest.raises(StackError, match="no such parameter"):
        adapt(blocks, [unknown], 1)


def test_the_cost_rule_prefers_activations_for_few_tokens_and_weights_for_many() -> None:
    assert cheaper_path(72, 3072, 768, 12, 4) == "activations"
    assert cheaper_path(100_000, 768, 768, 48, 16) == "weights"


def test_a_step_leaves_nothing_behind_and_prediction_comes_first() -> None:
    """Predicting before training (inference mode, bfloat16) does not
    spoil training; what a step shared is freed without the collector.
    """
    import gc
    import weakref

    from torch import nn

    from hippopt.lorapt import Slot, Stack, adapt

    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)))
    adaptation = adapt(
        model, [Stack("layers", tuple(Slot(f"{i}.weight", 0, 8) for i in range(3)))], 2, path="activations"
    )
    x = torch.randn(4, 8)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        model(x)
    shared: list[weakref.ref] = []
    factors = next(module for module in model.modules() if hasattr(module, "projections"))
    original = factors.projections

    def projections(kind: torch.dtype) -> object:
        found = original(kind)
        shared.append(weakref.ref(found))
        return found

    factors.projections = projections
    gc.collect()
    gc.disable()
    try:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(x).float().square().mean()
        loss.backward()
        del loss
        assert shared and all(reference() is None for reference in shared)
    finally:
        gc.enable()
    assert all(bool(parameter.grad.any()) for parameter in adaptation.factors.values())


def test_a_second_adaptation_is_refused_before_anything_changes() -> None:
    from torch import nn

    from hippopt.lorapt import Slot, Stack, StackError, adapt

    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))
    adapt(model, [Stack("first", (Slot("0.weight", 0, 8), Slot("1.weight", 0, 8)))], 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(StackError, match="already"):
        adapt(model, [Stack("second", (Slot("2.weight", 0, 8), Slot("3.weight", 0, 8)))], 2)
    after = model.state_dict()
    assert list(before) == list(after) and all(torch.equal(value, after[name]) for name, value in before.items())
    assert type(model[2]) is nn.Linear
