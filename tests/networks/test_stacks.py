"""The stacks of a UNETR and the parts of it that a plan names: every parameter is where it should be, once."""

import itertools

import pytest
import torch

from hippopt.artifacts.plan import ALSO_TRAINED, AdapterSettings
from hippopt.artifacts.plan import TRANSFORMER_STACKS as STACKS
from hippopt.lorapt import gather
from hippopt.networks.stacks import ATTENTION, planned_name, slot_names, stack_ranks, unetr_stacks
from hippopt.networks.tuning import REST, TRAINED, Tuned, tune
from hippopt.networks.unetr import PARTS, UNUSED, also_trained, build_unetr
from tests.records import TINY_NETWORK as NETWORK

HIDDEN, MLP = NETWORK.hidden_size, NETWORK.mlp_dim


def unetr() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_unetr(1, 3, (16, 32, 16), NETWORK)


def tuned(**settings: object) -> Tuned:
    given = {
        "rank": 2,
        "stacks": STACKS,
        "core": "diagonal",
        "balance": True,
        "also_trained": ("decoder", "head"),
        **settings,
    }
    return tune(unetr(), "lora-pt", NETWORK, AdapterSettings(**given), ())  # type: ignore[arg-type]


def test_the_stacks_hold_every_weight_of_the_blocks_once() -> None:
    parameters = dict(unetr().named_parameters())
    stacks = unetr_stacks(HIDDEN, MLP, STACKS)
    shapes = {stack.name: tuple(gather(parameters, stack).shape) for stack in stacks}
    assert shapes == {"attention": (48, HIDDEN, HIDDEN), "mlp_up": (12, MLP, HIDDEN), "mlp_down": (12, HIDDEN, MLP)}
    rows = sum(slot.stop - slot.start for stack in stacks for slot in stack.slots)
    linear = [name for name in parameters if name.startswith("vit.blocks") and parameters[name].ndim == 2]
    assert rows == sum(parameters[name].shape[0] for name in linear)
    assert {slot.parameter for stack in stacks for slot in stack.slots} == set(linear)


def test_attention_as_four_stacks_is_the_same_slices_dealt_out() -> None:
    one = unetr_stacks(HIDDEN, MLP, ["attention"])[0]
    four = unetr_stacks(HIDDEN, MLP, ["attention", "mlp_up"], "four")
    assert [stack.name for stack in four] == [*ATTENTION, "mlp_up"]
    assert [len(stack.slots) for stack in four] == [12] * 5
    assert tuple(itertools.chain(*zip(*(stack.slots for stack in four[:4]), strict=True))) == one.slots
    assert slot_names(four[1])[:2] == ("vit.blocks.0.attn.qkv.weight[48:96]", "vit.blocks.1.attn.qkv.weight[48:96]")
    assert slot_names(four[3])[0] == "vit.blocks.0.attn.out_proj.weight[0:48]"


def test_ranks_of_stacks() -> None:
    four = unetr_stacks(HIDDEN, MLP, ["attention", "mlp_down"], "four")
    assert stack_ranks(3, four) == dict.fromkeys([*ATTENTION, "mlp_down"], 3)
    assert stack_ranks({"attention": 1, "mlp_down": 8}, four) == {**dict.fromkeys(ATTENTION, 1), "mlp_down": 8}


def test_the_parts_of_a_network_are_apart_and_known_to_the_plan() -> None:
    assert tuple(PARTS) == ALSO_TRAINED
    names = [name for name, _ in unetr().named_parameters() if UNUSED not in name]
    found = {part: also_trained(names, [part]) for part in PARTS}
    assert all(found.values())
    listed = [name for part in found.values() for name in part]
    assert len(listed) == len(set(listed))
    left = set(names) - set(listed)
    assert all(name.startswith(("vit.blocks.", "vit.patch_embedding.")) and ".norm" not in name for name in left)
    assert len(found["norms"]) == 2 * (12 * 2 + 1)  # weight and bias of two a block, and of the last


def test_beginnings_of_names_serve_as_before() -> None:
    names = [name for name, _ in unetr().named_parameters()]
    old = ("decoder5.", "decoder4.", "decoder3.", "decoder2.", "out.")
    assert (
        also_trained(names, old)
        == also_trained(names, ["decoder", "head"])
        == [name for name in names if name.startswith(old)]
    )
    assert also_trained(names, ["out"]) == also_trained(names, ["head"])
    assert also_trained(names, ["decoder5"]) == [name for name in names if name.startswith("decoder5")]


@pytest.mark.parametrize("part", ALSO_TRAINED)
def test_what_also_trains_is_what_requires_gradients(part: str) -> None:
    found = tuned(also_trained=(part,))
    trains = {
        name
        for name, parameter in found.model.named_parameters()
        if parameter.requires_grad and not name.startswith("lorapt.")
    }
    assert trains == set(also_trained([name for name, _ in unetr().named_parameters() if UNUSED not in name], [part]))
    assert set(found.counts()) == {"factors", {"encoders": "convolutional encoders"}.get(part, part)}


def test_every_option_starts_from_the_base_and_trains() -> None:
    image = torch.randn(1, 1, 16, 32, 16, generator=torch.Generator().manual_seed(1))
    before = unetr()(image)
    for settings in (
        {"attention": "four"},
        {"rank": {"attention": 1, "mlp_up": 2, "mlp_down": 3}},
        {"rank": {"mlp_down": 4}, "stacks": ("mlp_down",)},
        {"core": "dense", "balance": False, "also_trained": ()},
    ):
        found = tuned(**settings)
        after = found.model(image)
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
        after.square().sum().backward()
        assert all(bool(parameter.grad.any()) for parameter in found.trainable().values()), settings


def test_rates_of_their_own_for_the_factors_and_for_s() -> None:
    found = tuned(balance=False)
    names = list(found.trainable())
    (one, rest), (rate, factors) = found.rated(found_settings(factor_rate=0.1))
    assert (one, rate) == (1.0, 0.1)
    assert rest + factors == sorted(names, key=lambda name: name.startswith(TRAINED))
    assert all(name.startswith(REST) for name in rest) and all(name.startswith(TRAINED) for name in factors)
    (one, rest), (_, sides), (own, cores) = found.rated(found_settings(factor_rate=0.1, s_rate=30.0))
    assert (one, own) == (1.0, pytest.approx(3.0))
    assert cores == [f"{TRAINED}{stack}.s" for stack in STACKS]
    assert sorted(rest + sides + cores) == sorted(names)
    full = tune(unetr(), "full", NETWORK, found_settings(), ())
    assert [rate for rate, _ in full.rated(found_settings(factor_rate=0.1, s_rate=30.0))] == [
        1.0
    ]  # no factors, so nothing of a rate of its own


def test_what_is_stacked_never_trains_beside_its_factors() -> None:
    """Though also_trained names all of the transformer: R stays frozen, is not counted, and is in no file."""
    found = tuned(also_trained=("vit.", "decoder"))
    slots = {slot.partition("[")[0] for stack in found.stacks.values() for slot in stack}
    trained = {name.removeprefix(REST) for name in found.trainable()}
    assert slots and not slots & trained and "vit.norm.weight" in trained


def found_settings(**rates: float) -> AdapterSettings:
    return AdapterSettings(rank=2, stacks=STACKS, core="diagonal", balance=True, also_trained=("decoder",), **rates)


def test_a_merged_network_has_the_keys_the_shapes_and_the_function() -> None:
    base, found = unetr(), tuned()
    keys = {name: tuple(value.shape) for name, value in base.state_dict().items()}
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in found.adaptation.factors.values():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    image = torch.randn(2, 1, 16, 32, 16, generator=generator)
    adapted = found.model(image)
    merged = found.adaptation.merge()
    assert {name: tuple(value.shape) for name, value in merged.state_dict().items()} == keys
    assert [type(module) for module in merged.modules()] == [type(module) for module in base.modules()]
    torch.testing.assert_close(merged(image), adapted, rtol=1e-4, atol=1e-4)
    assert (merged(image) - base(image)).abs().max() > 1e-2  # the factors did move
    base.load_state_dict(merged.state_dict())
    assert torch.equal(base(image), merged(image))


def test_names_of_kernels_in_the_card_and_in_the_plan() -> None:
    found = tuned(stacks=("attention", "convolutions"), rank={"attention": 1, "convolutions": 2}, attention="four")
    assert found.stacks["decoder5-conv_block-conv1"] == ("decoder5.conv_block.conv1.conv.weight[:, :, 3x3x3]",)
    assert found.stacks["decoder5-transp_conv"] == ("decoder5.transp_conv.conv.weight[:, :, 2x2x2]",)
    assert {planned_name(name) for name in found.stacks} == {"attention", "convolutions"}
    factors = found.adaptation.factors
    assert factors["query.u"].shape[2] == 1 and factors["decoder5-transp_conv.u"].shape == (8, 32, 2)  # outputs first
