"""Class probabilities of a prepared image, by one window or by many, over flips and over networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hippopt.imaging.augmentation import AXIS_INDEX
from hippopt.imaging.patches import Triple, centre_start, cut

OVERLAP = 0.5  # nnU-Net's: windows at half steps


@dataclass(frozen=True)
class WindowSettings:
    """flips: combinations of axes to average over (the empty one included); swap: classes to exchange with a flip along x.

    also_shown: flips that are only shown to whoever looks, of the first `shown_networks` networks.
    """

    patch_size: Triple
    classes: int
    flips: tuple[tuple[str, ...], ...] = ((),)
    swap: tuple[tuple[int, int], ...] = ()
    batch: int = 2
    also_shown: tuple[tuple[str, ...], ...] = ()
    shown_networks: int = 0


# what looks at each view: (number of the network, flipped axes, probabilities (L, Z, Y, X) on the image's own axes, not to be changed)
Look = Callable[[int, tuple[str, ...], np.ndarray], None]


def flip_combinations(axes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """All subsets of the axes that were flipped in training."""
    subsets: list[tuple[str, ...]] = [()]
    for axis in axes:
        subsets += [(*subset, axis) for subset in subsets]
    return tuple(subsets)


def predict_probabilities(
    models: Sequence[nn.Module], image: np.ndarray, settings: WindowSettings, device: torch.device, look: Look | None = None
) -> np.ndarray:
    """Mean softmax probabilities (L, Z, Y, X) float32 of (C, Z, Y, X), over models and flips.

    An image that fits the patch is seen in one window, centred; a larger one in windows at half steps with Gaussian weights.
    look: is shown what each network finds in each flip, before the mean is taken.
    """
    tensor = torch.from_numpy(np.array(image, dtype=np.float32, order="C"))  # a copy, since a memory-mapped image is read-only
    total: torch.Tensor | None = None
    with torch.inference_mode():
        for number, model in enumerate(models):
            model.eval()
            shown = settings.also_shown if look is not None and number < settings.shown_networks else ()
            for axes in (*settings.flips, *(axes for axes in shown if axes not in settings.flips)):
                dims = [1 + AXIS_INDEX[axis] for axis in axes]
                flipped = torch.flip(tensor, dims) if dims else tensor
                probabilities = _one_view(model, flipped, settings, device)
                if dims:
                    probabilities = torch.flip(probabilities, dims)
                    if "x" in axes:
                        probabilities = probabilities[_swapped_order(settings)]
                if look is not None:
                    look(number, axes, probabilities.numpy())
                if axes not in settings.flips:
                    continue
                total = probabilities if total is None else total.add_(probabilities)
    assert total is not None, "no model was given"
    return (total / (len(models) * len(settings.flips))).numpy()


def _swapped_order(settings: WindowSettings) -> list[int]:
    order = list(range(settings.classes))
    for first, second in settings.swap:
        order[first], order[second] = order[second], order[first]
    return order


def _one_view(model: nn.Module, image: torch.Tensor, settings: WindowSettings, device: torch.device) -> torch.Tensor:
    patch = settings.patch_size
    shape = (image.shape[1], image.shape[2], image.shape[3])
    if all(size <= limit for size, limit in zip(shape, patch, strict=True)):
        start = centre_start(shape, patch)
        window = torch.from_numpy(cut(image.numpy(), start, patch))[None].to(device)
        probabilities = torch.softmax(model(window).float(), 1)[0].cpu()
        inside = tuple(slice(-first, -first + size) for first, size in zip(start, shape, strict=True))
        return probabilities[(slice(None), *inside)].clone()
    from monai.inferers.utils import sliding_window_inference

    def predictor(windows: torch.Tensor) -> torch.Tensor:
        return torch.softmax(model(windows).float(), 1)

    found = sliding_window_inference(
        image[None], patch, settings.batch, predictor, overlap=OVERLAP, mode="gaussian", sw_device=device, device="cpu"
    )
    assert isinstance(found, torch.Tensor)
    return found[0]
