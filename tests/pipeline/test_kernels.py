"""Kernels as stacks go the whole way: planned from the command line,
trained, stopped, resumed, validated, predicted with, exported, installed.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.synthetic import Command
from tests.trained import (
    assert_same_tensors,
    assert_the_same_elsewhere,
    copied,
    edit_json,
    fold_path,
    plan_path,
    run_path,
    signal_at,
    train_arguments,
)

pytestmark = pytest.mark.usefixtures("no_plots")


def with_kernels(root: Path) -> Path:
    edit_json(
        plan_path(root),
        lambda data: data["adapter"].update(stacks=["convolutions"], also_trained=["head", "norms"], rank=2),
    )
    return root


def arguments(root: Path, *more: object) -> list[str]:
    return train_arguments(root, "--base", fold_path(root), *more, method="lora-pt", steps=6)


def test_the_whole_way(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    whole, stopped = (with_kernels(copied(trained_root, tmp_path / name)) for name in ("whole", "stopped"))
    code, out, err = run_command("train", *arguments(whole))
    assert code == 0 and "t-SVD of convolutions" in out, err
    with signal_at(3):
        assert run_command("train", *arguments(stopped))[0] == 143
    code, out, err = run_command("train", *arguments(stopped, "--resume"))
    assert code == 0 and "resumed at step 3" in out, err
    run, folder = "lora-pt-r2", fold_path(stopped, run="lora-pt-r2")
    assert_same_tensors(folder / "adapter.safetensors", fold_path(whole, run=run) / "adapter.safetensors")
    assert (folder / "summary.json").exists()

    card = json.loads((folder / "adapter.json").read_text())
    assert card["stacks"]["decoder5-conv_block-conv1"] == ["decoder5.conv_block.conv1.conv.weight[:, :, 3x3x3]"]
    adapter, initial = (
        load_file(path) for path in (folder / "adapter.safetensors", run_path(stopped, run) / "initial.safetensors")
    )
    assert {value.dtype for value in (*adapter.values(), *initial.values())} == {torch.float16}
    assert initial.keys() == {name.removeprefix("trained.") for name in adapter if name.startswith("trained.")}
    moved = [name for name in initial if not torch.equal(initial[name], adapter[f"trained.{name}"])]
    assert len(moved) > 0.9 * len(initial)
    wide = load_file(next((stopped / "results" / "bases").glob(f"{card['base_sha256'][:12]}.safetensors")))
    assert sum(value.numel() for value in initial.values()) < 0.5 * sum(
        value.numel() for name, value in wide.items() if name.startswith(("encoder", "decoder"))
    )
    assert_the_same_elsewhere(run_command, stopped, run, tmp_path)


def test_asked_for_on_the_command_line(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    """`--kernels` is what the plan's settings would be: a run of its own name, beside the plan as it stands."""
    root = copied(trained_root, tmp_path)
    before = plan_path(root).read_bytes()
    code, out, err = run_command("train", *arguments(root, "--kernels"))
    assert code == 0 and "t-SVD of convolutions" in out and "--run lora-pt-r8-kernels" in out, err
    plan = json.loads((run_path(root, "lora-pt-r8-kernels") / "plan.json").read_text())["adapter"]
    assert (plan["stacks"], plan["also_trained"], plan["rank"]) == (["convolutions"], ["head", "norms"], 8)
    assert plan_path(root).read_bytes() == before
    code, _, err = run_command("train", *train_arguments(root, "--kernels", method="full", steps=2))
    assert code != 0 and "--kernels: full has no factors" in err and "lora-pt, lora" in err, err


def test_a_method_that_peft_has_not_for_convolutions_is_refused_before_anything_changes(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = with_kernels(copied(trained_root, tmp_path))
    code, _, err = run_command("train", *train_arguments(root, "--base", fold_path(root), method="pissa", steps=2))
    assert (
        code != 0
        and "method pissa: adapter.stacks names convolutions" in err
        and "take --method lora-pt or lora" in err
    )
    assert len(err.strip().splitlines()) == 1 and not (run_path(root, "pissa-r2") / "initial.safetensors").exists()
