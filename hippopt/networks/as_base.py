"""A base that predicts as it is: what it sees is smoothed and normalised as its own scans were, and its classes are
added up.
"""

import torch
from torch import nn

from hippopt.artifacts.plan import NormalisationSettings
from hippopt.artifacts.weights import AsBase
from hippopt.imaging.mask_parts import bounding_box, largest_part

LEAST = 1e-12  # a probability counts as at least this much, so that its logarithm is finite
MOST_MOVED = 8  # voxels: what lies further from where the locator looked is no better looked at from there
MOST_MEASURED = 2**20  # voxels whose percentiles are taken: more tell the same


class AsBaseNetwork(nn.Module):
    """(B, C, Z, Y, X) windows -> logits (B, classes of the plan, Z, Y, X), whose softmax adds up the base's own.

    network: of the base's classes; used: how its windows are smoothed and normalised, and which of its classes mean
    which of the plan's.
    """

    def __init__(self, network: nn.Module, used: AsBase) -> None:
        super().__init__()
        self.network, self.used = network, used

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        sigma, settings = self.used.smooth_voxels, self.used.normalisation
        seen = torch.stack(
            [torch.stack([normalised(smoothed(channel, sigma), settings) for channel in window]) for window in windows]
        )
        if self.used.centred:
            found = torch.cat([self._average(window, self._middle(window)) for window in seen.split(1)])
        else:
            found = self._average(seen, (0, 0, 0))
        return found.clamp(min=LEAST).log()

    def _middle(self, window: torch.Tensor) -> tuple[int, int, int]:
        """How far the (1, C, Z, Y, X) window is to be moved, after a first look at it."""
        return _to_middle(1 - self._probabilities(window, (0, 0, 0))[0, 0])

    def _average(self, seen: torch.Tensor, start: tuple[int, int, int]) -> torch.Tensor:
        """Of the plan's classes, over the views of the windows, each moved by `start` besides."""
        shifts = [tuple(a + b for a, b in zip(start, shift, strict=True)) for shift in self.used.shifts]
        return torch.stack([self._probabilities(seen, shift) for shift in shifts]).mean(0)

    def _probabilities(self, seen: torch.Tensor, shift: tuple[int, ...]) -> torch.Tensor:
        """Of the plan's classes, from the windows moved by `shift` voxels; what leaves at one face enters at the other,
        far from a structure in the middle.
        """
        axes = (2, 3, 4)
        own = torch.softmax(self.network(torch.roll(seen, shift, axes)).float(), 1)
        added = torch.stack([own[:, list(classes)].sum(1) for classes in self.used.classes], 1)
        return torch.roll(added, tuple(-step for step in shift), axes)


def _to_middle(foreground: torch.Tensor) -> tuple[int, int, int]:
    """(Z, Y, X) voxels by which a window is to be moved to have what was found, (Z, Y, X) probabilities, in its middle;
    at most MOST_MOVED along each axis, and none where nothing was found.
    """
    inside = largest_part((foreground > 0.5).cpu().numpy())
    box = bounding_box(inside)
    if box is None:
        return (0, 0, 0)
    moves = [(size - length) / 2 - first for size, first, length in zip(inside.shape, *box, strict=True)]
    z, y, x = (max(-MOST_MOVED, min(MOST_MOVED, round(move))) for move in moves)
    return z, y, x


def as_planned(network: nn.Module, used: AsBase | None) -> nn.Module:
    """The network with the plan's classes."""
    return network if used is None else AsBaseNetwork(network, used).eval()


def smoothed(values: torch.Tensor, sigma: float) -> torch.Tensor:
    """Smooth (Z, Y, X) with a Gaussian of `sigma` voxels, among the voxels that are not zero; zeros stay zero.

    Args:
        values: (Z, Y, X) of a window, whose zeros are background.
        sigma: standard deviation in voxels; 0 leaves the values as they are.

    Returns:
        (Z, Y, X). A weighted mean of what is there, so the edge of a stripped brain is not darkened by what lies
        beyond it (normalised convolution, Knutsson and Westin 1993).
    """
    if sigma <= 0:
        return values
    from monai.networks.layers import GaussianFilter

    there = (values != 0).to(values.dtype)
    smooth = GaussianFilter(3, sigma, approx="sampled").to(values.device)
    total, weight = smooth(torch.stack([values, there])[:, None])[:, 0]
    return total / weight.clamp(min=1e-6) * there


def normalised(values: torch.Tensor, settings: NormalisationSettings) -> torch.Tensor:
    """(Z, Y, X): clipped to the percentiles and z-scored over the voxels that are not zero, which stay zero."""
    there = values != 0
    inside = values[there]
    if inside.numel() < 2:
        return values
    step = -(-inside.numel() // MOST_MEASURED)
    shares = torch.tensor(settings.clip_percentiles, dtype=inside.dtype, device=inside.device) / 100
    low, high = torch.quantile(inside[::step], shares)
    clipped = inside.clamp(low, high)
    scaled = (values.clamp(low, high) - clipped.mean()) / clipped.std().clamp(min=1e-6)
    return scaled * there
