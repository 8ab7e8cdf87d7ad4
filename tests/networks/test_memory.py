"""The memory estimate: what autograd saves, counted without allocating anything."""

import itertools
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hippopt.artifacts.plan import NetworkSettings
from hippopt.artifacts.triples import Voxels
from hippopt.networks import memory
from hippopt.networks.memory import BYTES_A_PARAMETER, saved_bytes, training_bytes
from hippopt.networks.unetr import SIZES, build_unetr
from tests.records import TINY_NETWORK, changed

PATCH = (16, 32, 16)


def counted_on_the_cpu(network: NetworkSettings, channels: int, classes: int, patch: Voxels) -> int:
    """Bytes of the distinct storages that a real forward pass saves, parameters left out."""
    model = build_unetr(channels, classes, patch, network)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage  # held, so that no address is given out twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(torch.zeros(1, channels, *patch))
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize(
    ("channels", "classes", "patch", "network"),
    [
        (1, 3, PATCH, TINY_NETWORK),
        (2, 2, (16, 16, 32), TINY_NETWORK),
        (1, 3, (16, 24, 16), changed(TINY_NETWORK, token_size=8)),
        (1, 3, PATCH, changed(TINY_NETWORK, transformer=False)),
    ],
)
def test_the_count_is_that_of_a_real_pass(channels: int, classes: int, patch: Voxels, network: NetworkSettings) -> None:
    activations, parameters = saved_bytes(network, channels, classes, patch)
    assert activations == counted_on_the_cpu(network, channels, classes, patch)
    model = build_unetr(channels, classes, patch, network)
    assert parameters == 16 * sum(parameter.numel() for parameter in model.parameters())


def test_a_batch_costs_the_same_for_each_sample() -> None:
    estimates = [training_bytes(TINY_NETWORK, 1, 3, PATCH, batch) for batch in range(5)]
    activations, parameters = saved_bytes(TINY_NETWORK, 1, 3, PATCH)
    assert estimates[0] == parameters
    steps = [after - before for before, after in itertools.pairwise(estimates)]
    assert max(steps) - min(steps) <= 1  # rounded to whole bytes
    assert steps[0] == pytest.approx(activations * memory.WORKSPACE_FACTOR, abs=1)
    assert BYTES_A_PARAMETER == 4 * 4  # weight, gradient, two moments in float32


def test_larger_patches_and_networks_cost_more() -> None:
    assert saved_bytes(TINY_NETWORK, 1, 3, (16, 32, 32))[0] > 1.9 * saved_bytes(TINY_NETWORK, 1, 3, PATCH)[0]
    assert training_bytes(SIZES["small"], 1, 3, PATCH, 2) > training_bytes(TINY_NETWORK, 1, 3, PATCH, 2)


class OnlyMeta(TorchDispatchMode):
    """Fails at the first operation that makes a tensor elsewhere than on the meta device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        assert all(tensor.device.type == "meta" or tensor.numel() <= 1 for tensor in made), f"{func} allocates"
        return result


def test_nothing_is_allocated() -> None:
    with OnlyMeta():
        activations, parameters = saved_bytes.__wrapped__(SIZES["base"], 1, 3, (96, 96, 96))
    # Hatamizadeh et al. 2021, table 4: UNETR has 92.58 million parameters at this patch
    assert parameters / 16 == pytest.approx(92.58e6, rel=0.02)
    assert activations > 1e9
