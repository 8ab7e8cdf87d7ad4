"""Single windows by oneDNN: the same numbers by another kernel."""

import pytest
import torch
from torch import nn

from hippopt.networks.convolution import quicken
from hippopt.networks.unetr import SIZES, build_unetr

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")


def test_the_same_logits_and_no_unfolded_convolution():
    torch.manual_seed(0)
    model = build_unetr(1, 3, (32, 32, 32), SIZES["tiny"]).eval()
    images = torch.randn(2, 1, 32, 32, 32)
    with torch.inference_mode():
        one, two = model(images[:1]), model(images)
        quicken(model)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            quick = model(images[:1])
        torch.testing.assert_close(quick, one, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model(images), two, atol=0, rtol=0)
    kernels = {event.key for event in seen.key_averages()}
    assert "aten::mkldnn_convolution" in kernels
    assert not any("slow_conv3d" in kernel for kernel in kernels)


def test_what_it_cannot_do_is_left_to_pytorch():
    torch.manual_seed(0)
    layers = [
        nn.Conv3d(1, 2, 3, padding="same"),
        nn.Conv3d(1, 2, 3, padding=1, padding_mode="replicate"),
        nn.Conv3d(1, 2, 3, padding=1),
    ]
    image = torch.randn(1, 1, 5, 6, 7, requires_grad=True)
    for layer in layers:
        before = layer(image)
        after = quicken(layer)(image)
        torch.testing.assert_close(after, before, atol=0, rtol=0)
    with torch.inference_mode():
        doubled = quicken(nn.Conv3d(1, 2, 3, dtype=torch.float64))(image.double())
        assert doubled.dtype == torch.float64
        assert quicken(layers[-1])(image[0]).shape == (2, 5, 6, 7)
    after.sum().backward()
    assert image.grad is not None
