"""A quick look during training: Dice on one fixed window of a few validation cases."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.regions import region_classes
from hippopt.artifacts.triples import Voxels
from hippopt.batches.patches import TrainingCase, centre_start, cut
from hippopt.batches.region_patches import as_network_sees, region_middles, window_start

CASES = 8


def windows_around(cases: list[TrainingCase], patch: Voxels) -> tuple[torch.Tensor, torch.Tensor]:
    """(images (N, C, Z, Y, X), labels (N, Z, Y, X)): a window around the structure of up to CASES cases,
    evenly chosen.
    """
    chosen = [cases[index] for index in np.linspace(0, len(cases) - 1, min(CASES, len(cases))).round().astype(int)]
    images, labels = [], []
    for case in chosen:
        foreground = np.concatenate(case.foreground) if case.foreground else None
        middle = foreground.mean(0).round().astype(int) if foreground is not None else None
        shape = (case.label.shape[0], case.label.shape[1], case.label.shape[2])
        start = centre_start(shape, patch, (middle[0], middle[1], middle[2]) if middle is not None else None)
        images.append(torch.from_numpy(cut(case.image, start, patch)))
        labels.append(torch.from_numpy(cut(case.label, start, patch)))
    return torch.stack(images), torch.stack(labels)


def region_windows(cases: list[TrainingCase], plan: Plan) -> tuple[torch.Tensor, torch.Tensor]:
    """As `windows_around`, for scans that are located: one window for each region of a case, as the network sees it."""
    images, labels = [], []
    for index in np.linspace(0, len(cases) - 1, min(CASES, len(cases))).round().astype(int):
        case = cases[index]
        shape = case.label.shape
        middle = (shape[0] // 2, shape[1] // 2, shape[2] // 2)
        for region, centre in region_middles(case, plan) or [(next(iter(region_classes(plan))), middle)]:
            start = window_start(case, plan, centre)
            image, label = as_network_sees(
                cut(case.image, start, plan.patch_size), cut(case.label, start, plan.patch_size), plan, region
            )
            images.append(torch.from_numpy(image))
            labels.append(torch.from_numpy(label))
    return torch.stack(images), torch.stack(labels)


class QuickValidation:
    """Fixed windows: images (N, C, Z, Y, X), labels (N, Z, Y, X).

    Its Dice picks the `best` checkpoint; it is not a reported figure.
    """

    def __init__(self, windows: tuple[torch.Tensor, torch.Tensor], classes: int, device: torch.device) -> None:
        self.images, self.labels = windows
        self.classes = classes
        self.device = device

    def dice(self, model: nn.Module, autocast: bool) -> float:
        """Mean over the foreground classes of the Dice over all windows together."""
        return mean_present(self.dice_by_class(model, autocast).tolist())

    def dice_by_class(self, model: nn.Module, autocast: bool) -> torch.Tensor:
        """(classes,) Dice over all windows together; NaN for the background and where neither has a voxel
        of the class.
        """
        model.eval()
        overlap, total = torch.zeros(self.classes), torch.zeros(self.classes)
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            for image, label in zip(self.images.split(2), self.labels.split(2), strict=True):
                predicted = model(image.to(self.device)).argmax(1).cpu()
                for value in range(1, self.classes):
                    a, b = predicted == value, label == value
                    overlap[value] += (a & b).sum()
                    total[value] += a.sum() + b.sum()
        # the background's total is not counted
        return torch.where(total > 0, 2 * overlap / total.clamp(min=1), torch.nan)


def mean_present(by_class: Iterable[float]) -> float:
    """The mean over the classes that are there; 0 where none is."""
    present = [value for value in by_class if value == value]
    return sum(present) / len(present) if present else 0.0
