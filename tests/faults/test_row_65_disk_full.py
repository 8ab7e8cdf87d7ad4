"""A disk that is full, or runs full during training, is reported in one line, and former checkpoints stay."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hippopt.training import loop
from tests.synthetic import Command
from tests.trained import assert_stopped, contents, copied, fold_path, train_arguments

SIZE_MB = 40


class SmallDisk:
    """A folder on a small disk. Where none can be mounted, a disk as full is pretended."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch
        folder.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "none", str(folder)], capture_output=True, check=False
        )
        self.real = mounted.returncode == 0

    def fill(self) -> None:
        """Leave no space."""
        if self.real:
            with (self.folder / "filler").open("wb", buffering=0) as stream:
                try:
                    while True:
                        stream.write(bytes(2**16))
                except OSError as error:
                    assert error.errno == errno.ENOSPC
            return

        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch.setattr("hippopt.networks.tensor_files.shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
        self.patch.setattr(os, "fsync", full)

    def empty(self) -> None:
        """Free the space again."""
        (self.folder / "filler").unlink(missing_ok=True)
        self.patch.undo()

    def close(self) -> None:
        self.patch.undo()
        if self.real:
            subprocess.run(["umount", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path / "disk", monkeypatch)
    yield small
    small.close()


def at_step(step: int, action: Callable[[], None]) -> pytest.MonkeyPatch:
    """Do something in this step of training, before its loss is computed."""
    original, seen = loop.segmentation_loss, [0]

    def make() -> Callable[..., Any]:
        loss = original()

        def of(*arguments: Any) -> Any:
            seen[0] += 1
            if seen[0] == step:
                action()
            return loss(*arguments)

        return of

    patch = pytest.MonkeyPatch()
    patch.setattr(loop, "segmentation_loss", make)
    return patch


def test_row_65_a_disk_that_runs_full_keeps_the_last_checkpoint(
    trained_root: Path, tmp_path: Path, run_command: Command, disk: SmallDisk
) -> None:
    root = copied(trained_root, disk.folder, results=False)
    patch = at_step(5, disk.fill)
    outcome = run_command("train", *train_arguments(root, steps=9))
    patch.undo()
    assert_stopped(outcome, fold_path(root), "free")
    fold = fold_path(root)
    assert {path.name for path in fold.iterdir()} >= {"resume.safetensors", "adapter_best.safetensors", "log.csv"}
    assert not list(fold.glob(".tmp-*")) and not (fold / "adapter.json").exists()
    disk.empty()
    code, out, err = run_command("train", *train_arguments(root, "--resume", steps=9))
    assert code == 0 and "resumed at step 3" in out, err


def test_row_65_a_disk_without_room_for_the_checkpoints_stops_before_training(
    trained_root: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(trained_root)
    monkeypatch.setattr(
        "hippopt.networks.tensor_files.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10_000_000})
    )
    outcome = run_command("train", *train_arguments(trained_root, "--overwrite"))
    assert_stopped(outcome, fold_path(trained_root), "needs", "10.0 MB are free")
    assert contents(trained_root) == before


def test_row_65_a_full_disk_leaves_finished_results_and_the_plan(
    trained_root: Path, run_command: Command, disk: SmallDisk
) -> None:
    root = copied(trained_root, disk.folder)
    disk.fill()
    before = contents(root)
    assert_stopped(run_command("train", *train_arguments(root, "--overwrite")), fold_path(root), "free")
    assert_stopped(run_command("plan", "--root", root, "--device", "cpu", "--set", "batch_size=1"), "plan.json", "free")
    assert contents(root) == before
