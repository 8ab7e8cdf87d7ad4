"""Training that was stopped and resumed gives, bit for bit, the weights of training that was not."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hippopt.networks.unetr import SIZES
from hippopt.training.precision import TOLERANCE, use_bfloat16, weight_gradient_error
from tests.synthetic import Command
from tests.trained import (
    NO_PLOTS,
    assert_same_tensors,
    copied,
    fold_path,
    running,
    signal_at,
    train_arguments,
)

STEPS = 9  # three epochs

# kills itself while the checkpoint of the second epoch is written: one is whole, the next half done
KILLED_IN_SAVE = """
import os, signal
from hippopt.networks import tensor_files
replace, calls = os.replace, []
def dies(source, target, *rest):
    if str(target).endswith("resume_new.safetensors"):
        calls.append(target)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target, *rest)
os.replace = dies
"""


pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def uninterrupted(trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The adapter file of a method trained without a stop, trained when first asked for."""
    from hippopt.cli import train

    done: dict[str, Path] = {}

    def adapter(method: str) -> Path:
        if method not in done:
            root = copied(trained_root, tmp_path_factory.mktemp("uninterrupted"), results=False)
            assert train.main(train_arguments(root, *with_base(trained_root, method), method=method, steps=STEPS)) == 0
            done[method] = fold_path(root, run=run_of(method)) / "adapter.safetensors"
        return done[method]

    return adapter


def with_base(trained_root: Path, method: str) -> list[object]:
    return [] if method == "full" else ["--base", fold_path(trained_root)]


def run_of(method: str) -> str:
    return "lora-pt-r4" if method == "lora-pt" else method


def test_training_killed_while_it_saves_is_resumed_bit_for_bit(
    trained_root: Path, tmp_path: Path, run_command: Command, uninterrupted: Callable[[str], Path]
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    with running(
        tmp_path, "train", train_arguments(root, steps=STEPS), before=f"{NO_PLOTS}\n{KILLED_IN_SAVE}"
    ) as process:
        code, _, err = process.outcome()
    assert code == -signal.SIGKILL, err
    fold = fold_path(root)
    assert list(fold.glob(".tmp-*")) and not (fold / "adapter.json").exists()
    code, out, err = run_command("train", *train_arguments(root, "--resume", steps=STEPS))
    assert code == 0 and "resumed at step 3" in out, err
    assert_same_tensors(fold / "adapter.safetensors", uninterrupted("full"))
    assert not list(fold.glob(".tmp-*")) and not list(fold.glob("resume*"))


@pytest.mark.parametrize("method", ["full", "decoder", "lora-pt"])
def test_training_stopped_by_sigterm_is_resumed_bit_for_bit(
    trained_root: Path, tmp_path: Path, run_command: Command, uninterrupted: Callable[[str], Path], method: str
) -> None:
    root, options = copied(trained_root, tmp_path, results=False), with_base(trained_root, method)
    for resume, stop in ([], 4), (["--resume"], 8):  # stopped twice, inside an epoch
        with signal_at(stop):
            outcome = run_command("train", *train_arguments(root, *options, *resume, method=method, steps=STEPS))
        assert outcome[0] == 143, outcome[2]
    code, out, err = run_command("train", *train_arguments(root, *options, "--resume", method=method, steps=STEPS))
    assert code == 0 and "resumed at step 8" in out, err
    assert_same_tensors(fold_path(root, run=run_of(method)) / "adapter.safetensors", uninterrupted(method))


def test_batches_made_by_workers_give_the_same_weights(
    trained_root: Path, tmp_path: Path, run_command: Command, uninterrupted: Callable[[str], Path]
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    code, _, err = run_command("train", *train_arguments(root, "--workers", 2, steps=STEPS))
    assert code == 0, err
    assert_same_tensors(fold_path(root) / "adapter.safetensors", uninterrupted("full"))


def test_a_time_budget_ends_after_some_steps(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path, results=False)
    code, _, err = run_command("train", *train_arguments(root, "--minutes", 0.05, steps=None))
    assert code == 0, err
    text = (fold_path(root) / "adapter.json").read_text()
    assert '"step": 0' not in text and (fold_path(root) / "summary.json").exists()
    assert '"minutes": 0.05' in text


@pytest.mark.parametrize("patch", [(16, 32, 16), (32, 16, 16), (32, 32, 32)])
def test_bfloat16_is_used_only_where_its_gradients_are_right(patch: tuple[int, int, int]) -> None:
    cpu = torch.device("cpu")
    used, words = use_bfloat16(cpu, patch, SIZES["tiny"])
    assert words.startswith("bfloat16" if used else "float32")
    if used:  # training in it is reproducible, as the tests above need it to be
        errors = {weight_gradient_error(cpu, patch, SIZES["tiny"]) for _ in range(3)}
        assert len(errors) == 1 and max(errors) < TOLERANCE
