"""Weights of older UNETRs are converted, and every converted key is reported."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from monai.networks.nets import UNETR

from hippopt.networks.base_weights import POSITION, load_base
from hippopt.networks.unetr import SIZES, build_unetr
from tests.networks.monai_weights import RECORD, state_of
from tests.synthetic import Command
from tests.trained import copied, fold_path, train_arguments

PATCH = (16, 32, 16)
TINY = SIZES["tiny"]
STRAY = [
    "vit.patch_embedding.cls_token",
    "encoder2.blocks.0.1.conv3.conv.weight",
    "encoder3.blocks.0.1.conv3.conv.weight",
]


def old_unetr(channels: int = 1, patch: tuple[int, int, int] = PATCH) -> torch.nn.Module:
    """MONAI's own UNETR with the patch embedding that older ones had."""
    torch.manual_seed(3)
    return UNETR(
        in_channels=channels,
        out_channels=3,
        img_size=patch,
        feature_size=TINY.feature_size,
        hidden_size=TINY.hidden_size,
        mlp_dim=TINY.mlp_dim,
        num_heads=TINY.num_heads,
        proj_type="perceptron",
        norm_name="instance",
        res_block=True,
        dropout_rate=0.0,
    ).eval()


def old_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Its state dict with the parameters that older versions stored besides."""
    return {
        **model.state_dict(),
        STRAY[0]: torch.zeros(1, 1, 48),
        STRAY[1]: torch.ones(8, 8, 1, 1, 1),
        STRAY[2]: torch.ones(16, 16, 1, 1, 1),
    }


@pytest.mark.parametrize("channels", [1, 2])
def test_row_56_the_perceptron_embedding_is_converted_without_changing_the_function(channels: int) -> None:
    old, new = old_unetr(channels), build_unetr(channels, 3, PATCH, TINY).eval()
    reports = {report.key: report for report in load_base(new, old_state(old), PATCH, PATCH, "old")}
    assert reports["vit.patch_embedding.patch_embeddings.weight"].status == "converted"
    assert {reports[key].status for key in STRAY} == {"unused"}
    assert "class token" in reports[STRAY[0]].detail and "older MONAI" in reports[STRAY[1]].detail
    image = torch.randn(1, channels, *PATCH)
    with torch.inference_mode():
        torch.testing.assert_close(new(image), old(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("base_patch", "patch"), [(None, (32, 32, 32)), ((16, 32, 16), (16, 32, 16))])
def test_row_56_the_position_of_a_class_token_is_dropped(
    base_patch: tuple[int, int, int] | None, patch: tuple[int, int, int]
) -> None:
    model = build_unetr(1, 3, patch, TINY)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    wanted = torch.randn_like(state[POSITION])
    state[POSITION] = torch.cat([torch.full((1, 1, 48), 9.0), wanted], 1)
    state["vit.cls_token"] = torch.zeros(1, 1, 48)
    reports = {report.key: report for report in load_base(model, state, base_patch, patch, "old")}
    assert reports[POSITION].status == "converted" and "class token" in reports[POSITION].detail
    assert torch.equal(model.state_dict()[POSITION], wanted)


def test_row_56_an_unused_class_token_leaves_the_positions_alone() -> None:
    model = build_unetr(1, 3, (48, 48, 16), TINY)  # nine tokens: one more than a cube of eight
    state = {
        **{name: value.clone() for name, value in model.state_dict().items()},
        "vit.patch_embedding.cls_token": torch.zeros(1, 1, 48),
    }
    wanted = state[POSITION].clone()
    reports = {report.key: report.status for report in load_base(model, state, (48, 48, 16), (48, 48, 16), "old")}
    assert reports[POSITION] == "matched" and torch.equal(model.state_dict()[POSITION], wanted)


@pytest.mark.parametrize("version", ["0.6.0 perceptron", "1.3.2 perceptron", "1.5.1 conv"])
def test_row_56_lora_pt_starts_from_a_checkpoint_of_an_older_monai(
    trained_root: Path, tmp_path: Path, run_command: Command, version: str
) -> None:
    root, base = copied(trained_root, tmp_path, results=False), tmp_path / "model_best.pt"
    state = state_of(json.loads(RECORD.read_text())[version]["keys"])  # one channel, two classes, 32^3
    torch.save(
        {
            "epoch": 1,
            "best_acc": np.float64(0.9),
            "state_dict": {f"module.{key}": value for key, value in state.items()},
        },
        base,
    )
    code, out, err = run_command("train", *train_arguments(root, "--base", base, method="lora-pt", steps=1))
    assert code == 0 and "1 interpolated, " in out and "2 re-made" in out, (out, err)
    report = pd.read_csv(fold_path(root, run="lora-pt-r4") / "base_report.csv").set_index("key")
    assert set(report.status[["out.conv.conv.weight", "out.conv.conv.bias"]]) == {"re-made"}  # three classes here
    old = [
        key
        for key in report.index
        if "cross_attn.to_q" in key or "cls_token" in key or ("conv3" in key and key not in state)
    ]
    assert set(report.status[old]) <= {"unused"} and bool(old) == (version != "1.3.2 perceptron")
    assert report.status["vit.patch_embedding.patch_embeddings.weight"] == (
        "matched" if "conv" in version else "converted"
    )


def test_row_56_training_starts_from_an_old_file_and_reports_what_it_converted(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root, base = copied(trained_root, tmp_path, results=False), tmp_path / "old_unetr.pt"
    torch.save(
        {
            "state_dict": {f"module.{name}": value for name, value in old_state(old_unetr(patch=(32, 32, 32))).items()},
            "epoch": 7,
        },
        base,
    )
    code, out, err = run_command("train", *train_arguments(root, "--base", base, method="decoder"))
    assert code == 0 and "1 converted" in out and "1 interpolated" in out, err
    report = pd.read_csv(fold_path(root, run="decoder") / "base_report.csv").set_index("key")
    assert report.status["vit.patch_embedding.patch_embeddings.weight"] == "converted"
    assert "2 x 2 x 2 -> 1 x 2 x 1" in report.detail[POSITION]
    assert set(report.status[STRAY]) == {"unused"}
