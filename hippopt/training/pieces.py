"""The loss of a batch and its gradients, in as many pieces as the GPU's memory asks for."""

from collections.abc import Callable

import torch
from torch import nn


class BatchGradients:
    """Computes losses and gradients; where a GPU's memory runs out, the batch is halved, and stays so for the steps
    that follow.

    In pieces, the loss is the mean over the pieces of each piece's own loss: its Dice part is then that of the pieces'
    voxels, not of the whole batch's. With the memory at its end for a single sample, the error is raised as it is.
    """

    def __init__(
        self, model: nn.Module, loss_of: nn.Module, autocast: bool, on_halved: Callable[[int, int], None]
    ) -> None:
        """Keep what every step needs. on_halved: is told (samples in a piece, samples of the batch)."""
        self.model, self.loss_of, self.autocast, self.on_halved = model, loss_of, autocast, on_halved
        self.pieces = 1

    def __call__(
        self, image: torch.Tensor, label: torch.Tensor, penalty: Callable[[], torch.Tensor | None]
    ) -> torch.Tensor:
        """Add the gradients of a batch to the parameters'.

        Args:
            image: (B, C, Z, Y, X).
            label: (B, 1, Z, Y, X) classes.
            penalty: makes a term that is minimised beside the loss, or None.

        Returns:
            The loss without the penalty, detached, a single value.

        Raises:
            torch.OutOfMemoryError: a single sample does not fit the GPU.
        """
        while True:
            try:
                return self._add(image, label, penalty)
            except torch.OutOfMemoryError:
                if self.pieces >= len(image):
                    raise
            # beyond the handler, whose traceback held the tensors of the failed try
            self.pieces = min(2 * self.pieces, len(image))
            for parameter in self.model.parameters():
                parameter.grad = None
            if image.is_cuda:
                torch.cuda.empty_cache()
            self.on_halved(-(-len(image) // self.pieces), len(image))

    def _add(
        self, image: torch.Tensor, label: torch.Tensor, penalty: Callable[[], torch.Tensor | None]
    ) -> torch.Tensor:
        total = torch.zeros((), device=image.device)
        parts = list(zip(image.tensor_split(self.pieces), label.tensor_split(self.pieces), strict=True))
        for number, (images, labels) in enumerate(parts):
            with torch.autocast(image.device.type, torch.bfloat16, enabled=self.autocast):
                logits = self.model(images)
            loss = self.loss_of(logits.float(), labels)
            if len(parts) > 1:
                loss = loss * (len(images) / len(image))
            extra = penalty() if number == 0 else None
            (loss if extra is None else loss + extra).backward()
            total = total + loss.detach() if number else loss.detach()
        return total
