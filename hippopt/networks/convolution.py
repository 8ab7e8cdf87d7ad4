"""Have oneDNN compute the convolutions of a single window on a CPU, which is quicker than torch's own choice."""

import torch
from torch import nn


class _OneDnnConv3d(nn.Conv3d):
    """PyTorch takes oneDNN for a batch of one only where channels times depth times height are over 20480
    (`ConvParams::use_mkldnn` in aten/src/ATen/native/Convolution.cpp), and else unfolds the input, which takes several
    times as long.
    """

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        plain = (
            input.device.type == "cpu"
            and input.dtype == torch.float32
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
        )
        if len(input) > 1 or input.dim() != 5 or not plain:
            return super()._conv_forward(input, weight, bias)
        assert not isinstance(self.padding, str)  # `quicken` leaves such layers as they are
        return torch.mkldnn_convolution(input, weight, bias, self.padding, self.stride, self.dilation, self.groups)


def quicken(model: nn.Module) -> nn.Module:
    """The same network, whose 3D convolutions take a batch of one
    faster on a CPU where PyTorch has oneDNN. For prediction alone.
    """
    if torch.backends.mkldnn.is_available() and hasattr(torch, "mkldnn_convolution"):
        for part in model.modules():
            if type(part) is nn.Conv3d and part.padding_mode == "zeros" and not isinstance(part.padding, str):
                part.__class__ = _OneDnnConv3d
    return model
