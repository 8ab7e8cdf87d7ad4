"""What every method trains, what it starts from, and what restores it. The laws are the same for all of them."""

import sys
from typing import Any, get_args

import pytest
import torch

from hippopt.artifacts.methods import METHODS, PLANNED, Method, check_package, default_rates
from hippopt.artifacts.plan import PLANNED_ADAPTER, AdapterSettings
from hippopt.artifacts.trained_words import WORDS, trains_in_words
from hippopt.errors import UsageError, WeightsError
from hippopt.networks.tuning import REST, TRAINED, Tuned, tune
from hippopt.networks.unetr import PARTS, UNUSED, also_trained, build_unetr
from hippopt.training.checkpoint import LoopState
from hippopt.training.loop import Budget, LoopHooks, Optimisation, train
from tests.records import TINY_NETWORK, changed, small_plan

PATCH = (16, 32, 16)
SETTINGS = AdapterSettings(
    rank=2, stacks=("attention", "mlp_up", "mlp_down"), core="diagonal", balance=True, also_trained=("decoder", "head")
)
ALL: tuple[Method, ...] = get_args(Method)
LOW_RANK = tuple(method for method in ALL if METHODS[method].ranked)
DECOMPOSED = tuple(method for method in ALL if METHODS[method].decomposes)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_unetr(1, 3, PATCH, TINY_NETWORK).eval()


def tuned_by(method: Method, rank: Any = 2, remade: tuple[str, ...] = (), **given: Any) -> Tuned:
    return tune(network(), method, TINY_NETWORK, changed(SETTINGS, rank=rank), remade, **given)


def initial_of(tuned: Tuned) -> dict[str, torch.Tensor] | None:
    """What the run's folder would hold."""
    return tuned.adaptation.initial_state() if METHODS[tuned.method].decomposes else None


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 1, *PATCH, generator=torch.Generator().manual_seed(seed))


def output(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(image())


def trained(
    tuned: Tuned, steps: int, state: LoopState | None = None, total: int | None = None, optimizer: Any = None
) -> Any:
    """`steps` steps of the real loop on noise; returns the optimiser.
    total: steps of the whole budget, which may go on later.
    """
    plan = small_plan(schedule=changed(small_plan().schedule, warmup_steps=0, steps_per_epoch=1000))
    state = state or LoopState()
    end = state.step + steps
    parameters = tuned.trainable()
    optimizer = optimizer or torch.optim.AdamW(parameters.values(), weight_decay=0.01)

    def batches() -> Any:
        while True:
            generator = torch.Generator().manual_seed(state.step)
            yield {
                "image": torch.randn(1, 1, *PATCH, generator=generator),
                "label": torch.randint(0, 3, (1, 1, *PATCH), generator=generator),
                "cases": [],
            }

    budget = Budget(total or end)
    hooks = LoopHooks(lambda *_: None, lambda *_: None, lambda *_: None, lambda: state.step >= end, tuned.penalty,
                      lambda updates: tuned.after_update(updates, budget.steps))  # fmt: skip
    train(tuned.model, Optimisation(parameters, optimizer, plan.schedule, 1e-2, False), batches(), budget, state, hooks)
    return optimizer


@pytest.mark.parametrize("method", LOW_RANK)
@pytest.mark.parametrize("rank", [1, 4])
def test_at_the_start_the_function_is_that_of_the_base(method: Method, rank: int) -> None:
    expected, found = output(network()), output(tuned_by(method, rank).model)
    assert torch.allclose(found, expected, atol=2e-5), (found - expected).abs().max()


@pytest.mark.parametrize("method", ALL)
def test_what_should_train_moves_and_all_else_stays_bit_identical(method: Method) -> None:
    tuned = tuned_by(method)
    before = {id(parameter): parameter.detach().clone() for parameter in tuned.model.parameters()}
    trains = {id(parameter): name for name, parameter in tuned.trainable().items()}
    assert {id(p) for p in tuned.model.parameters() if p.requires_grad} == set(trains)
    trained(tuned, 3, total=100)  # adalora has not begun to take ranks away
    for parameter in tuned.model.parameters():
        moved = not torch.equal(parameter, before[id(parameter)])
        assert moved == (id(parameter) in trains), trains.get(id(parameter), parameter.shape)


def test_each_method_trains_what_the_table_says() -> None:
    groups = {method: set(tuned_by(method).counts()) for method in ALL}
    assert groups["decoder"] == {"decoder", "head"}
    assert groups["published"] == {"decoder"}
    assert groups["layernorm"] == {"norms", "head"}
    for method in LOW_RANK:
        assert groups[method] == {"factors", "decoder", "head"}
    assert set(tuned_by("full").rest) == {name for name, _ in network().named_parameters() if UNUSED not in name}
    biases = {name for name, _ in network().named_parameters() if name.endswith(".bias") and UNUSED not in name}
    assert set(tuned_by("bitfit").rest) == biases | {"out.conv.conv.weight"}
    assert len(biases) > 50


PLANS = {
    "of a new plan": PLANNED_ADAPTER,
    "head alone": changed(SETTINGS, also_trained=("head",)),
    "kernels": changed(SETTINGS, stacks=("convolutions",), also_trained=("head", "norms")),
}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("method", ALL)
def test_the_words_say_which_tensors_move(method: Method, plan: str) -> None:
    """What `hippopt_train --help` and the page of methods say, against the names of what moves in training."""
    settings = PLANS[plan]
    if "convolutions" in settings.stacks and METHODS[method].adapter and not METHODS[method].kernels:
        with pytest.raises(UsageError, match=f"method {method}.*convolutions"):
            tune(network(), method, TINY_NETWORK, settings, ())
        return
    tuned = tune(network(), method, TINY_NETWORK, settings, ())
    before = {name: parameter.detach().clone() for name, parameter in tuned.trainable().items()}
    own = {name for name, _ in network().named_parameters() if UNUSED not in name}
    trained(tuned, 2, total=100)
    moved = {name for name, parameter in tuned.trainable().items() if not torch.equal(parameter, before[name])}
    assert moved == set(before)
    factors = {name for name in moved if name.startswith(TRAINED)}
    moved = {name.removeprefix(REST) for name in moved - factors}
    words = trains_in_words(method, settings)
    said = words.replace("without the head", "")
    assert bool(factors) == (METHODS[method].factors in words if METHODS[method].factors else False)
    everything = WORDS["all"] in said
    assert everything == (moved == own)
    for part in PARTS:
        whole = set(also_trained(sorted(own), [part])) <= moved
        assert whole == (everything or WORDS[part] in said), (part, words)
    assert ({name for name in own if name.endswith(".bias")} <= moved) == (everything or WORDS["biases"] in said)
    kernels = {name for name in moved if also_trained([name], ["encoders", "decoder"]) and not everything}
    small = "the kernels that these would not make smaller, whole" in words
    assert small == (bool(kernels) and bool(factors) and "convolutions" in settings.stacks)


def test_kernels_have_factors_where_these_are_fewer_numbers_and_train_whole_elsewhere() -> None:
    for rank in (1, 2, 8):
        settings = changed(PLANS["kernels"], rank=rank)
        tuned = tune(network(), "lora-pt", TINY_NETWORK, settings, ())
        shapes = {name: parameter.shape for name, parameter in network().named_parameters()}
        factored = {slot.partition("[")[0] for slots in tuned.stacks.values() for slot in slots}
        whole = {name for name in tuned.rest if also_trained([name], ["encoders", "decoder"])}
        assert (
            factored
            and factored | whole == set(also_trained(sorted(shapes), ["encoders", "decoder"]))
            and not factored & whole
        )
        for name in factored | whole:
            m, n = shapes[name][:2]
            assert (name in factored) == (rank * (m + n + 1) < m * n)
            assert name in whole or min(m, n) > rank
        assert tuned.counts()["factors"] == sum(
            shapes[name][2:].numel() * rank * (sum(shapes[name][:2]) + 1) for name in factored
        )


@pytest.mark.parametrize("method", ["lora-pt", "lora"])
def test_kernels_are_restored_and_merged_into_plain_convolutions(method: Method) -> None:
    """peft trains kernels of one voxel and fails to merge them; ours are merged by our own arithmetic."""
    settings = PLANS["kernels"]
    tuned = tune(network(), method, TINY_NETWORK, settings, ())
    assert torch.allclose(output(tuned.model), output(network()), atol=2e-5)
    assert any("conv3" in name for name in tuned.stacks)  # of one voxel
    trained(tuned, 4)
    expected = output(tuned.model)
    restored = tune(network(), method, TINY_NETWORK, settings, (), initial_of(tuned), tuned.adapter_tensors())
    assert torch.equal(output(restored.model), expected) and not torch.allclose(expected, output(network()), atol=1e-2)
    plain = restored.adaptation.merge()
    assert [type(module) for module in plain.modules()] == [type(module) for module in network().modules()]
    assert set(plain.state_dict()) == set(network().state_dict())
    assert torch.allclose(output(plain), expected, atol=1e-4)


def test_lora_on_kernels_is_what_it_is_said_to_be() -> None:
    """Every convolution that is not transposed and wider than the rank; alpha is the rank, so the product
    counts once.
    """
    tuned = tune(network(), "lora", TINY_NETWORK, PLANS["kernels"], ())
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for factor in tuned.adaptation.factors.values():
            factor.copy_(torch.randn(factor.shape, generator=generator))
    down, up = (
        tuned.adaptation.factors[f"decoder2.conv_block.conv1.conv.lora_{side}.weight"].detach() for side in "AB"
    )
    merged = dict(tuned.adaptation.merge().named_parameters())["decoder2.conv_block.conv1.conv.weight"]
    base = dict(network().named_parameters())["decoder2.conv_block.conv1.conv.weight"]
    wanted = torch.einsum("or,rizyx->oizyx", up[..., 0, 0, 0], down)
    torch.testing.assert_close(merged - base, wanted, rtol=1e-4, atol=1e-5)
    transposed = [name for name, module in network().named_modules() if isinstance(module, torch.nn.ConvTranspose3d)]
    assert transposed and all(f"{name}.weight" in tuned.rest for name in transposed)


def test_the_factors_are_counted_by_their_formulas() -> None:
    hidden, mlp, layers = TINY_NETWORK.hidden_size, TINY_NETWORK.mlp_dim, 12
    sides = [(3 * hidden, hidden), (hidden, hidden), (mlp, hidden), (hidden, mlp)]
    for rank in (1, 3):
        lora = layers * sum(rank * (m + n) for m, n in sides)
        first = -(-3 * rank // 2)
        assert tuned_by("lora", rank).counts()["factors"] == tuned_by("pissa", rank).counts()["factors"] == lora
        assert tuned_by("dora", rank).counts()["factors"] == lora + layers * sum(m for m, _ in sides)
        assert tuned_by("adalora", rank).counts()["factors"] == layers * sum(first * (m + n + 1) for m, n in sides)


def test_ranks_and_stacks_are_those_of_the_plan() -> None:
    tuned = tuned_by("lora", {"attention": 1, "mlp_up": 3, "mlp_down": 2})
    ranks = {name: len(value) for name, value in tuned.trainable().items() if name.endswith("lora_A.weight")}
    assert {rank for name, rank in ranks.items() if ".attn." in name} == {1}
    assert {rank for name, rank in ranks.items() if "linear1" in name} == {3}
    assert {rank for name, rank in ranks.items() if "linear2" in name} == {2}
    assert torch.allclose(output(tuned.model), output(network()), atol=2e-5)
    alone = tune(network(), "lora", TINY_NETWORK, changed(SETTINGS, stacks=("mlp_up",)), ())
    assert all("linear1" in name for name in alone.trainable() if name.startswith("trained.")) and set(
        alone.stacks
    ) == {"mlp_up"}


@pytest.mark.parametrize("method", ALL)
def test_a_trained_network_is_restored_from_its_files_and_merged(method: Method) -> None:
    tuned = tuned_by(method)
    trained(tuned, 3)
    restored = tuned_by(method, initial=initial_of(tuned), stored=tuned.adapter_tensors())
    expected = output(tuned.model)
    assert not torch.allclose(expected, output(network()), atol=1e-3)
    assert torch.equal(output(restored.model), expected)
    restored.adaptation.merge()
    restored.adaptation.merge()
    assert set(restored.model.state_dict()) == set(network().state_dict())
    assert torch.allclose(output(restored.model), expected, atol=1e-4)


@pytest.mark.parametrize("method", DECOMPOSED)
def test_no_second_decomposition(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = tuned_by(method)
    stored, initial, wrong = tuned.adapter_tensors(), initial_of(tuned), initial_of(tuned_by(method, rank=3))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("decomposed a second time")

    monkeypatch.setattr("hippopt.lorapt.adaptation.t_svd", never)
    monkeypatch.setattr("torch.linalg.svd", never)
    assert torch.allclose(output(tuned_by(method, initial=initial, stored=stored).model), output(network()), atol=2e-5)
    with pytest.raises(WeightsError, match="initial factors are missing"):
        tuned_by(method, stored=stored)
    with pytest.raises(WeightsError, match=r"do(es)? not fit"):
        tuned_by(method, initial=wrong, stored=stored)


@pytest.mark.parametrize("method", ["lora", "dora", "pissa", "adalora"])
def test_resumed_training_gives_the_same_bits(method: Method) -> None:
    """Also in AdaLoRA's three phases: before the ranks fall, while they do, and once they are settled."""
    for stop in (1, 4, 8) if method == "adalora" else (2,):
        whole, first = tuned_by(method), tuned_by(method)
        trained(whole, 10, total=10)
        state = LoopState()
        optimizer = trained(first, stop, state, total=10)
        second = tuned_by(method, initial=initial_of(first), stored=first.resume_tensors())
        again = torch.optim.AdamW(second.trainable().values(), weight_decay=0.01)
        again.load_state_dict(optimizer.state_dict())
        trained(second, 10 - stop, state, total=10, optimizer=again)
        for name, value in whole.adapter_tensors().items():
            assert torch.equal(value, second.adapter_tensors()[name]), (stop, name)


def test_adalora_ends_with_the_average_rank_that_was_asked_for() -> None:
    tuned = tuned_by("adalora", 2)
    state = LoopState(step=3, skipped=3)  # skipped steps do not make it miss the end of the budget's fall
    trained(tuned, 12, state, total=15)
    left = [int((value != 0).sum()) for name, value in tuned.trainable().items() if "lora_E" in name]
    assert len(left) == 48 and sum(left) == 2 * 48 and max(left) <= 3
    assert tuned_by("adalora", 2).penalty() is not None and tuned_by("lora").penalty() is None


def test_adaloras_penalty_is_its_definition_and_pulls_factors_towards_orthogonality() -> None:
    tuned = tuned_by("adalora", 2)
    gaps = []
    for name, value in tuned.trainable().items():
        if "lora_A" in name:
            gaps.append((value @ value.T - torch.eye(3)).pow(2).sum().sqrt())
        elif "lora_B" in name:
            gaps.append((value.T @ value - torch.eye(3)).pow(2).sum().sqrt())
    penalty = tuned.penalty()
    assert penalty is not None and len(gaps) == 96
    assert penalty.item() == pytest.approx(0.5 * torch.stack(gaps).mean().item())
    trained(tuned, 5)
    later = tuned.penalty()
    assert later is not None and later.item() < penalty.item()


def test_adalora_at_a_rank_near_the_bound_has_nothing_to_share_out() -> None:
    tuned = tuned_by("adalora", 48)
    trained(tuned, 6)
    assert all(bool((value != 0).all()) for name, value in tuned.trainable().items() if "lora_E" in name)


def test_published_leaves_the_head_and_what_was_remade_bit_identical_and_stores_it() -> None:
    remade = ("out.conv.conv.bias", "out.conv.conv.weight", "vit.patch_embedding.position_embeddings")
    tuned = tuned_by("published", remade=remade)
    before = {name: dict(tuned.model.named_parameters())[name].detach().clone() for name in remade}
    trained(tuned, 3)
    stored = tuned.adapter_tensors()
    for name in remade:
        assert torch.equal(stored[f"rest.{name}"], before[name]) and f"rest.{name}" not in tuned.trainable()
    other = build_unetr(
        1, 3, PATCH, TINY_NETWORK
    )  # as in another process, where what is re-made begins with other random values
    base = {name: value for name, value in network().state_dict().items() if name not in remade}
    other.load_state_dict(base, strict=False)
    restored = tune(other, "published", TINY_NETWORK, SETTINGS, tuned.remade, None, stored)
    assert torch.equal(output(restored.model), output(tuned.model))


@pytest.mark.parametrize("method", ["bitfit", "layernorm", "decoder", "lora"])
def test_what_was_remade_for_the_labels_trains_too(method: Method) -> None:
    tuned = tuned_by(method, remade=("vit.patch_embedding.position_embeddings",))
    assert "rest.vit.patch_embedding.position_embeddings" in tuned.trainable()
    assert tuned.remade == ("vit.patch_embedding.position_embeddings",)


def test_factored_weights_stay_frozen_whatever_else_trains() -> None:
    tuned = tune(network(), "lora", TINY_NETWORK, changed(SETTINGS, also_trained=("vit.",)), ())
    assert "rest.vit.norm.weight" in tuned.trainable() and "rest.vit.blocks.0.attn.out_proj.bias" in tuned.trainable()
    assert not any(name.endswith("qkv.weight") for name in tuned.trainable())
    assert not tuned.model.get_submodule("vit.blocks.0.attn.qkv").base_layer.weight.requires_grad  # type: ignore[union-attr]


def test_stray_state_of_another_method_is_refused() -> None:
    stored = tuned_by("lora").adapter_tensors() | {"allocation.mask.x": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"allocation\.mask"):
        tuned_by("lora", stored=stored)


def test_a_missing_library_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hippopt.artifacts.methods.find_spec", lambda _: None)
    monkeypatch.delitem(sys.modules, "peft", raising=False)
    for method in ALL:
        if METHODS[method].package == "peft":
            with pytest.raises(UsageError, match=r"needs the peft library.*pip install 'hippopt\[peft\]'"):
                tuned_by(method)
        else:
            check_package(method)


def test_a_plan_of_an_earlier_hippopt_takes_default_rates() -> None:
    schedule = small_plan().schedule
    assert set(schedule.learning_rate) == set(PLANNED)
    assert schedule.rate("full", base=True) == 5e-4 and schedule.rate("dora", base=True) == default_rates()["dora"]
