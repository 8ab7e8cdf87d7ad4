"""A damaged resume file is reported, the former one is used, and nothing starts anew unasked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import (
    assert_same_tensors,
    assert_stopped,
    begin_fold,
    contents,
    copied,
    fold_path,
    train_arguments,
    without_plots,
)


@pytest.fixture(scope="module")
def roots(trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Fold 0 begun (checkpoints at steps 7 and 6 of 12), and the same trained without a stop."""
    begun, whole = (copied(trained_root, tmp_path_factory.mktemp(name), results=False) for name in ("begun", "whole"))
    begin_fold(begun)
    from hippopt.cli import train

    with without_plots():
        assert train.main(train_arguments(whole, steps=12)) == 0
    return begun, whole


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(data)


def fill_with_text(path: Path) -> None:
    path.write_text("not a checkpoint")


@pytest.mark.parametrize("damage", [cut, flip_a_bit, fill_with_text, Path.unlink])
def test_row_62_the_previous_checkpoint_is_used_and_named(
    roots: tuple[Path, Path], tmp_path: Path, run_command: Command, damage: Callable[[Path], None]
) -> None:
    root = copied(roots[0], tmp_path)
    damage(fold_path(root) / "resume.safetensors")
    code, out, err = run_command("train", *train_arguments(root, "--resume", steps=12))
    assert code == 0 and "resumed at step 6" in out and "resume_previous.safetensors" in err, err
    assert_same_tensors(fold_path(root) / "adapter.safetensors", fold_path(roots[1]) / "adapter.safetensors")


def test_row_62_with_both_damaged_it_stops_and_never_restarts(
    roots: tuple[Path, Path], tmp_path: Path, run_command: Command
) -> None:
    root = copied(roots[0], tmp_path)
    for name in ("resume.safetensors", "resume_previous.safetensors"):
        flip_a_bit(fold_path(root) / name)
    before = contents(root)
    outcome = run_command("train", *train_arguments(root, "--resume", steps=12))
    assert_stopped(outcome, "resume.safetensors", "resume_previous.safetensors", "checksum", "--overwrite")
    assert contents(root) == before
    assert_stopped(run_command("train", *train_arguments(root, steps=12)), "--overwrite")
    assert contents(root) == before
