"""`schedule.base_share_of_one_scan`: a finished fold stores trained values averaged with those that it began with."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hippopt.artifacts.plan_rules import load_plan
from hippopt.networks.base_files import read_base
from hippopt.networks.restoring import build_with_base
from hippopt.networks.tuning import tune
from tests.synthetic import Command
from tests.trained import assert_same_tensors, assert_stopped, copied, fold_path, plan_path, signal_at, train_arguments

pytestmark = pytest.mark.usefixtures("no_plots")


def train(run_command: Command, root: Path, name: str, method: str, *more: object) -> tuple[int, str, str]:
    base = fold_path(root) / "adapter.safetensors"  # of method full: a whole network
    return run_command("train", *train_arguments(root, "--base", base, "--name", name, *more, method=method, steps=6))


def set_share(run_command: Command, root: Path, share: float) -> tuple[int, str, str]:
    return run_command(
        "plan", "Blob", "--root", root, "--device", "cpu", "--set", f"schedule.base_share_of_one_scan={share}"
    )


@pytest.mark.parametrize("method", ["decoder", "lora-pt"])
def test_what_is_stored_is_the_average_also_after_a_stop(
    method: str, trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    assert train(run_command, root, "alone", method)[0] == 0
    assert set_share(run_command, root, 0.8)[0] == 0
    assert train(run_command, root, "shared", method)[0] == 0
    with signal_at(3):
        assert train(run_command, root, "stopped", method)[0] == 143
    assert train(run_command, root, "stopped", method, "--resume")[0] == 0
    alone, shared, stopped = (
        next((root / "results" / "Dataset007_Blob").glob(f"{method}*-{name}")) / "fold_0" / "adapter.safetensors"
        for name in ("alone", "shared", "stopped")
    )
    assert_same_tensors(shared, stopped)
    card = json.loads(shared.with_suffix(".json").read_text())
    share = card["settings"]["base_share"]
    assert share == pytest.approx(0.8 / len(card["seen_images"]))  # its base has seen the same scans
    trained, stored = load_file(alone), load_file(shared)
    begun = begun_with(root, method, alone.parent.parent)
    assert trained.keys() == stored.keys() == begun.keys()
    for name, value in stored.items():
        wanted = (1 - share) * trained[name].float() + share * begun[name].float()
        if "out.conv" in name:  # the head
            wanted = trained[name].float()
        torch.testing.assert_close(value.float(), wanted, rtol=2e-3, atol=2e-3 if value.dtype == torch.half else 1e-6)
    assert any(not torch.equal(trained[name], stored[name]) for name in stored)


def begun_with(root: Path, method: str, run: Path) -> dict[str, torch.Tensor]:
    """What a run's adapter file would have held before its first step."""
    plan = load_plan(plan_path(root))
    base = read_base(next((root / "results" / "bases").glob("*.json")).with_suffix(".safetensors"))
    model, _, remade = build_with_base(plan, base, 0, "base")
    initial = load_file(run / "initial.safetensors") if (run / "initial.safetensors").exists() else None
    tuned = tune(model, method, plan.network, plan.adapter, remade, initial, None)  # type: ignore[arg-type]
    return tuned.adapter_tensors()


def test_random_weights_leave_no_share(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    for name, share in (("alone", 0.0), ("shared", 0.5)):
        assert set_share(run_command, root, share)[0] == 0
        more = ("--base", "none", "--name", name)
        assert run_command("train", *train_arguments(root, *more, method="full", steps=3))[0] == 0
    alone, shared = (fold_path(root, run=f"full-{name}") / "adapter.safetensors" for name in ("alone", "shared"))
    assert_same_tensors(alone, shared)


@pytest.mark.parametrize("share", [1, -0.1])
def test_a_share_that_is_none_is_refused(
    share: float, trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    assert_stopped(
        set_share(run_command, copied(trained_root, tmp_path), share), "schedule.base_share_of_one_scan", "below 1"
    )


def test_a_run_that_goes_on_is_not_averaged_again(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    assert set_share(run_command, root, 0.8)[0] == 0
    assert train(run_command, root, "shared", "decoder")[0] == 0
    more = ("--continue-from", "decoder-shared", "--name", "on", "--steps", 2, "--device", "cpu")
    code, said, _ = run_command("train", "Blob", 0, "--root", root, *more)
    assert code == 0 and "is not averaged with the base" in said
    card = json.loads((fold_path(root, run="decoder-on") / "adapter.json").read_text())
    assert "base_share" not in card["settings"]


def test_a_fit_on_all_cases_is_averaged_too(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    assert set_share(run_command, root, 0.6)[0] == 0
    arguments = train_arguments(root, fold="full-data", method="lora", steps=2)
    base = fold_path(root) / "adapter.safetensors"
    pytest.importorskip("peft")
    assert run_command("train", *arguments, "--base", base, "--allow-seen")[0] == 0
    (card,) = (root / "results" / "Dataset007_Blob").glob("lora-*/full_data/adapter.json")
    assert json.loads(card.read_text())["settings"]["base_share"] == pytest.approx(0.1)  # of six scans
