"""Networks of finer tokens and without a transformer: what they
compute, how their parameters are named, and which bases they take.
"""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from hippopt.artifacts.codec import content_hash, decode
from hippopt.artifacts.plan import NetworkSettings
from hippopt.artifacts.triples import Voxels
from hippopt.errors import WeightsError
from hippopt.networks.base_weights import PATCH_WEIGHT, POSITION, check_network, load_base, token_size_of
from hippopt.networks.unetr import PARTS, UNUSED, also_trained, build_unetr
from tests.records import TINY_NETWORK, changed

PATCH: Voxels = (16, 24, 32)
FINE = changed(TINY_NETWORK, token_size=8)
BARE = changed(TINY_NETWORK, transformer=False)


def network(settings: NetworkSettings, patch: Voxels = PATCH, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_unetr(1, 3, patch, settings).eval()


def test_a_network_of_now_has_the_hash_of_one_that_names_no_token_size() -> None:
    """Plans, cards and models of before these fields stay what they were."""
    before = {"size": "tiny", "hidden_size": 48, "mlp_dim": 96, "num_heads": 3, "feature_size": 4}
    read = decode(dict(before), NetworkSettings, Path("plan.json"))
    assert (read.token_size, read.transformer) == (16, True)
    assert content_hash(read) == content_hash(before)
    assert len({content_hash(settings) for settings in (read, FINE, BARE)}) == 3


@pytest.mark.parametrize("settings", [FINE, changed(FINE, transformer=False)])
def test_logits_of_every_voxel_and_gradients_everywhere(settings: NetworkSettings) -> None:
    model = network(settings)
    logits = model(torch.randn(2, 1, *PATCH))
    assert logits.shape == (2, 3, *PATCH)
    logits.square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None and UNUSED not in name] == []


def test_tokens_are_cubes_of_eight_and_skips_leave_after_four_and_eight_blocks() -> None:
    """What reaches the skips and the decoder, held against the transformer's own outputs, token by token."""
    model, seen = network(FINE), dict[str, torch.Tensor]()
    for name in ("encoder1", "encoder2", "encoder3", "decoder4"):
        model.get_submodule(name).register_forward_hook(
            lambda _, given, out, name=name: seen.update({name: given[0], f"{name} out": out})
        )
    image = torch.randn(1, 1, *PATCH)
    with torch.no_grad():
        model(image)
        last, after = model.vit(image)
    assert model.vit.patch_embedding.patch_embeddings.weight.shape == (48, 1, 8, 8, 8)
    for name, tokens in (("encoder2", after[3]), ("encoder3", after[7]), ("decoder4", last)):
        assert seen[name].shape == (1, 48, 2, 3, 4)
        for z, y, x in ((0, 0, 0), (0, 2, 1), (1, 0, 3)):
            torch.testing.assert_close(seen[name][0, :, z, y, x], tokens[0, (z * 3 + y) * 4 + x])
    shapes = [tuple(seen[f"{name} out"].shape[2:]) for name in ("encoder1", "encoder2", "encoder3", "decoder4")]
    assert shapes == [PATCH, (8, 12, 16), (4, 6, 8), (4, 6, 8)]


def test_parameters_are_named_as_in_monais_unetr() -> None:
    """Each name is one of the UNETR of 16 voxels, and the plan's parts find theirs."""
    fine, usual = (dict(network(settings, (16, 32, 16)).named_parameters()) for settings in (FINE, TINY_NETWORK))
    assert set(fine) < set(usual)
    changed_shapes = {name for name in fine if fine[name].shape != usual[name].shape}
    # twice the resolution: another patch embedding, more tokens, and a decoder that begins at the token grid
    assert {name.split(".")[0] for name in changed_shapes} == {"vit", "decoder4"}
    assert {PATCH_WEIGHT, POSITION} == {name for name in changed_shapes if name.startswith("vit")}
    for part in PARTS:
        assert also_trained(list(fine), [part]), part


@pytest.mark.parametrize("settings", [TINY_NETWORK, FINE])
def test_without_a_transformer_blocks_are_the_identity(settings: NetworkSettings) -> None:
    """As a transformer whose branches add nothing; all other weights are those of the same seed with it."""
    patch = (16, 32, 16)
    whole, bare = network(settings, patch), network(changed(settings, transformer=False), patch)
    assert not any(name.startswith("vit.blocks") for name in bare.state_dict())
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in bare.state_dict().items())
    with torch.no_grad():
        for block in whole.vit.blocks:
            for layer in (block.attn.out_proj, block.mlp.linear2):
                layer.weight.zero_()
                layer.bias.zero_()
        image = torch.randn(1, 1, *patch)
        torch.testing.assert_close(bare(image), whole(image))


def test_position_embeddings_go_from_one_grid_of_fine_tokens_to_another() -> None:
    """A ramp along x stays a ramp: 2 x 3 x 4 tokens become 2 x 3 x 6."""
    base, model = network(FINE), network(FINE, (16, 24, 48), seed=1)
    ramp = torch.arange(4.0).expand(2, 3, 4).reshape(1, 24, 1).expand(1, 24, 48)
    reports = load_base(model, {**base.state_dict(), POSITION: ramp}, PATCH, (16, 24, 48), "base")
    assert {report.status for report in reports if report.key == POSITION} == {"interpolated"}
    found = model.state_dict()[POSITION].reshape(2, 3, 6, 48)
    middle = found[:, :, 1:5]
    torch.testing.assert_close(middle.diff(dim=2), torch.full_like(middle.diff(dim=2), 4 / 6))


@pytest.mark.parametrize(("base", "planned"), [(FINE, TINY_NETWORK), (TINY_NETWORK, FINE)])
def test_a_base_of_other_tokens_is_refused_with_the_remedy(base: NetworkSettings, planned: NetworkSettings) -> None:
    model, state = network(planned, (16, 32, 16)), network(base, (16, 32, 16), seed=1).state_dict()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert token_size_of(state) == base.token_size
    with pytest.raises(
        WeightsError, match=rf"mybase: .*tokens of {base.token_size} voxels.*--set network.token_size={base.token_size}"
    ):
        load_base(model, state, (16, 32, 16), (16, 32, 16), "mybase")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(WeightsError, match=r"network\.token_size"):
        check_network(base, planned, "mybase")


def test_a_network_without_a_transformer_takes_all_else_from_a_base_with_one() -> None:
    model, base = network(BARE, (16, 32, 16)), network(TINY_NETWORK, (16, 32, 16), seed=1)
    reports = load_base(model, base.state_dict(), (16, 32, 16), (16, 32, 16), "base")
    statuses = {report.key: report.status for report in reports}
    assert {statuses[name] for name in model.state_dict()} == {"matched"}
    assert all(torch.equal(value, base.state_dict()[name]) for name, value in model.state_dict().items())
    left = [report for report in reports if report.key.startswith("vit.blocks")]
    assert left and all(report.status == "unused" and "no transformer" in report.detail for report in left)
    check_network(TINY_NETWORK, BARE, "base")
    with pytest.raises(WeightsError, match=r"without a transformer.*network\.transformer=false"):
        check_network(BARE, TINY_NETWORK, "base")


def test_the_deepest_image_is_the_token_grid_however_small() -> None:
    """One token along every axis is enough, as it is for tokens of 16."""
    model = network(FINE, (8, 8, 8)).train()
    assert math.isfinite(model(torch.randn(2, 1, 8, 8, 8)).detach().sum())
