"""Base weights of other shapes and ages: what is converted keeps its function, and every key is reported."""

from collections import Counter

import pytest
import torch
from monai.networks.blocks import PatchEmbeddingBlock
from torch import nn

from hippopt.artifacts.triples import Voxels
from hippopt.errors import WeightsError
from hippopt.networks.base_weights import (
    INPUT_CONVOLUTIONS,
    PATCH_WEIGHT,
    POSITION,
    image_tokens,
    interpolate_positions,
    load_base,
    remade_keys,
)
from hippopt.networks.unetr import UNUSED, build_unetr, token_grid
from tests.records import TINY_NETWORK, changed

PATCH = (16, 32, 16)
State = dict[str, torch.Tensor]


def network(channels: int = 1, classes: int = 3, patch: Voxels = PATCH, seed: int = 0) -> nn.Module:
    """The tiny UNETR; no weight is 0, so that one left out shows."""
    torch.manual_seed(seed)
    model = build_unetr(channels, classes, patch, TINY_NETWORK).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def state_of(model: nn.Module) -> State:
    return {key: value.clone() for key, value in model.state_dict().items()}


def statuses(model: nn.Module, state: State, base_patch: Voxels | None = PATCH) -> dict[str, str]:
    """Key -> status; every key of both sides is reported once."""
    reports = load_base(model, state, base_patch, PATCH, "base")
    keys = [report.key for report in reports]
    assert len(keys) == len(set(keys)) and set(model.state_dict()) <= set(keys)
    return {report.key: report.status for report in reports}


def image(channels: int = 1, patch: Voxels = PATCH) -> torch.Tensor:
    return torch.randn(1, channels, *patch, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def test_the_same_network_is_matched_whole() -> None:
    base, model = network(seed=0), network(seed=1)
    assert not torch.equal(base(image()), model(image()))
    reports = load_base(model, state_of(base), PATCH, PATCH, "base")
    assert {report.status for report in reports} == {"matched"}
    assert remade_keys(reports) == ()
    assert torch.equal(base(image()), model(image()))


def test_the_given_state_is_left_alone() -> None:
    state = state_of(network(2, patch=(32, 32, 32)))
    before = {key: value.clone() for key, value in state.items()}
    load_base(network(), state, (32, 32, 32), PATCH, "base")
    assert list(state) == list(before) and all(torch.equal(state[key], before[key]) for key in before)


def test_every_status_is_told_apart() -> None:
    state = state_of(network(2, 5, (32, 32, 32)))
    missing = [key for key in state if key.startswith("decoder2.")]
    for key in missing:
        del state[key]
    state["vit.cls_token"] = torch.zeros(1, 1, 48)
    state["encoder3.conv3.weight"] = torch.zeros(1)
    state["optimizer.lr"] = torch.zeros(1)
    model = network()
    own = state_of(model)
    found = statuses(model, state, (32, 32, 32))
    expected = dict.fromkeys(own, "matched")
    expected |= {POSITION: "interpolated", PATCH_WEIGHT: "converted"} | dict.fromkeys(INPUT_CONVOLUTIONS, "converted")
    expected |= dict.fromkeys((key for key in own if key.startswith("out.")), "re-made")  # another number of classes
    expected |= dict.fromkeys(missing, "missing")
    expected |= dict.fromkeys(("vit.cls_token", "encoder3.conv3.weight", "optimizer.lr"), "unused")
    assert found == expected
    for key, value in model.state_dict().items():  # what did not fit keeps the network's own values
        assert torch.equal(value, own[key]) == (expected[key] in ("re-made", "missing")), key


def test_what_is_not_the_bases_own_must_be_trained() -> None:
    state = state_of(network(2, 5, (32, 32, 32)))
    del state["decoder2.conv_block.conv1.conv.weight"]
    reports = load_base(network(), state, (32, 32, 32), PATCH, "base")
    outputs = [key for key in network().state_dict() if key.startswith("out.")]
    wanted = {POSITION, PATCH_WEIGHT, *INPUT_CONVOLUTIONS, "decoder2.conv_block.conv1.conv.weight", *outputs}
    assert set(remade_keys(reports)) == wanted


def test_keys_of_older_versions_may_lack_what_is_never_used() -> None:
    state = {key: value for key, value in state_of(network()).items() if UNUSED not in key}
    reports = load_base(network(seed=1), state, PATCH, PATCH, "base")
    assert Counter(report.status for report in reports if UNUSED in report.key).keys() <= {"unused"}
    assert remade_keys(reports) == ()


@pytest.mark.parametrize("channels", [1, 2])
@torch.no_grad()
def test_perceptron_patch_embeddings_become_convolutions(channels: int) -> None:
    torch.manual_seed(0)
    old = PatchEmbeddingBlock(channels, PATCH, (16, 16, 16), 48, 3, proj_type="perceptron").eval()
    nn.init.normal_(old.patch_embeddings[1].bias)
    base = state_of(network(channels))
    for key in (PATCH_WEIGHT, PATCH_WEIGHT.replace("weight", "bias"), POSITION):
        del base[key]
    base |= {f"vit.patch_embedding.{key}": value for key, value in old.state_dict().items()}
    model = network(channels, seed=1)
    found = statuses(model, base)
    assert found[PATCH_WEIGHT] == "converted" and found[POSITION] == "matched"
    assert not any(status == "missing" for status in found.values())
    torch.testing.assert_close(model.vit.patch_embedding(image(channels)), old(image(channels)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("have", "want"), [(1, 1), (1, 3), (2, 1), (3, 2)])
@torch.no_grad()
def test_other_channels_keep_the_response_to_a_replicated_image(have: int, want: int) -> None:
    base, model = network(have), network(want, seed=1)
    found = statuses(model, state_of(base))
    assert {found[key] for key in (PATCH_WEIGHT, *INPUT_CONVOLUTIONS)} == {"matched" if have == want else "converted"}
    single = image()
    torch.testing.assert_close(
        model(single.expand(-1, want, -1, -1, -1)), base(single.expand(-1, have, -1, -1, -1)), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("grid", [(1, 2, 1), (3, 4, 3), (2, 2, 2)])
def test_positions_on_their_own_grid_stay(grid: Voxels) -> None:
    embeddings = torch.randn(1, grid[0] * grid[1] * grid[2], 5)
    torch.testing.assert_close(interpolate_positions(embeddings, grid, grid), embeddings)


@pytest.mark.parametrize(("old", "new"), [((6, 6, 6), (3, 4, 3)), ((2, 2, 2), (3, 4, 5)), ((1, 1, 1), (2, 3, 4))])
def test_constant_positions_stay_constant(old: Voxels, new: Voxels) -> None:
    constant = torch.randn(5)
    found = interpolate_positions(constant.expand(1, old[0] * old[1] * old[2], 5), old, new)
    torch.testing.assert_close(found, constant.expand(1, new[0] * new[1] * new[2], 5))


def test_positions_keep_their_axes() -> None:
    old, new = (2, 3, 4), (4, 6, 8)
    ramps = torch.stack(
        torch.meshgrid(*(torch.arange(n, dtype=torch.float32) / n + 1 / (2 * n) for n in old), indexing="ij"), -1
    )
    found = interpolate_positions(ramps.reshape(1, -1, 3), old, new).reshape(*new, 3)
    wanted = torch.stack(
        torch.meshgrid(*(torch.arange(n, dtype=torch.float32) / n + 1 / (2 * n) for n in new), indexing="ij"), -1
    )
    inside = (slice(1, -1),) * 3  # at the borders the outermost token is repeated
    torch.testing.assert_close(found[inside], wanted[inside])


def test_a_cubic_grid_is_assumed_where_the_patch_is_unknown() -> None:
    base = network(patch=(32, 32, 32))
    assert image_tokens(state_of(base)) == 8
    assert statuses(network(), state_of(base), None)[POSITION] == "interpolated"
    oblong = network(patch=(16, 32, 48))  # 6 tokens are no cube: nothing to go by
    assert statuses(network(), state_of(oblong), None)[POSITION] == "re-made"
    assert statuses(network(), state_of(oblong), (16, 32, 48))[POSITION] == "interpolated"
    # as many tokens, but otherwise arranged
    assert statuses(network(), state_of(network(patch=(32, 16, 16))), (32, 16, 16))[POSITION] == "interpolated"


@pytest.mark.parametrize("base_patch", [None, (32, 32, 32)])
def test_the_class_tokens_embedding_is_dropped(base_patch: Voxels | None) -> None:
    base = state_of(network(patch=(32, 32, 32)))
    plain = dict(base)
    base[POSITION] = torch.cat([torch.full((1, 1, 48), 100.0), base[POSITION]], 1)
    base["vit.cls_token"] = torch.zeros(1, 1, 48)
    assert image_tokens(base) == 8
    with_token, without = network(seed=1), network(seed=1)
    assert statuses(with_token, base, base_patch)[POSITION] == "interpolated"
    statuses(without, plain, (32, 32, 32))
    assert torch.equal(with_token.state_dict()[POSITION], without.state_dict()[POSITION])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda state: state.pop("vit.blocks.3.attn.qkv.weight"), "vit.blocks.3.attn.qkv.weight: missing"),
        (
            lambda state: state.update({"vit.blocks.3.mlp.linear1.weight": torch.zeros(64, 48)}),
            "vit.blocks.3.mlp.linear1.weight: re-made",
        ),
        (lambda state: state["encoder1.layer.conv1.conv.weight"].fill_(float("nan")), "NaN or Inf"),
        (lambda state: state["out.conv.conv.bias"].fill_(float("inf")), "NaN or Inf"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_loaded(edit: object, words: str) -> None:
    state = state_of(network())
    edit(state)  # type: ignore[operator]
    model = network(seed=1)
    before = state_of(model)
    with pytest.raises(WeightsError, match=r"base\.pt") as caught:
        load_base(model, state, PATCH, PATCH, "base.pt")
    assert words in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_another_size_of_network_names_its_remedy() -> None:
    wide = build_unetr(1, 3, PATCH, changed(TINY_NETWORK, hidden_size=96))
    with pytest.raises(WeightsError, match=r"transformer does not fit.*network\.size"):
        load_base(network(), state_of(wide), PATCH, PATCH, "base")


def test_token_grids() -> None:
    assert token_grid((48, 64, 16), 16) == (3, 4, 1) and token_grid((48, 64, 24), 8) == (6, 8, 3)
