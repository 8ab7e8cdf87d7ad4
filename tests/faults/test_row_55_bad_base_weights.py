"""Base weights that are missing, damaged, or of another network are refused with a report of their keys."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.synthetic import Command
from tests.trained import assert_stopped, contents, copied, edit_json, fold_path, plan_path, train_arguments


@pytest.fixture(scope="module")
def state(trained_root: Path) -> dict[str, torch.Tensor]:
    """The whole network of fold 0, as a state dict."""
    return {
        name.removeprefix("rest."): value
        for name, value in load_file(fold_path(trained_root) / "adapter.safetensors").items()
    }


@pytest.fixture
def root(trained_root: Path, tmp_path: Path) -> Path:
    return copied(trained_root, tmp_path, results=False)


def refused(root: Path, run_command: Command, base: object, *words: object) -> None:
    """Training on this base stops with the words, and nothing is written."""
    before = contents(root)
    assert_stopped(run_command("train", *train_arguments(root, "--base", base, method="decoder")), *words)
    assert contents(root) == before


def test_row_55_a_missing_file_and_an_unknown_name_stop(root: Path, tmp_path: Path, run_command: Command) -> None:
    refused(root, run_command, tmp_path / "absent.pt", "absent.pt", "no such file")
    refused(root, run_command, tmp_path, tmp_path / "adapter.safetensors", "not found")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("keep", [0, 5, 100_000])
def test_row_55_a_truncated_file_stops(
    root: Path, tmp_path: Path, run_command: Command, state: dict[str, torch.Tensor], suffix: str, keep: int
) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    if suffix == ".pt":
        torch.save(state, whole)
    else:
        save_file(state, whole)
    cut.write_bytes(whole.read_bytes()[:keep])
    refused(root, run_command, cut, cut, "damaged")


@pytest.mark.parametrize(("data", "word"), [(b"these are no weights\n", "damaged"), (b"PK\x03\x04rest", "damaged")])
def test_row_55_a_file_of_another_kind_stops(
    root: Path, tmp_path: Path, run_command: Command, data: bytes, word: str
) -> None:
    path = tmp_path / "notes.pth"
    path.write_bytes(data)
    refused(root, run_command, path, path, word)


def test_row_55_another_architecture_stops_naming_a_missing_key(
    root: Path, tmp_path: Path, run_command: Command
) -> None:
    torch.save(torch.nn.Linear(3, 3).state_dict(), tmp_path / "linear.pt")
    refused(root, run_command, tmp_path / "linear.pt", "linear.pt", "not a MONAI UNETR", "2 keys")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    refused(root, run_command, tmp_path / "list.pt", "list.pt", "no state dict")


@pytest.mark.parametrize(
    "key",
    ["vit.patch_embedding.position_embeddings", "vit.patch_embedding.patch_embeddings.weight", "out.conv.conv.weight"],
)
def test_row_55_a_unetr_without_a_key_that_tells_its_shape_stops(
    root: Path, tmp_path: Path, run_command: Command, state: dict[str, torch.Tensor], key: str
) -> None:
    save_file({name: value for name, value in state.items() if name != key}, tmp_path / "part.safetensors")
    refused(
        root,
        run_command,
        tmp_path / "part.safetensors",
        "part.safetensors",
        "patch embedding" if "patch_embeddings." in key else key,
    )
    save_file({**state, "encoder1.layer.conv1.conv.weight": torch.zeros(4)}, tmp_path / "flat.safetensors")
    refused(root, run_command, tmp_path / "flat.safetensors", "flat.safetensors", "not a MONAI UNETR")


@pytest.mark.parametrize("fault", ["missing", "other shape"])
def test_row_55_a_transformer_that_does_not_fit_stops_with_a_count_of_the_keys(
    root: Path, tmp_path: Path, run_command: Command, state: dict[str, torch.Tensor], fault: str
) -> None:
    key, changed = "vit.blocks.7.mlp.linear2.weight", dict(state)
    if fault == "missing":
        del changed[key]
    else:
        changed[key] = torch.zeros(48, 90)
    save_file(changed, tmp_path / "other.safetensors")
    outcome = run_command("train", *train_arguments(root, "--base", tmp_path / "other.safetensors", method="decoder"))
    assert_stopped(outcome, "other: its transformer does not fit", key, "1 keys", "matched", "network.size")
    assert not fold_path(root, run="decoder").joinpath("adapter.json").exists()


@pytest.mark.parametrize("edit", ["another width", "fewer layers"])
def test_row_55_a_checkpoint_whose_transformer_differs_stops(
    root: Path, tmp_path: Path, run_command: Command, state: dict[str, torch.Tensor], edit: str
) -> None:
    base = tmp_path / "model_best.pt"
    changed = {f"module.{name}": value for name, value in state.items()}
    if edit == "another width":
        changed = {
            name: value.repeat(*(2 if size == 48 else 1 for size in value.shape)) for name, value in changed.items()
        }
    else:
        changed = {name: value for name, value in changed.items() if ".blocks.11." not in name}
    torch.save(
        {
            "state_dict": changed,
            "epoch": 3,
            "best_acc": 0.5,
            "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]},
        },
        base,
    )
    outcome = run_command("train", *train_arguments(root, "--base", base, method="lora-pt"))
    assert_stopped(outcome, "transformer does not fit", "vit.blocks.", "network.size")
    assert not fold_path(root, run="lora-pt-r4").exists()


def test_row_55_a_base_with_values_that_are_not_finite_stops(
    root: Path, tmp_path: Path, run_command: Command, state: dict[str, torch.Tensor]
) -> None:
    spoilt = {**state, "vit.norm.weight": torch.full((48,), float("nan"))}
    save_file(spoilt, tmp_path / "spoilt.safetensors")
    outcome = run_command("train", *train_arguments(root, "--base", tmp_path / "spoilt.safetensors", method="decoder"))
    assert_stopped(outcome, "spoilt", "vit.norm.weight", "NaN")


def test_row_55_what_fits_is_used_and_every_key_is_reported(
    root: Path, tmp_path: Path, run_command: Command, state: dict[str, torch.Tensor]
) -> None:
    changed = {
        **state,
        "out.conv.conv.weight": torch.zeros(7, 4, 1, 1, 1),
        "out.conv.conv.bias": torch.zeros(7),
        "stray": torch.zeros(1),
    }
    del changed["decoder2.conv_block.conv1.conv.weight"]
    save_file(changed, tmp_path / "wide.safetensors")
    code, out, err = run_command(
        "train", *train_arguments(root, "--base", tmp_path / "wide.safetensors", method="decoder")
    )
    assert code == 0 and "base_report.csv" in out, err
    report = pd.read_csv(fold_path(root, run="decoder") / "base_report.csv").set_index("key").status
    assert report["out.conv.conv.weight"] == "re-made" and report["stray"] == "unused"
    assert report["decoder2.conv_block.conv1.conv.weight"] == "missing" and report["vit.norm.weight"] == "matched"
    assert set(state) | {"stray"} == set(report.index[~report.index.str.contains("norm_cross_attn")])


def test_row_55_a_kept_base_that_was_damaged_since_is_refused_and_healed_by_its_source(
    root: Path, tmp_path: Path, run_command: Command, state: dict[str, torch.Tensor]
) -> None:
    source = tmp_path / "mine.safetensors"
    save_file(state, source)
    assert run_command("train", *train_arguments(root, "--base", source, method="decoder"))[0] == 0
    (kept,) = (root / "results" / "bases").glob("*.safetensors")
    data = bytearray(kept.read_bytes())
    data[-1] ^= 1
    kept.write_bytes(data)
    refused(root, run_command, "mine", kept, "sha256")
    code, _, err = run_command("train", *train_arguments(root, "--base", source, fold=1, method="decoder"))
    assert code == 0, err


def test_row_55_a_base_that_does_not_match_its_card_is_refused(
    trained_root: Path, root: Path, tmp_path: Path, run_command: Command
) -> None:
    base = tmp_path / "given"
    base.mkdir()
    for name in ("adapter.safetensors", "adapter.json"):
        (base / name).write_bytes((fold_path(trained_root) / name).read_bytes())
    edit_json(base / "adapter.json", lambda data: data.update(sha256="0" * 64))
    refused(root, run_command, base, "adapter.safetensors", "does not match")


def test_row_55_a_base_for_another_network_size_stops(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path, results=False)
    edit_json(plan_path(root), lambda data: data["network"].update(hidden_size=96, size="custom"))
    outcome = run_command("train", *train_arguments(root, "--base", fold_path(trained_root), method="decoder"))
    assert_stopped(outcome, "full-fold0", "its transformer does not fit", "network.size")
