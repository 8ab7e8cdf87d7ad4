"""Resume files: training goes on as if it had never stopped, and one whole file exists at any moment."""

from pathlib import Path

import pytest
import torch
from torch import nn

from hippopt.errors import TrainingError
from hippopt.training.checkpoint import LoopState, load_resume, restore_optimizer, save_resume

STATE = LoopState(
    step=12,
    elapsed_s=3.25,
    waited_s=0.5,
    skipped=2,
    skipped_in_a_row=1,
    smoothed_dice=0.1 + 0.2,
    best_dice=1 / 3,
    best_step=10,
    rows=[{"step": 10, "train_loss": 0.7071067811865476}],
)


class Fit:
    """A small regression under AdamW; `unused` never gets a gradient, so the optimiser holds no moments of it."""

    def __init__(self, seed: int, own_rate: tuple[str, ...] = ()) -> None:
        torch.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        self.model.register_parameter("unused", nn.Parameter(torch.randn(2)))
        parameters = dict(self.model.named_parameters())
        groups = [[name for name in parameters if name not in own_rate], list(own_rate)]
        self.names = [name for group in groups for name in group]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [parameters[name] for name in group], "lr": rate}
                for group, rate in zip(groups, (0.05, 0.2), strict=True)
                if group
            ],
            weight_decay=0.01,
        )

    def steps(self, first: int, last: int) -> None:
        for number in range(first, last):
            inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(number))
            (self.model(inputs) - inputs[:, :2].sin()).square().mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def tensors(self) -> dict[str, torch.Tensor]:
        return {f"rest.{name}": value.detach().clone() for name, value in self.model.named_parameters()}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "resume.safetensors", tmp_path / "resume_previous.safetensors"


def save(fit: Fit, files: tuple[Path, Path], state: LoopState = STATE) -> None:
    save_resume(*files, fit.tensors(), fit.optimizer, fit.names, state)


@pytest.mark.parametrize("own_rate", [(), ("0.bias", "2.weight")], ids=["one group", "two groups"])
def test_training_goes_on_as_if_it_had_never_stopped(files: tuple[Path, Path], own_rate: tuple[str, ...]) -> None:
    whole, begun, resumed = (Fit(seed, own_rate) for seed in (0, 0, 1))
    whole.steps(0, 9)
    begun.steps(0, 5)
    save(begun, files)
    tensors, state, warnings = load_resume(*files)
    assert warnings == [] and state == STATE
    with torch.no_grad():
        for name, parameter in resumed.model.named_parameters():
            parameter.copy_(tensors[f"rest.{name}"])
    restore_optimizer(resumed.optimizer, tensors, resumed.names, 5)
    resumed.steps(5, 9)
    for name, value in whole.tensors().items():
        assert torch.equal(value, resumed.tensors()[name]), name
    for parameter, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        one, two = whole.optimizer.state[parameter], resumed.optimizer.state[other]
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_moments_are_stored_by_name(files: tuple[Path, Path]) -> None:
    fit = Fit(0)
    fit.steps(0, 2)
    save(fit, files)
    tensors, _, _ = load_resume(*files)
    moments = {name for name in tensors if name.startswith("optimizer.")}
    assert moments == {
        f"optimizer.{moment}.{name}" for moment in ("exp_avg", "exp_avg_sq") for name in fit.names if name != "unused"
    }
    weight = fit.model[0].weight
    assert torch.equal(tensors["optimizer.exp_avg.0.weight"], fit.optimizer.state[weight]["exp_avg"])


def test_the_state_may_hold_nothing_yet(files: tuple[Path, Path]) -> None:
    save(Fit(0), files, LoopState())
    assert load_resume(*files)[1] == LoopState()


def test_the_one_before_is_kept(files: tuple[Path, Path]) -> None:
    path, previous = files
    fit = Fit(0)
    for step in (1, 2, 3):
        save(fit, files, LoopState(step=step))
    assert sorted(found.name for found in path.parent.iterdir()) == sorted([path.name, previous.name])
    assert load_resume(*files)[1].step == 3
    assert load_resume(previous, path)[1].step == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_file_falls_back_to_the_one_before(files: tuple[Path, Path], damage: str) -> None:
    path, previous = files
    fit = Fit(0)
    save(fit, files, LoopState(step=1))
    save(fit, files, LoopState(step=2))
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        data[-3] ^= 1
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    _, state, warnings = load_resume(*files)
    assert state.step == 1
    assert "continuing from resume_previous.safetensors" in warnings[-1]
    previous.write_bytes(b"")
    with pytest.raises(TrainingError, match=r"no whole checkpoint|nothing to resume"):
        load_resume(*files)


def test_nothing_to_resume(files: tuple[Path, Path]) -> None:
    with pytest.raises(TrainingError, match="nothing to resume from"):
        load_resume(*files)
