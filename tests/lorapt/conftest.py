"""Models with stacks, small enough to check by hand."""

import pytest
import torch
from torch import Tensor, nn

from hippopt.lorapt import Slot, Stack


class Block(nn.Module):
    """A fused query-key-value layer with an output projection, then two MLP layers: the shapes of a
    transformer block.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        x = x + self.out(torch.tanh(q * k) + v)
        return x + self.down(torch.tanh(self.up(x)))


class Blocks(nn.Module):
    """`layers` blocks: (B, T, width) -> (B, T, width)."""

    def __init__(self, layers: int, width: int = 6, inner: int = 10) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, inner) for _ in range(layers))
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def stacks(self) -> list[Stack]:
        width, inner = self.blocks[0].up.in_features, self.blocks[0].up.out_features
        attention = []
        for index in range(len(self.blocks)):
            attention += [Slot(f"blocks.{index}.qkv.weight", part * width, (part + 1) * width) for part in range(3)]
            attention.append(Slot(f"blocks.{index}.out.weight", 0, width))
        up = [Slot(f"blocks.{index}.up.weight", 0, inner) for index in range(len(self.blocks))]
        down = [Slot(f"blocks.{index}.down.weight", 0, width) for index in range(len(self.blocks))]
        return [Stack("attention", tuple(attention)), Stack("up", tuple(up)), Stack("down", tuple(down))]


@pytest.fixture(params=[2, 3], ids=["even", "odd"])
def blocks(request: pytest.FixtureRequest) -> Blocks:
    """Stacks of 2 (even) or 3 (odd) MLP slices, 8 or 12 attention slices; m < n, m > n and m = n."""
    torch.manual_seed(request.param)
    return Blocks(request.param)


@pytest.fixture
def tokens() -> Tensor:
    return torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(7))
