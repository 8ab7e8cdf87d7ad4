"""A quick look during training: Dice on one fixed window of a few validation cases."""

import numpy as np
import torch
from torch import nn

from hippopt.imaging.patches import TrainingCase, Triple, centre_start, cut

CASES = 8


class QuickValidation:
    """Windows around the structure, cut once. Its Dice picks the `best` checkpoint; it is not a reported figure."""

    def __init__(self, cases: list[TrainingCase], patch: Triple, classes: int, device: torch.device) -> None:
        self.classes = classes
        self.device = device
        chosen = [cases[index] for index in np.linspace(0, len(cases) - 1, min(CASES, len(cases))).round().astype(int)]
        images, labels = [], []
        for case in chosen:
            foreground = np.concatenate(case.foreground) if case.foreground else None
            middle = foreground.mean(0).round().astype(int) if foreground is not None else None
            shape = (case.label.shape[0], case.label.shape[1], case.label.shape[2])
            start = centre_start(shape, patch, (middle[0], middle[1], middle[2]) if middle is not None else None)
            images.append(torch.from_numpy(cut(case.image, start, patch)))
            labels.append(torch.from_numpy(cut(case.label, start, patch)))
        self.images = torch.stack(images)
        self.labels = torch.stack(labels)

    def dice(self, model: nn.Module, autocast: bool) -> float:
        """Mean over the foreground classes of the Dice over all windows together."""
        model.eval()
        overlap, total = torch.zeros(self.classes), torch.zeros(self.classes)
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            for image, label in zip(self.images.split(2), self.labels.split(2), strict=True):
                predicted = model(image.to(self.device)).argmax(1).cpu()
                for value in range(1, self.classes):
                    a, b = predicted == value, label == value
                    overlap[value] += (a & b).sum()
                    total[value] += a.sum() + b.sum()
        present = total[1:] > 0
        return float((2 * overlap[1:][present] / total[1:][present]).mean()) if present.any() else 0.0
