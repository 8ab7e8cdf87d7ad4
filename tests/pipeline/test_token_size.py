"""Networks of finer tokens and without a transformer, from the plan to a model elsewhere, as a user runs them."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.label_maps import write_label_maps
from tests.synthetic import TINY, Command, read_mask, write_dataset, write_scans
from tests.trained import assert_stopped, fold_path, plan_path, run_path

FINE = [*(setting for setting in TINY if "patch" not in setting), "network.token_size=8", "patch_size=16,24,16"]


pytestmark = pytest.mark.usefixtures("no_plots")


def plan(run_command: Command, root: Path, *more: object) -> tuple[int, str, str]:
    return run_command("plan", "--root", root, "--device", "cpu", *more)


def train(run_command: Command, root: Path, *more: object) -> tuple[int, str, str]:
    return run_command("train", "Blob", 0, "--root", root, "--device", "cpu", "--steps", 3, *more)


def test_tokens_of_eight_from_the_plan_to_a_model_elsewhere(
    workspace: Path, tmp_path: Path, run_command: Command
) -> None:
    """A base with tokens of 8 is pre-trained, adapted by LoRA-PT,
    exported and installed; both kinds of bases are told apart.
    """
    maps = write_label_maps(tmp_path / "maps")
    small = ("--size", "tiny", "--hold-out", 1, "--device", "cpu", "--steps", 1)
    for name, more in (("fine", ("--token-size", 8, "--patch", 24, 32, 32)), ("usual", ("--patch", 32, 32, 32))):
        code, _, err = run_command("pretrain", "--root", workspace, "--synthetic", maps, *small, "--name", name, *more)
        assert code == 0, err
    fine, usual = (workspace / "results" / "pretraining" / name / "base.safetensors" for name in ("fine", "usual"))
    assert json.loads(fine.with_suffix(".json").read_text())["network"]["token_size"] == 8
    assert load_file(fine)["vit.patch_embedding.patch_embeddings.weight"].shape[2:] == (8, 8, 8)

    code, _, err = plan(run_command, workspace, "--set", *FINE)
    assert code == 0, err
    assert json.loads(plan_path(workspace).read_text())["network"]["token_size"] == 8
    assert_stopped(plan(run_command, workspace, "--set", "network.token_size=16"), "another network", "--overwrite")
    assert plan(run_command, workspace, "--set", "network.token_size=8")[0] == 0
    assert_stopped(plan(run_command, workspace, "--set", "network.token_size=12"), "network.token_size=12", "8, 16")
    assert_stopped(plan(run_command, workspace, "--set", "patch_size=16,20,16"), "multiples of 8 (network.token_size)")

    assert_stopped(
        train(run_command, workspace, "--base", usual), "tokens of 16 voxels", "network.token_size is 8", "--overwrite"
    )
    assert not (workspace / "results" / "bases").exists()
    code, out, err = train(run_command, workspace, "--base", fine)
    assert code == 0 and "base weights:" in out, err
    card = json.loads((fold_path(workspace, run="lora-pt-r4") / "adapter.json").read_text())
    assert card["network"]["token_size"] == 8 and len(card["stacks"]["attention"]) == 48

    scans, model, other = (
        write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz"),
        tmp_path / "model.zip",
        tmp_path / "elsewhere",
    )
    assert run_command("export", "Blob", model, "--root", workspace)[0] == 0
    code, _, err = run_command("install", model, "--root", other)
    assert code == 0, err
    for root in (workspace, other):
        code, _, err = run_command("predict", "-i", scans, "-o", root / "masks", "--root", root, "--device", "cpu")
        assert code == 0, err
    for name in ("a.nii.gz", "b.nii.gz"):
        assert (read_mask(workspace / "masks" / name) == read_mask(other / "masks" / name)).all()

    assert plan(run_command, workspace, "--overwrite", "--set", *TINY)[0] == 0
    assert_stopped(
        train(run_command, workspace, "--base", fine, "--name", "b"), "tokens of 8 voxels", "--set network.token_size=8"
    )


def test_a_plan_made_for_tokens_of_eight_has_patches_of_their_multiples(workspace: Path, run_command: Command) -> None:
    code, _, err = plan(run_command, workspace, "--no-preprocess", "--set", "network.token_size=8", "network.size=tiny")
    assert code == 0, err
    found = json.loads(plan_path(workspace).read_text())
    assert found["network"]["token_size"] == 8 and found["reasons"]["network.token_size"] == "set by the user"
    assert not any(size % 8 for size in found["patch_size"]) and any(size % 16 for size in found["patch_size"])


def test_a_plan_without_a_transformer(workspace: Path, tmp_path: Path, run_command: Command) -> None:
    """All methods but those that adapt the transformer train, from random weights and from a base that has one."""
    assert plan(run_command, workspace, "--set", *TINY)[0] == 0
    assert train(run_command, workspace, "--method", "full", "--base", "none", "--name", "with")[0] == 0
    code, out, err = plan(run_command, workspace, "--set", "network.transformer=false")
    assert code == 0 and "network.transformer: true -> false" in out, err
    assert_stopped(
        train(
            run_command,
            workspace,
            "--method",
            "lora-pt",
            "--base",
            fold_path(workspace, run="full-with"),
            "--allow-seen",
        ),
        "network.transformer",
        "attention",
        "--method full",
    )
    for method, base in (("full", "none"), ("decoder", fold_path(workspace, run="full-with"))):
        code, out, err = train(run_command, workspace, "--method", method, "--base", base, "--allow-seen")
        assert code == 0, err
        assert not any(
            "vit.blocks" in name for name in load_file(fold_path(workspace, run=method) / "adapter.safetensors")
        )
        assert json.loads((run_path(workspace, method) / "plan.json").read_text())["network"]["transformer"] is False
        scans = write_scans(tmp_path / "scans", "a.nii.gz")
        code, _, err = run_command(
            "predict",
            "-i",
            scans,
            "-o",
            tmp_path / method,
            "-d",
            "Blob",
            "--run",
            method,
            "--root",
            workspace,
            "--device",
            "cpu",
        )
        assert code == 0 and (tmp_path / method / "a.nii.gz").is_file(), err
    # without a word on the method, the one that can be: `full` in place of lora-pt
    code, _, err = train(
        run_command, workspace, "--base", fold_path(workspace, run="full-with"), "--allow-seen", "--name", "default"
    )
    assert code == 0 and run_path(workspace, "full-default").is_dir(), err


def test_two_workspaces_may_differ(tmp_path: Path, run_command: Command) -> None:
    """A run keeps the plan that it was trained with: another token size later leaves its predictions alone."""
    write_dataset(tmp_path)
    assert plan(run_command, tmp_path, "--set", *TINY)[0] == 0
    assert train(run_command, tmp_path, "--method", "full", "--base", "none")[0] == 0
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    predict = ("predict", "-i", scans, "-d", "Blob", "--run", "full", "--root", tmp_path, "--device", "cpu")
    assert run_command(*predict, "-o", tmp_path / "before")[0] == 0
    assert plan(run_command, tmp_path, "--overwrite", "--set", *FINE)[0] == 0
    assert run_command(*predict, "-o", tmp_path / "after")[0] == 0
    assert (read_mask(tmp_path / "before" / "a.nii.gz") == read_mask(tmp_path / "after" / "a.nii.gz")).all()
