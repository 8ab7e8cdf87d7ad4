"""--device cuda where no GPU can be used stops the command, and --device auto goes on with the CPU and says so."""

from pathlib import Path

import pytest
import torch

from tests.synthetic import Command
from tests.trained import DATASET, assert_stopped, contents, copied, train_arguments


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(("built", "reason"), [(None, "built for CPUs only"), ("12.8", "no usable GPU or driver")])
@pytest.mark.parametrize("command", ["train", "plan", "predict"])
def test_row_68_cuda_that_is_asked_for_and_cannot_be_used_stops(
    trained_root: Path,
    tmp_path: Path,
    run_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    built: str | None,
    reason: str,
) -> None:
    monkeypatch.setattr(torch.version, "cuda", built)
    before = contents(trained_root)
    scan = trained_root / "raw_data" / DATASET / "imagesTr" / "case_000_0000.nii.gz"
    arguments = {
        "train": [*train_arguments(trained_root, fold=2)], "plan": ["--root", trained_root],
        "predict": ["-i", scan, "-o", tmp_path / "out", "--root", trained_root],
    }  # fmt: skip
    assert_stopped(
        run_command(command, *arguments[command], "--device", "cuda"), "--device cuda", reason, "--device cpu"
    )
    assert contents(trained_root) == before


def test_row_68_auto_goes_on_with_the_cpu_and_says_so(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path, results=False)
    code, out, err = run_command("train", *train_arguments(root, "--device", "auto"))
    assert code == 0 and "on the CPU (no GPU found)" in out, err


def test_row_68_a_gpu_elsewhere_is_planned_for_by_its_memory(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path, results=False)
    arguments = ("plan", "--root", root, "--device", "cuda", "--no-preprocess", "--overwrite")
    assert_stopped(run_command(*arguments), "--memory-gb")
    code, out, err = run_command(*arguments, "--memory-gb", 24)
    assert code == 0, err
    assert "plan for 24.0 GB of another machine's GPU" in out and "a fold takes about" not in out
