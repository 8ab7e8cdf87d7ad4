"""The plan's options of the adapter in whole runs: trained, stopped, resumed, restored. Law 8 on files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hippopt.artifacts.codec import decode
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.weights import AdapterCard, BaseCard
from hippopt.errors import StaleArtifactError, WeightsError
from hippopt.networks.restoring import read_card, restore
from hippopt.networks.stacks import ATTENTION
from hippopt.networks.tensor_files import read_state
from tests.records import changed
from tests.synthetic import Command
from tests.trained import (
    assert_same_tensors,
    contents,
    copied,
    edit_json,
    fold_path,
    plan_path,
    run_path,
    signal_at,
    train_arguments,
    without_plots,
)

OPTIONS = {
    "rank": {"attention": 1, "mlp_up": 3, "mlp_down": 2},
    "core": "dense",
    "balance": False,
    "factor_rate": 0.5,
    "s_rate": 60.0,
    "attention": "four",
    "also_trained": ["decoder", "head", "norms"],
}
RUN = "lora-pt-r1-3-2"


@pytest.fixture(scope="module")
def optioned(trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose fold 0 was trained with every option away from its default."""
    from hippopt.cli import train

    root = copied(trained_root, tmp_path_factory.mktemp("options"), results=False)
    edit_json(plan_path(root), lambda data: data["adapter"].update(OPTIONS))
    with without_plots():
        assert train.main(train_arguments(root, "--base", fold_path(trained_root), method="lora-pt", steps=6)) == 0
    return root


def parts(root: Path) -> tuple[AdapterCard, Path, tuple[dict[str, torch.Tensor], BaseCard]]:
    """(card, adapter file, base) of the trained fold."""
    card = read_card(fold_path(root, run=RUN) / "adapter.json")
    (record,) = (root / "results" / "bases").glob("*.json")
    file = record.with_suffix(".safetensors")
    base = decode(json.loads(file.with_suffix(".json").read_text()), BaseCard, file)
    return card, fold_path(root, run=RUN) / "adapter.safetensors", (read_state(file), base)


def initial_path(root: Path) -> Path:
    return run_path(root, RUN) / "initial.safetensors"


def test_the_card_records_what_restoring_needs(optioned: Path) -> None:
    card, _, _ = parts(optioned)
    assert (card.rank, card.core, card.balance) == (OPTIONS["rank"], "dense", False)
    assert list(card.stacks) == [*ATTENTION, "mlp_up", "mlp_down"] and all(
        len(slots) == 12 for slots in card.stacks.values()
    )
    assert card.settings["also_trained"] == OPTIONS["also_trained"] and "norms" in card.trained_parameters


def test_stopped_and_resumed_with_a_group_of_its_own_for_s(
    optioned: Path, trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(optioned, tmp_path, results=False)
    arguments = train_arguments(root, "--base", fold_path(trained_root), method="lora-pt", steps=6)
    with signal_at(4), without_plots():
        assert run_command("train", *arguments)[0] == 143
    with without_plots():
        code, out, err = run_command("train", *arguments, "--resume")
    assert code == 0 and "resumed at step 4" in out, err
    assert_same_tensors(
        fold_path(root, run=RUN) / "adapter.safetensors", fold_path(optioned, run=RUN) / "adapter.safetensors"
    )


def test_s_moves_by_its_own_rate(optioned: Path) -> None:
    """Under AdamW a number moves by about the rate a step: S, at 30 times the rate, by far more than U and V."""
    tensors, initial = (
        load_file(fold_path(optioned, run=RUN) / "adapter.safetensors"),
        load_file(initial_path(optioned)),
    )
    moved = {
        part: max(
            float((tensors[f"trained.{stack}.{part}"] - initial[f"{stack}.{part}"]).abs().max())
            for stack in (*ATTENTION, "mlp_up")
        )
        for part in "usv"
    }
    assert moved["s"] > 10 * max(moved["u"], moved["v"]) > 0


def test_law_8_the_file_restores_the_same_function_and_leaves_the_base_alone(
    optioned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, adapter, base = parts(optioned)
    before = contents(optioned)
    monkeypatch.setattr("hippopt.lorapt.adaptation.t_svd", None)  # restoring must not ask for one
    plan = load_plan(run_path(optioned, RUN) / "plan.json")
    one, two = (
        restore(card, adapter, initial_path(optioned), base, plan),
        restore(card, adapter, initial_path(optioned), base, plan),
    )
    image = torch.randn(1, 1, *plan.patch_size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(two.adaptation.merge()(image), one.model(image), rtol=1e-4, atol=1e-4)
    stored = load_file(adapter)
    assert {name: tuple(value.shape) for name, value in one.adapter_tensors().items()} == {
        n: tuple(v.shape) for n, v in stored.items()
    }
    assert all(torch.equal(value, stored[name].float()) for name, value in one.adapter_tensors().items())
    assert contents(optioned) == before


def other_base(card: AdapterCard, base: BaseCard, adapter: Path) -> tuple[AdapterCard, BaseCard]:
    return card, changed(base, sha256="0" * 64)


def other_plan(card: AdapterCard, base: BaseCard, adapter: Path) -> tuple[AdapterCard, BaseCard]:
    return changed(card, plan_hash="0" * 64), base


def other_order(card: AdapterCard, base: BaseCard, adapter: Path) -> tuple[AdapterCard, BaseCard]:
    return changed(card, stacks={name: slots[::-1] for name, slots in card.stacks.items()}), base


def changed_file(card: AdapterCard, base: BaseCard, adapter: Path) -> tuple[AdapterCard, BaseCard]:
    tensors = load_file(adapter)
    tensors["trained.query.u"][0] += 1
    save_file(tensors, adapter)
    return card, base


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (other_base, WeightsError, "made on the base"),
        (other_plan, StaleArtifactError, "trained with plan"),
        (other_order, WeightsError, "another order"),
        (changed_file, WeightsError, "does not match its card"),
    ],
)
def test_law_8_what_does_not_belong_together_is_refused(
    optioned: Path, tmp_path: Path, spoil: Callable, error: type[Exception], words: str
) -> None:
    root = copied(optioned, tmp_path)
    card, adapter, (state, base) = parts(root)
    card, base = spoil(card, base, adapter)
    with pytest.raises(error, match=words):
        restore(card, adapter, initial_path(root), (state, base), load_plan(run_path(root, RUN) / "plan.json"))
