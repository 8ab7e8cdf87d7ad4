"""Class probabilities of a prepared image, by one window or by many, over flips and over networks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hippopt.artifacts.plan import CENTRE_REACH
from hippopt.artifacts.triples import Voxels
from hippopt.batches.patches import centre_start, cut
from hippopt.imaging.arrays import Image, Probabilities
from hippopt.imaging.orientation import AXIS_INDEX

OVERLAP = 0.5  # nnU-Net's: windows at half steps
# of what is found, at a face: a rounded end that just reaches it; a structure that goes on shows its cross-section
TOUCH_SHARE = 0.005
# networks, whose mean needs no overlapping windows (docs/experiments.md: one network is .001 to .003 better with them)
SEVERAL = 3

# is told after each few windows of a look in many: (windows seen, windows of all looks of all networks); what it raises
# ends the work
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class WindowSettings:
    """flips: combinations of axes to average over (the empty one included); swap: classes to exchange with a flip along
    x.

    also_shown: flips that are only shown to whoever looks, of the first `shown_networks` networks. centre: several
    networks look once, at the middle of an image somewhat larger than the patch, where what is found there does not
    reach the window's faces. watch: follows a look in many windows, and may end it.
    """

    patch_size: Voxels
    classes: int
    flips: tuple[tuple[str, ...], ...] = ((),)
    swap: tuple[tuple[int, int], ...] = ()
    batch: int = 2
    also_shown: tuple[tuple[str, ...], ...] = ()
    shown_networks: int = 0
    centre: bool = False
    watch: Watch | None = None


# what looks at each view: (number of the network, flipped axes, probabilities (L, Z, Y, X) on the image's own axes, not
# to be changed)
Look = Callable[[int, tuple[str, ...], Probabilities], None]


def flip_combinations(axes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """All subsets of the axes that were flipped in training."""
    subsets: list[tuple[str, ...]] = [()]
    for axis in axes:
        subsets += [(*subset, axis) for subset in subsets]
    return tuple(subsets)


def predict_probabilities(
    models: Sequence[nn.Module],
    image: Image,
    settings: WindowSettings,
    device: torch.device,
    look: Look | None = None,
) -> Probabilities:
    """Mean softmax probabilities (L, Z, Y, X) float32 of (C, Z, Y, X), over models and flips.

    An image that fits the patch is seen in one window, centred; a larger one in windows at half steps with Gaussian
    weights, or in its middle alone where `settings.centre` allows, there are SEVERAL networks, and none finds more than
    a touch at the faces; beyond it all is then background. look: is shown what each network finds in each flip, before
    the mean is taken.
    """
    # a copy, since a memory-mapped image is read-only
    tensor = torch.from_numpy(np.array(image, dtype=np.float32, order="C"))
    total: torch.Tensor | None = None
    on_windows = _counting(len(models), tensor, settings, look is not None)
    with torch.inference_mode():
        middles = _middles(models, tensor, settings, device)
        for number, model in enumerate(models):
            model.eval()
            shown = settings.also_shown if look is not None and number < settings.shown_networks else ()
            for axes in (*settings.flips, *(axes for axes in shown if axes not in settings.flips)):
                dims = [1 + AXIS_INDEX[axis] for axis in axes]
                flipped = torch.flip(tensor, dims) if dims else tensor
                if middles and not axes:
                    probabilities = middles[number]
                elif middles:
                    probabilities = _middle(model, flipped, settings, device)
                else:
                    probabilities = _sliding(model, flipped, settings, device, on_windows)
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


def window_count(shape: Sequence[int], patch_size: Sequence[int]) -> int:
    """How many windows at half steps cover an image. shape: (Z, Y, X) voxels."""
    steps = (max(1, int(size * (1 - OVERLAP))) for size in patch_size)
    return math.prod(
        1 + max(0, math.ceil((size - patch) / step)) for size, patch, step in zip(shape, patch_size, steps, strict=True)
    )


def _counting(networks: int, image: torch.Tensor, settings: WindowSettings, shown: bool) -> Callable[[int], None]:
    """What is to be called with the number of windows that a network has just seen."""
    watch = settings.watch
    if watch is None:
        return lambda _: None
    more = sum(axes not in settings.flips for axes in settings.also_shown) if shown else 0
    looks = networks * len(settings.flips) + min(networks, settings.shown_networks) * more
    of_all, done = looks * window_count(image.shape[1:], settings.patch_size), 0

    def count(windows: int) -> None:
        nonlocal done
        done += windows
        watch(min(done, of_all), of_all)

    return count


def _swapped_order(settings: WindowSettings) -> list[int]:
    order = list(range(settings.classes))
    for first, second in settings.swap:
        order[first], order[second] = order[second], order[first]
    return order


def _middles(
    models: Sequence[nn.Module], image: torch.Tensor, settings: WindowSettings, device: torch.device
) -> list[torch.Tensor]:
    """What each network sees in the window in the middle, where that is enough: it holds the image, or what they find
    in it does not go on where it cuts the image. Else empty.
    """
    shape, patch = (image.shape[1], image.shape[2], image.shape[3]), settings.patch_size
    cut_axes = [axis for axis in range(3) if shape[axis] > patch[axis]]
    near = all(size <= CENTRE_REACH * limit for size, limit in zip(shape, patch, strict=True))
    if cut_axes and not (settings.centre and near and len(models) >= SEVERAL):
        return []
    starts = centre_start(shape, patch)
    seen: list[torch.Tensor] = []
    for model in models:
        seen.append(_middle(model.eval(), image, settings, device))
        found = seen[-1].argmax(0) > 0
        faces = [
            found.select(axis, place) for axis in cut_axes for place in (starts[axis], starts[axis] + patch[axis] - 1)
        ]
        if cut_axes and (not found.any() or max(int(face.sum()) for face in faces) > TOUCH_SHARE * int(found.sum())):
            return []
    return seen


def _middle(model: nn.Module, image: torch.Tensor, settings: WindowSettings, device: torch.device) -> torch.Tensor:
    """Probabilities (L, Z, Y, X) of the whole image by the window in its middle; beyond the window all is
    background.
    """
    patch = settings.patch_size
    shape = (image.shape[1], image.shape[2], image.shape[3])
    start = centre_start(shape, patch)
    window = torch.from_numpy(cut(image.numpy(), start, patch))[None].to(device)
    seen = torch.softmax(model(window).float(), 1)[0].cpu()
    whole = torch.zeros((settings.classes, *shape))
    whole[0] = 1
    spans = [(max(0, first), min(size, first + limit)) for first, size, limit in zip(start, shape, patch, strict=True)]
    there = (slice(None), *(slice(low, high) for low, high in spans))
    here = (slice(None), *(slice(low - first, high - first) for first, (low, high) in zip(start, spans, strict=True)))
    whole[there] = seen[here]
    return whole


def _logits(model: nn.Module, windows: torch.Tensor) -> torch.Tensor:
    """The network's output for windows (B, C, Z, Y, X), half of them at
    a time where the GPU's memory runs out, to the same result.
    """
    try:
        return model(windows)
    except torch.OutOfMemoryError:
        if len(windows) == 1:
            raise
    torch.cuda.empty_cache()
    half = -(-len(windows) // 2)
    return torch.cat([_logits(model, windows[:half]), _logits(model, windows[half:])])


def _sliding(
    model: nn.Module,
    image: torch.Tensor,
    settings: WindowSettings,
    device: torch.device,
    on_windows: Callable[[int], None],
) -> torch.Tensor:
    """Probabilities (L, Z, Y, X) by windows at half steps."""
    from monai.inferers.utils import sliding_window_inference

    def predictor(windows: torch.Tensor) -> torch.Tensor:
        found = torch.softmax(_logits(model, windows).float(), 1)
        on_windows(len(windows))
        return found

    found = sliding_window_inference(
        image[None],
        settings.patch_size,
        settings.batch,
        predictor,
        overlap=OVERLAP,
        mode="gaussian",
        sw_device=device,
        device="cpu",
    )
    assert isinstance(found, torch.Tensor)
    return found[0]
