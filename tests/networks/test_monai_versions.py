"""Weights of every MONAI from 0.6 on give the network that the released code of that version gives.

The keys and the outputs stand in monai_unetr_versions.json, recorded by monai_weights.py from the released packages.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from hippopt.networks.base_weights import KeyReport, load_base, remade_keys
from hippopt.networks.tensor_files import read_state
from hippopt.networks.unetr import UNUSED, build_unetr
from tests.networks.monai_weights import CLASSES, PATCH, RECORD, image, sample, state_of
from tests.records import TINY_NETWORK

VERSIONS = json.loads(RECORD.read_text())
NEVER_USED = ("cross_attn", "cls_token", ".conv3.")


def loaded(state: dict[str, torch.Tensor]) -> tuple[torch.nn.Module, list[KeyReport]]:
    torch.manual_seed(0)
    model = build_unetr(1, CLASSES, PATCH, TINY_NETWORK).eval()
    return model, load_base(model, state, PATCH, PATCH, "old")


def test_the_record_has_the_versions_that_differ() -> None:
    assert {name.split()[0] for name in VERSIONS} >= {"0.6.0", "1.3.2", "1.4.0", "1.5.1", "1.6.1"}
    keys = {name: set(entry["keys"]) for name, entry in VERSIONS.items()}
    assert "vit.blocks.*.norm_cross_attn.weight" not in keys["1.3.2 conv"]
    assert (
        "vit.blocks.*.cross_attn.to_q.weight" in keys["1.5.1 conv"]
        and "vit.blocks.*.cross_attn.to_q.weight" not in keys["1.6.1 conv"]
    )
    assert "vit.patch_embedding.cls_token" in keys["0.6.0 perceptron"]


@pytest.mark.parametrize("name", VERSIONS)
def test_it_computes_what_the_released_code_computed(name: str) -> None:
    model, reports = loaded(state_of(VERSIONS[name]["keys"]))
    with torch.inference_mode():
        found = sample(model(image()))
    assert found == pytest.approx(VERSIONS[name]["output"], abs=2e-4)
    status = {report.key: report.status for report in reports}
    converted = {key for key, value in status.items() if value == "converted"}
    assert converted == ({"vit.patch_embedding.patch_embeddings.weight"} if "perceptron" in name else set())
    unused = {key for key, value in status.items() if value == "unused"}
    assert all(any(part in key for part in NEVER_USED) for key in unused)
    assert set(status.values()) <= {"matched", "converted", "unused"} and remade_keys(reports) == ()
    assert Counter(status.values())["matched"] >= 169


@pytest.mark.parametrize("name", ["1.4.0 conv", "1.5.1 conv"])
def test_cross_attention_is_reported_as_unused_with_its_reason(name: str) -> None:
    _, reports = loaded(state_of(VERSIONS[name]["keys"]))
    cross = [report for report in reports if ".cross_attn." in report.key]
    assert len(cross) == 60 and {report.status for report in cross} == {"unused"}
    assert all("cross-attention" in report.detail and "never used" in report.detail for report in cross)


def paper_checkpoint(state: dict[str, torch.Tensor]) -> dict[str, object]:
    """As training scripts of the paper's kind save it: a wrapped
    state dict, with the optimiser's state and scores beside it.
    """
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weight], lr=1e-4)
    weight.sum().backward()
    optimizer.step()
    return {
        "epoch": 4999,
        "best_acc": np.float64(0.87),
        "state_dict": {f"module.{key}": value for key, value in state.items()},
        "optimizer": optimizer.state_dict(),
        "scheduler": {"last_epoch": 4999, "base_lrs": [1e-4]},
    }


@pytest.mark.parametrize("name", ["0.6.0 perceptron", "1.3.2 perceptron", "1.5.1 conv"])
def test_a_checkpoint_laid_out_as_the_papers_is_read(tmp_path: Path, name: str) -> None:
    torch.save(paper_checkpoint(state_of(VERSIONS[name]["keys"])), tmp_path / "model_best.pt")
    model, reports = loaded(read_state(tmp_path / "model_best.pt"))
    with torch.inference_mode():
        assert sample(model(image())) == pytest.approx(VERSIONS[name]["output"], abs=2e-4)
    assert not any(report.key.startswith(("module.", "optimizer", "epoch")) for report in reports)


@pytest.mark.slow  # weights of 372 MB and more
def test_a_checkpoint_of_the_papers_own_size_is_read(tmp_path: Path) -> None:
    from hippopt.networks.unetr import SIZES

    torch.manual_seed(1)
    size, patch = SIZES["base"], (128, 128, 128)
    state = dict(build_unetr(1, 2, patch, size).state_dict())
    for key in [key for key in state if UNUSED in key]:
        del state[key]
    torch.save(paper_checkpoint(state), tmp_path / "model_best.pt")
    model = build_unetr(1, 2, patch, size)
    reports = load_base(model, read_state(tmp_path / "model_best.pt"), patch, patch, "paper")
    assert Counter(report.status for report in reports) == {"matched": len(state), "unused": 24}
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items() if UNUSED not in key)
