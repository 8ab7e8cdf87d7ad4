"""Steps whose loss or gradient is not finite are skipped; after several in a row training stops and names the cases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hippopt.training import loop
from tests.synthetic import Command
from tests.trained import DATASET, assert_stopped, contents, copied, fold_path, train_arguments


def spoil(root: Path, case: str) -> None:
    """Huge values in the preprocessed image: the network overflows."""
    path = root / "preprocessed" / DATASET / f"{case}.npy"
    array = np.load(path)
    array[..., ::2] = 3e38
    array[..., 1::2] = -3e38
    np.save(path, array)


def test_row_70_scans_that_overflow_stop_training_with_their_names(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    for number in range(6):
        spoil(root, f"case_{number:03d}")
    outcome = run_command("train", *train_arguments(root, steps=30))
    assert_stopped(outcome, "step 6", "not finite 6 times in a row", "case_00", "learning_rate")
    assert outcome[2].count("; skipped") == 6
    assert not (fold_path(root) / "adapter.json").exists()


def poisoned(monkeypatch: pytest.MonkeyPatch, steps: set[int], kind: str) -> None:
    """The loss, or only its gradient, is not finite in these steps."""
    original, seen = loop.segmentation_loss, [0]

    def make() -> Callable[..., Any]:
        loss = original()

        def of(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            seen[0] += 1
            value = loss(logits, label)
            if seen[0] not in steps:
                return value
            if kind == "loss":
                return value * float("nan")
            return value + (logits.sum() * 0).clamp(min=0).sqrt()  # finite, but the gradient of sqrt at 0 is not

        return of

    monkeypatch.setattr(loop, "segmentation_loss", make)


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_row_70_a_few_bad_steps_are_skipped_and_leave_no_trace(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    poisoned(monkeypatch, {2, 4, 5, 6, 7, 8}, kind)
    code, _, err = run_command("train", *train_arguments(root, steps=9))
    assert code == 0 and err.count("; skipped") == 6 and "step 4: loss or gradient not finite on case_" in err, err
    assert all(torch.isfinite(value).all() for value in load_file(fold_path(root) / "adapter.safetensors").values())
    assert '"skipped_steps": 6' in (fold_path(root) / "adapter.json").read_text()


def test_row_70_the_best_weights_and_the_last_checkpoint_survive_the_stop(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    poisoned(monkeypatch, set(range(5, 40)), "loss")
    assert_stopped(run_command("train", *train_arguments(root, steps=15)), "step 10", "case_")
    fold = fold_path(root)
    best = {name: digest for name, digest in contents(fold).items() if name.startswith("adapter_best")}
    assert len(best) == 2
    monkeypatch.undo()
    code, out, err = run_command("train", *train_arguments(root, "--resume", steps=15))
    assert code == 0 and "resumed at step" in out, err
    for name in ("adapter_best.safetensors", "adapter.safetensors"):
        assert all(torch.isfinite(value).all() for value in load_file(fold / name).values())
