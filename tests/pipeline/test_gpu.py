"""On a CUDA device: every method trains, resumes and predicts there,
and masks are those of the CPU. `pytest -m gpu` runs these.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hippopt.artifacts.methods import METHODS
from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.batches.label_maps import read_label_maps, read_table
from hippopt.batches.synthesis import Synthesiser, synthetic_batch
from hippopt.console import SilentConsole
from hippopt.files.image_io import read_scan
from tests.heads import DATASET as HEADS
from tests.heads import new_head
from tests.label_maps import write_label_maps
from tests.synthetic import Command
from tests.trained import DATASET, copied, fold_path, signal_at, without_plots

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
SAME = 0.98  # Dice: convolutions round otherwise, so a voxel on the border may change sides


def masks(run_command: Command, root: Path, scans: Path, output: Path, device: str, *more: object) -> list[np.ndarray]:
    code, _, err = run_command("predict", "-i", scans, "-o", output, "--root", root, "--device", device, *more)
    assert code == 0, err
    return [read_scan(path).array for path in sorted(output.glob("*.nii.gz"))]


def assert_alike(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        for label in (1, 2):
            mine, other = a == label, b == label
            assert mine.any() and 2 * (mine & other).sum() >= SAME * (mine.sum() + other.sum())


@pytest.mark.parametrize("method", METHODS)
def test_each_method_stops_resumes_and_predicts_as_on_a_cpu(
    trained_root: Path, tmp_path: Path, method: str, run_command: Command
) -> None:
    root = copied(trained_root, tmp_path)
    train: list[Any] = [
        "train",
        "Blob",
        0,
        "--root",
        root,
        "--method",
        method,
        "--device",
        "cuda",
        "--name",
        "gpu",
        "--base",
        fold_path(root, 1),
    ]
    with without_plots(), signal_at(4):
        assert run_command(*train, "--steps", 8, "--allow-seen")[0] == 143
    with without_plots():
        code, out, err = run_command(*train, "--steps", 8, "--allow-seen", "--resume")
    assert code == 0, err
    assert torch.cuda.get_device_name() in out
    run = next(
        path.name
        for path in (root / "results" / DATASET).iterdir()
        if path.name.startswith(method) and path.name.endswith("gpu")
    )
    for tensor in load_file(fold_path(root, 0, run) / "adapter.safetensors").values():
        assert bool(torch.isfinite(tensor).all())
    scans, chosen = root / "raw_data" / DATASET / "imagesTr", ("-d", "Blob", "--run", run, "-f", 0)
    cpu = masks(run_command, root, scans, tmp_path / "cpu", "cpu", *chosen)
    assert_alike(cpu, masks(run_command, root, scans, tmp_path / "cuda", "cuda", *chosen))


def test_a_whole_head_is_located_and_segmented_as_on_a_cpu(
    head_root: Path, tmp_path: Path, run_command: Command
) -> None:
    (tmp_path / "scans").mkdir()
    new_head()[0].to_filename(tmp_path / "scans" / "head.nii.gz")
    cpu, cuda = (
        masks(run_command, head_root, tmp_path / "scans", tmp_path / device, device, "-d", HEADS)
        for device in ("cpu", "cuda")
    )
    assert_alike(cpu, cuda)


def test_synthetic_scans_are_a_function_of_seed_and_index(tmp_path: Path) -> None:
    """And are made on the device."""
    maps = read_label_maps(write_label_maps(tmp_path), read_table(), SilentConsole())
    made = [Synthesiser(maps, SynthesisSettings(patch_size=(32, 48, 32)), torch.device("cuda")) for _ in range(2)]
    synthetic_batch(made[1], 2, 3, 6)
    first, again = (synthetic_batch(each, 2, 3, 7) for each in made)
    assert first["image"].is_cuda
    assert torch.equal(first["label"], again["label"])
    assert torch.allclose(first["image"], again["image"], atol=1e-5)
    assert not torch.equal(first["image"], synthetic_batch(made[0], 2, 3, 8)["image"])
