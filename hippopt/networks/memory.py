"""How much memory a training step of this very network needs, counted on the meta device without allocating any."""

from functools import lru_cache
from typing import Any

from hippopt.artifacts.plan import NetworkSettings
from hippopt.artifacts.triples import Voxels
from hippopt.networks.unetr import build_unetr

# gradients in flight and convolution workspaces: real steps peaked at 1.1 to 1.9 times the saved bytes
# (docs/experiments.md)
WORKSPACE_FACTOR = 2.0
BYTES_A_PARAMETER = 16  # weight, gradient and AdamW's two moments, float32


@lru_cache(maxsize=64)
def saved_bytes(network: NetworkSettings, in_channels: int, out_channels: int, patch_size: Voxels) -> tuple[int, int]:
    """(bytes that autograd saves for one sample, bytes of weights, gradients and optimiser).

    The forward pass runs on the meta device; the hooks that autograd calls for each saved tensor count its bytes, each
    storage once, and leave out the parameters.
    """
    import torch

    with torch.device("meta"):
        model = build_unetr(in_channels, out_channels, patch_size, network)
        image = torch.empty((1, in_channels, *patch_size))
    counted: dict[int, Any] = {parameter.untyped_storage()._cdata: 0 for parameter in model.parameters()}
    keep = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in counted:
            counted[storage._cdata] = storage.nbytes()
            keep.append(storage)  # an address is not handed out again while its storage lives
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(image)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return sum(counted.values()), parameters * BYTES_A_PARAMETER


def training_bytes(
    network: NetworkSettings, in_channels: int, out_channels: int, patch_size: Voxels, batch_size: int
) -> int:
    """Estimated peak bytes of a full training step."""
    activations, parameters = saved_bytes(network, in_channels, out_channels, patch_size)
    return int(activations * batch_size * WORKSPACE_FACTOR) + parameters
