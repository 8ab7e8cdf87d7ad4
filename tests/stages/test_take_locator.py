"""The locator of a ready model is taken where it finds every training scan, and refused with the reason elsewhere."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.weights import BaseCard
from hippopt.batches.patches import TrainingCase
from hippopt.console import SilentConsole
from hippopt.networks.locator import ReadyLocator
from hippopt.planning.ready_model import ready_plan
from hippopt.stages.take_locator import take_locator
from tests.records import small_plan

SHAPE = (48, 56, 64)
CENTRES = {1: (24, 28, 16), 2: (24, 28, 48)}


class Told(nn.Module):
    """Says of every image that the sides lie where it was told, moved by some coarse voxels."""

    def __init__(self, moved: int = 0) -> None:
        super().__init__()
        self.moved = moved

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros((1, 3, *image.shape[2:]))
        logits[:, 0] = 5
        before = [(wide - size // 4) // 2 for wide, size in zip(image.shape[2:], SHAPE, strict=True)]
        for side, centre in CENTRES.items():
            z, y, x = (first + at // 4 for first, at in zip(before, centre, strict=True))
            logits[:, side, z - 2 : z + 2, y - 2 + self.moved : y + 2 + self.moved, x - 2 : x + 2] = 12
        return logits


def plan() -> Plan:
    network = small_plan().network
    card = BaseCard(name="b", sha256="", network=network, in_channels=1, out_channels=3, patch_size=(32, 32, 32))
    made = ready_plan("Dataset900_WholeHead", card, [4096.0], [(0.0, 0.0, 32.0)], 3, 0)
    locator = msgspec.structs.replace(made.locator, channels=(4, 4, 4, 4))
    return msgspec.structs.replace(made, locator=locator, target_spacing_mm=(1.0, 1.0, 1.0))


@pytest.fixture
def case(tmp_path: Path) -> TrainingCase:
    label = np.zeros(SHAPE, np.uint8)
    for side, centre in CENTRES.items():
        label[tuple(slice(at - 8, at + 8) for at in centre)] = side
    np.save(tmp_path / "image.npy", np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32))
    np.save(tmp_path / "label.npy", label)
    return TrainingCase("a", tmp_path / "image.npy", tmp_path / "label.npy")


def ready(moved: int = 0, **other: object) -> ReadyLocator:
    how = {"classes": ("background", "left", "right"), "channels": (4, 4, 4, 4)} | other
    return ReadyLocator("told", Told(moved), **how)  # type: ignore[arg-type]


def said(locator: ReadyLocator, case: TrainingCase) -> tuple[ReadyLocator | None, str]:
    console = SilentConsole()
    return take_locator(locator, [case], plan(), "0", console), " ".join(console.lines)


def test_one_that_finds_every_scan_is_taken(case: TrainingCase) -> None:
    found, words = said(ready(), case)
    assert found is not None and "finds both sides in all 1 training scans, so none is trained" in words


def test_one_that_misses_is_refused_with_the_reason(case: TrainingCase) -> None:
    found, words = said(ready(moved=4), case)
    assert found is None and "places the left side of a 16 mm from its label" in words


def test_one_of_other_regions_or_levels_is_refused(case: TrainingCase) -> None:
    assert "other regions" in said(ready(classes=("background", "any")), case)[1]
    assert "3 levels" in said(ready(channels=(4, 4, 4)), case)[1]


def test_the_plan_of_a_ready_model_keeps_its_rules(tmp_path: Path) -> None:
    from hippopt.artifacts.codec import write_json

    write_json(tmp_path / "plan.json", plan())
    assert load_plan(tmp_path / "plan.json") == plan()
