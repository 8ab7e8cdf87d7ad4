"""A model from label maps alone: made by one command, taken where nothing is trained, by its name and from Python."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from hippopt import Predictor
from hippopt.recipes import model_files, ready_models
from hippopt.training import head_locator
from tests.label_maps import write_label_maps
from tests.synthetic import Command, save_nifti

HEAD_SHAPE = (44, 40, 36)


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_label_maps(tmp_path_factory.mktemp("maps"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, label_maps: Path) -> Path:
    from hippopt.cli.pretrain import main

    root = tmp_path_factory.mktemp("base")
    small = ["--size", "tiny", "--patch", "32", "32", "32", "--hold-out", "1", "--device", "cpu", "--steps", "2"]
    assert main(["--root", str(root), "--synthetic", str(label_maps), *small]) == 0
    return root / "results" / "pretraining" / "synthetic-tiny" / "base.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, label_maps: Path, base: Path) -> Path:
    """The folder of a model: `models/quick.zip`, its card, and the workspace that it was made in."""
    from hippopt.cli.make_model import main

    root = tmp_path_factory.mktemp("made")
    (root / "models").mkdir()
    arguments = ["--root", root, "--synthetic", label_maps, "--base", base, "--name", "quick", "--hold-out", "1"]
    assert main([*map(str, arguments), "--steps", "2", "-o", str(root / "models" / "quick.zip")]) == 0
    return root


@pytest.fixture
def shipping(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As if hippopt shipped that model."""
    monkeypatch.setattr(ready_models, "shipped_models", lambda: [made / "models" / "quick.zip"])
    monkeypatch.setattr(model_files, "shipped_models", lambda: [made / "models" / "quick.zip"])
    return made


def scan(folder: Path) -> Path:
    image = np.random.default_rng(0).normal(100, 10, HEAD_SHAPE).astype(np.float32)
    save_nifti(folder / "scan.nii.gz", image)
    return folder / "scan.nii.gz"


def test_a_model_is_made_and_its_card_says_of_what(made: Path) -> None:
    card = json.loads((made / "models" / "quick.json").read_text())
    assert card["labels"] == {"background": 0, "hippocampus_left": 1, "hippocampus_right": 2}
    assert "2 maps" in card["made_from"] and card["base"] == "synthetic-tiny" and card["measured"] == []
    cohort = json.loads((made / "results" / "Dataset900_WholeHead" / "quick" / "cohort.json").read_text())
    assert cohort["volumes"]["hippocampus_left"]["scans"] == 2
    contrast = json.loads((made / "results" / "Dataset900_WholeHead" / "quick" / "contrast.json").read_text())
    assert contrast["around_mm"] == 10 and contrast["low"] < contrast["high"]


def test_scans_are_seen_on_finer_voxels_than_the_base_s_own(made: Path) -> None:
    run = made / "results" / "Dataset900_WholeHead" / "quick"
    plan = json.loads((run / "plan.json").read_text())
    assert plan["target_spacing_mm"] == [0.88, 0.88, 0.88] and "outlined better" in plan["reasons"]["target_spacing_mm"]
    card = json.loads((run / "full_data" / "adapter.json").read_text())
    assert card["as_base"]["smooth_voxels"] > 0


def test_an_empty_workspace_takes_what_ships_and_says_so(shipping: Path, tmp_path: Path, run_command: Command) -> None:
    (tmp_path / "ws").mkdir()
    path = scan(tmp_path)
    code, out, err = run_command("predict", "-i", path, "-o", tmp_path / "out", "--root", tmp_path / "ws")
    assert code == 0, err
    assert "taking quick, which ships with hippopt" in out and not list((tmp_path / "ws").iterdir())
    mask = nibabel.load(tmp_path / "out" / "scan.nii.gz")
    assert mask.shape == HEAD_SHAPE
    rows = pd.read_csv(tmp_path / "out" / "volumes.tsv", sep="\t")
    assert list(rows.label) == ["hippocampus_left", "hippocampus_right"]
    # the same by name, from Python, and after an installation
    again = Predictor.load().predict(path)
    assert np.array_equal(again.mask.T, np.asarray(mask.dataobj))
    assert np.array_equal(Predictor.load("quick").predict(path).mask, again.mask)
    code, out, err = run_command("install", "quick", "--root", tmp_path / "ws")
    assert code == 0, err
    code, out, err = run_command(
        "predict", "-i", path, "-o", tmp_path / "out2", "--root", tmp_path / "ws", "--model", "WholeHead/quick"
    )
    assert code == 0 and "ships" not in out, err
    assert np.array_equal(np.asarray(nibabel.load(tmp_path / "out2" / "scan.nii.gz").dataobj), np.asarray(mask.dataobj))


def test_models_are_listed_with_their_cards(shipping: Path, tmp_path: Path, run_command: Command) -> None:
    code, out, _ = run_command("models", "--root", tmp_path)
    assert code == 0 and "quick: ships with hippopt" in out and "made from: images generated from label maps" in out
    code, out, _ = run_command("models", "--root", shipping)
    assert code == 0 and "WholeHead/quick: in" in out


def test_a_study_in_parts_needs_the_model_installed(shipping: Path, tmp_path: Path, run_command: Command) -> None:
    options = ("predict", "-i", scan(tmp_path), "-o", tmp_path / "out", "--root", tmp_path, "--parts", 2)
    for more in (["--merge"], ["--part", 1]):  # a part that no merge would take is not begun
        code, _, err = run_command(*options, *more)
        assert code == 2 and "hippopt_install quick" in err and not (tmp_path / "out").exists()


def test_an_unknown_name_is_one_line(shipping: Path, tmp_path: Path, run_command: Command) -> None:
    code, _, err = run_command(
        "predict", "-i", scan(tmp_path), "-o", tmp_path / "out", "--root", tmp_path, "--model", "quack"
    )
    assert code == 2 and "quack" in err and "quick" in err


def test_what_is_trained_here_comes_first(
    shipping: Path, trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    from hippopt.workspace import Workspace

    assert ready_models.default_model(Workspace(trained_root)) is None
    assert ready_models.default_model(Workspace(tmp_path)) == shipping / "models" / "quick.zip"


def test_a_locator_is_resumed_and_then_kept(tmp_path: Path, label_maps: Path, base: Path, run_command: Command) -> None:
    arguments = ("make_model", "--root", tmp_path, "--synthetic", label_maps, "--base", base, "--hold-out", 1)
    target = ("-o", tmp_path / "model.zip", "--steps", 3)
    original = head_locator.head_batch

    def stopped(*given: Any) -> Any:
        if given[-1] == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head_locator, "head_batch", stopped)
        code, _, err = run_command(*arguments, *target)
    assert code == 143 and "--resume" in err and not (tmp_path / "model.zip").exists()
    code, _, err = run_command(*arguments, *target)
    assert code == 1 and "--resume" in err
    code, _, err = run_command(*arguments, "-o", tmp_path / "model.zip", "--steps", 5, "--resume")
    assert code == 1 and "locator" in err
    assert run_command(*arguments, *target, "--resume")[0] == 0
    locator = tmp_path / "results" / "locators" / "whole-head" / "resume.safetensors"
    before = locator.read_bytes()
    assert run_command(*arguments, *target)[0] == 1
    assert run_command(*arguments, *target, "--overwrite")[0] == 0
    assert locator.read_bytes() == before
    code, _, err = run_command(*arguments[:5], "--base", base, "--hold-out", 3, *target, "--overwrite")
    assert code == 2 and "--hold-out 3" in err
