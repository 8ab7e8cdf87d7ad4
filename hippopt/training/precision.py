"""Whether training may compute in bfloat16 on this machine."""

import torch
import torch.nn.functional as functional

from hippopt.artifacts.plan import NetworkSettings
from hippopt.artifacts.triples import Voxels
from hippopt.networks.device import bfloat16_pays

TOLERANCE = 0.05  # relative; rounding to bfloat16 gives 0.003


def use_bfloat16(device: torch.device, patch_size: Voxels, network: NetworkSettings) -> tuple[bool, str]:
    """(whether to, in words): where it pays, and a probe finds the gradients sound."""
    if not bfloat16_pays(device):
        return False, "float32"
    if device.type == "cpu" and weight_gradient_error(device, patch_size, network) > TOLERANCE:
        return False, "float32, since this machine's bfloat16 convolutions give wrong gradients for this patch size"
    return True, "bfloat16"


def weight_gradient_error(device: torch.device, patch_size: Voxels, network: NetworkSettings) -> float:
    """Relative error of the weight gradient of the decoder's deepest convolution in bfloat16, against float32.

    oneDNN's kernels for AVX-512 read memory that was never written when the image is two voxels deep, as it is there
    for a patch of 16 with tokens of 16: the gradients then have nothing to do with the true ones (torch 2.13;
    docs/experiments.md).
    """
    deepest = network.token_size // 2  # voxels of the patch that one of the decoder's deepest image covers
    channels = deepest * network.feature_size
    depth, height, width = (size // deepest for size in patch_size)
    generator = torch.Generator().manual_seed(0)
    image, above = (torch.randn((2, channels, depth, height, width), generator=generator).to(device) for _ in range(2))
    weight = torch.randn((channels, channels, 3, 3, 3), generator=generator).to(device) * 0.05
    exact, rough = (
        _weight_gradient(image.to(kind), weight.to(kind), above.to(kind)).float()
        for kind in (torch.float32, torch.bfloat16)
    )
    error = float((rough - exact).norm() / exact.norm())
    return error if error == error else float("inf")


def _weight_gradient(image: torch.Tensor, weight: torch.Tensor, above: torch.Tensor) -> torch.Tensor:
    weight = weight.detach().requires_grad_()
    functional.conv3d(image, weight, padding=1).backward(above)
    assert weight.grad is not None
    return weight.grad
