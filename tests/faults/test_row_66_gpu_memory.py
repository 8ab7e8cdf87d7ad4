"""Row 66: where a GPU's memory runs out, training and prediction take
half of the samples at a time and go on; other errors are raised.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hippopt.inference.windows import WindowSettings, predict_probabilities
from hippopt.training.loop import segmentation_loss
from hippopt.training.pieces import BatchGradients
from tests.synthetic import Command
from tests.trained import assert_stopped, copied, fold_path, train_arguments


class SmallMemory(nn.Module):
    """A network on a GPU that holds so many samples at a time."""

    def __init__(self, samples: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.samples, self.error = nn.Conv3d(1, 3, 3, padding=1), samples, error
        self.seen: list[int] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(image))
        if len(image) > self.samples:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.layer(image)


def batch(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn((samples, 1, 8, 8, 8), generator=rng), torch.randint(0, 3, (samples, 1, 8, 8, 8), generator=rng)


@pytest.mark.parametrize(
    ("samples", "fit", "seen"), [(4, 4, [4]), (4, 2, [4, 2, 2]), (4, 1, [4, 2, 1, 1, 1, 1]), (3, 2, [3, 2, 1])]
)
def test_row_66_gradients_are_those_of_the_pieces_together(samples: int, fit: int, seen: list[int]) -> None:
    image, label = batch(samples)
    model, told, loss_of = SmallMemory(fit), list[tuple[int, int]](), segmentation_loss()
    gradients = BatchGradients(model, loss_of, False, lambda *numbers: told.append(numbers))
    loss = gradients(image, label, lambda: None)
    assert model.seen == seen
    assert [number for _, number in told] == [samples] * gradients.pieces.bit_length().__sub__(1)
    expected = SmallMemory(samples)
    parts = list(zip(image.tensor_split(gradients.pieces), label.tensor_split(gradients.pieces), strict=True))
    mean = sum(loss_of(expected(x), y) * len(x) / samples for x, y in parts)
    mean.backward()
    torch.testing.assert_close(loss, mean.detach())
    torch.testing.assert_close(model.layer.weight.grad, expected.layer.weight.grad)
    model.seen.clear()
    gradients(image, label, lambda: None)  # the batch stays divided
    assert max(model.seen) <= fit


def test_row_66_the_penalty_counts_once() -> None:
    image, label = batch(2)
    model = SmallMemory(1)
    BatchGradients(model, segmentation_loss(), False, lambda *_: None)(
        image, label, lambda: model.layer.bias.sum() * 100
    )
    assert model.layer.bias.grad is not None
    assert model.layer.bias.grad.sum() == pytest.approx(300, abs=5)


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_row_66_other_errors_are_raised(error: type[Exception]) -> None:
    model = SmallMemory(1, error)
    with pytest.raises(error):
        BatchGradients(model, segmentation_loss(), False, lambda *_: None)(*batch(4), lambda: None)
    assert model.seen == [4]


def test_row_66_prediction_gives_the_same_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).normal(size=(1, 24, 24, 24)).astype(np.float32)
    settings, cpu = WindowSettings((16, 16, 16), 3, batch=4), torch.device("cpu")
    with torch.no_grad():
        whole = predict_probabilities([SmallMemory(4)], image, settings, cpu)
        pieces = predict_probabilities([SmallMemory(1)], image, settings, cpu)
    np.testing.assert_allclose(pieces, whole, atol=1e-6)
    with pytest.raises(torch.OutOfMemoryError):
        predict_probabilities([SmallMemory(0)], image, settings, cpu)


@pytest.mark.parametrize("fit", [1, 0])
def test_row_66_the_command_goes_on_and_says_so(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch, fit: int
) -> None:
    from monai.networks.nets import UNETR

    root, real = copied(trained_root, tmp_path, results=False), UNETR.forward

    def forward(self: Any, image: torch.Tensor) -> Any:
        if self.training and len(image) > fit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(self, image)

    monkeypatch.setattr(UNETR, "forward", forward)
    outcome = run_command("train", *train_arguments(root))
    if fit:
        code, _, err = outcome
        assert code == 0 and err.count("too small for 2 patches at a time: 1 at a time") == 1, err
        assert (fold_path(root) / "summary.json").exists()
    else:
        assert_stopped(outcome, "memory ran out (CUDA out of memory", "batch_size", code=1)
