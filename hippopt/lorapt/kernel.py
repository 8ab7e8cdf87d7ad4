"""A convolution whose kernel is a frozen residual plus the principal part of its own stack, built once in a forward
pass.

A kernel is small beside the images that it is moved over: the weight is built, and the convolution is torch's own.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hippopt.lorapt.factors import Factors


class StackedConvolution(nn.Module):
    """Computes what its convolution does with the kernel R + P. Keeps the names of the convolution's parameters.

    P (m outputs, n inputs, K) is laid out as the weight is: (m, n, ...), or (n, m, ...) where the convolution is
    `transposed`.
    """

    def __init__(self, convolution: _ConvNd, factors: Factors, transposed: bool) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        # tuples keep the convolution, and the shared factors, from being registered once more under this layer
        self._convolution, self._factors = (convolution,), (factors,)
        self._transposed = transposed

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As the convolution: (B, channels, ...) -> (B, channels, ...)."""
        given = {"weight": self.effective_weight()} | ({} if self.bias is None else {"bias": self.bias})
        arguments = (x,) if output_size is None else (x, output_size)
        found: Tensor = torch.func.functional_call(self._convolution[0], given, arguments)
        return found

    def effective_weight(self) -> Tensor:
        """R + P, in the shape and the precision of the weight."""
        principal = self._factors[0].kernel()
        if self._transposed:
            principal = principal.transpose(0, 1)
        return self.weight + principal.reshape(self.weight.shape).to(self.weight.dtype)

    def forget(self) -> None:
        """Nothing is kept from step to step."""
