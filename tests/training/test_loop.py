"""The loop: learning rate, loss, budget, and steps that are skipped."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from hippopt.errors import TrainingError
from hippopt.training.checkpoint import LoopState
from hippopt.training.loop import (
    SKIPS_ALLOWED,
    Budget,
    LoopHooks,
    Optimisation,
    learning_rate,
    segmentation_loss,
    train,
)
from tests.records import changed, small_plan

SCHEDULE = small_plan().schedule  # 5 steps of warm-up, exponent 0.9, 10 steps an epoch


@pytest.mark.parametrize(
    ("progress", "step", "wanted"),
    [
        (0.0, 0, 1 / 5),
        (0.02, 1, 2 / 5 * 0.98**0.9),
        (0.04, 4, 0.96**0.9),  # the warm-up ends with the fifth step
        (0.5, 50, 0.5**0.9),
        (0.99, 99, 0.01**0.9),
        (1.0, 100, 0.0),
    ],
)
def test_learning_rate(progress: float, step: int, wanted: float) -> None:
    assert learning_rate(SCHEDULE, 2e-3, progress, step) == pytest.approx(2e-3 * wanted)


def test_learning_rate_without_warm_up() -> None:
    assert learning_rate(changed(SCHEDULE, warmup_steps=0), 1e-3, 0.0, 0) == 1e-3


def test_progress_by_steps_or_by_time() -> None:
    state = LoopState(step=25, elapsed_s=30.0)
    assert Budget(100).progress(state) == 0.25
    assert Budget(0, 120.0).progress(state) == 0.25
    assert Budget(20).progress(state) == Budget(0, 29.0).progress(state) == 1.0


def test_loss_by_hand() -> None:
    # one voxel of each class, all probabilities 1/3: cross-entropy is log 3; Dice of a class is 2 * 1/3 / (1 + 3 * 1/3)
    # = 1/3
    label = torch.tensor([0, 1, 2]).reshape(1, 1, 1, 1, 3)
    loss = segmentation_loss()(torch.zeros(1, 3, 1, 1, 3), label)
    assert float(loss) == pytest.approx(math.log(3) + 2 / 3, abs=1e-4)
    right = 50.0 * nn.functional.one_hot(label[:, 0]).permute(0, 4, 1, 2, 3)
    assert float(segmentation_loss()(right, label)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("confident", [0.0, 30.0, -30.0, 200.0])  # at 200 the other probabilities are 0 in float32
def test_loss_without_foreground_is_finite(confident: float) -> None:
    logits = torch.zeros(2, 3, 4, 4, 4)
    logits[:, 0] += confident
    logits.requires_grad_()
    loss = segmentation_loss()(logits, torch.zeros(2, 1, 4, 4, 4, dtype=torch.int16))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()


class Runner:
    """A 1 x 1 x 1 convolution under the loop, with what the hooks were told."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Conv3d(1, 3, 1)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1.0)
        self.state = LoopState()
        self.rows: list[dict[str, float]] = []
        self.skipped: list[list[str]] = []
        self.rates: list[float] = []
        self.stop_at: int | None = None

    def run(self, batches: Iterator[dict[str, Any]], budget: Budget) -> bool:
        hooks = LoopHooks(
            lambda state, row: self.rows.append(row),
            lambda state, loss: self.rates.append(self.optimizer.param_groups[0]["lr"]),
            lambda state, cases: self.skipped.append(cases),
            lambda: self.stop_at is not None and self.state.step >= self.stop_at,
        )
        return train(self.model, self.optimisation(), batches, budget, self.state, hooks)

    def optimisation(self) -> Optimisation:
        return Optimisation(dict(self.model.named_parameters()), self.optimizer, SCHEDULE, 1e-2, False)


def batches(spoilt: frozenset[int] = frozenset()) -> Iterator[dict[str, Any]]:
    """Bright voxels are class 1, dark ones class 2; the batches of these numbers hold a NaN."""
    for number in itertools.count():
        generator = torch.Generator().manual_seed(number)
        image = torch.randn(2, 1, 4, 4, 4, generator=generator)
        label = torch.where(image > 0.5, 1, torch.where(image < -0.5, 2, 0)).to(torch.int16)
        if number in spoilt:
            image[0, 0, 0, 0, 0] = math.nan
        yield {"image": image, "label": label, "cases": [f"case_{number}", "other"]}


def test_steps_epochs_and_rates() -> None:
    runner = Runner()
    assert runner.run(batches(), Budget(25))
    assert runner.state.step == 25 and len(runner.rates) == 25
    assert [row["step"] for row in runner.rows] == [10, 20, 25]  # the last epoch is what is left
    assert runner.rates == [learning_rate(SCHEDULE, 1e-2, step / 25, step) for step in range(25)]
    assert runner.rows[-1]["train_loss"] < runner.rows[0]["train_loss"]
    assert all(math.isfinite(value) for row in runner.rows for value in row.values())
    assert runner.run(batches(), Budget(25)) and runner.state.step == 25  # nothing is left to do


def test_a_group_with_its_own_rate() -> None:
    """Its rate is a multiple of the schedule's at every step; the others are as without it."""
    runner, rates = Runner(), []
    groups = [{"params": [runner.model.weight]}, {"params": [runner.model.bias], "rate": 30.0}]
    runner.optimizer = torch.optim.AdamW(groups, lr=1.0)
    step = runner.optimizer.step
    runner.optimizer.step = lambda: rates.append([group["lr"] for group in runner.optimizer.param_groups]) or step()  # type: ignore[method-assign,func-returns-value]
    runner.run(batches(), Budget(25))
    plain = [learning_rate(SCHEDULE, 1e-2, step / 25, step) for step in range(25)]
    assert rates == [[rate, rate * 30.0] for rate in plain]


def test_a_stop_signal_ends_at_the_next_step() -> None:
    runner = Runner()
    runner.stop_at = 7
    assert not runner.run(batches(), Budget(25))
    assert runner.state.step == 7


def test_a_spoilt_batch_is_skipped_and_named() -> None:
    runner, clean = Runner(), Runner()
    assert runner.run(batches(frozenset({3, 4})), Budget(10))
    assert runner.skipped == [["case_3", "other"], ["case_4", "other"]]
    assert runner.state.skipped == 2 and runner.state.skipped_in_a_row == 0 and runner.state.step == 10
    assert all(torch.isfinite(parameter).all() for parameter in runner.model.parameters())
    assert runner.rows[0]["skipped"] == 2 and math.isfinite(runner.rows[0]["train_loss"])
    assert clean.run(batches(), Budget(10)) and not torch.equal(clean.model.weight, runner.model.weight)


def test_nothing_but_spoilt_batches_is_an_error() -> None:
    runner = Runner()
    before = runner.model.weight.detach().clone()
    with pytest.raises(TrainingError, match=f"{SKIPS_ALLOWED + 1} times in a row.*case_{SKIPS_ALLOWED}"):
        runner.run(batches(frozenset(range(100))), Budget(25))
    assert torch.equal(runner.model.weight, before)


def test_a_penalty_is_minimised_and_not_logged_and_updates_are_counted_without_skipped_steps() -> None:
    plain, runner, updates = Runner(), Runner(), list[int]()
    weight = runner.model.weight
    seen = list[bool]()

    def on_update(number: int) -> None:
        updates.append(number)
        seen.append(weight.grad is not None and bool(weight.grad.abs().sum() > 0))

    hooks = LoopHooks(
        lambda state, row: runner.rows.append(row), lambda *_: None, lambda *_: None, lambda: False,
        penalty=lambda: 1000.0 * weight.square().sum(), on_update=on_update,
    )  # fmt: skip
    train(runner.model, runner.optimisation(), batches(frozenset({2})), Budget(10), runner.state, hooks)
    plain.run(batches(frozenset({2})), Budget(10))
    assert weight.norm() < plain.model.weight.norm() and runner.rows[0]["train_loss"] < 5
    assert updates == list(range(1, 10)) and all(seen)
