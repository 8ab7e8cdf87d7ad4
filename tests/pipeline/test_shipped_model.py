"""The model that ships: its file is whole, small, and segments a head in an empty workspace."""

import json
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from hippopt.networks.tensor_files import file_sha256
from hippopt.recipes.ready_models import model_card, ready_locator, shipped_model, shipped_models
from tests.conftest import REPOSITORY
from tests.phantom_head import draw_head, render_head
from tests.synthetic import Command, save_nifti

MOST_BYTES = 40e6  # of all weights in the wheel

pytestmark = pytest.mark.skipif(not shipped_models(), reason="this hippopt ships no model")


def test_the_files_are_those_of_the_cards_and_small() -> None:
    weights = [*shipped_models(), *(REPOSITORY / "hippopt" / "bases").glob("*.safetensors")]
    assert sum(path.stat().st_size for path in weights) <= MOST_BYTES
    for path in shipped_models():
        card = model_card(path)
        assert card.sha256 == file_sha256(path) and card.name == path.stem
        assert path.stat().st_size < 1 << 20, "a model names its base, which ships, and holds its locator in halves"
        assert card.licence and card.attribution and card.made_from and "/" not in card.command.replace("n/a", "")
    notice = (REPOSITORY / "hippopt" / "models" / "NOTICE").read_text()
    assert all(path.name in notice for path in shipped_models())


def test_a_head_is_segmented_in_an_empty_workspace(tmp_path: Path, run_command: Command) -> None:
    """A phantom is no head that anyone has, so only sound outputs are asked for, and that it takes seconds."""
    image, _, affine = render_head(draw_head(np.random.default_rng(3)), (2.0, 2.0, 2.0))
    save_nifti(tmp_path / "head.nii.gz", image, affine)
    (tmp_path / "ws").mkdir()
    began = time.perf_counter()
    code, out, err = run_command(
        "predict", "-i", tmp_path / "head.nii.gz", "-o", tmp_path / "out", "--root", tmp_path / "ws"
    )
    path = shipped_model()
    assert path is not None and code == 0, err
    assert f"taking {path.stem}, which ships with hippopt" in out and time.perf_counter() - began < 300
    mask = nibabel.load(tmp_path / "out" / "head.nii.gz")
    assert mask.shape == image.shape and set(np.unique(np.asarray(mask.dataobj))) <= {0, 1, 2}
    rows = pd.read_csv(tmp_path / "out" / "volumes.tsv", sep="\t", keep_default_na=False)
    assert list(rows.label) == ["hippocampus_left", "hippocampus_right"]
    assert not list((tmp_path / "ws").iterdir())


def test_its_locator_can_be_taken_by_training() -> None:
    from hippopt.artifacts.codec import decode, parse_json
    from hippopt.artifacts.plan import Plan
    from hippopt.networks.model_archive import open_model

    path = shipped_model()
    assert path is not None
    with open_model(path) as model:
        plan = decode(parse_json(model.archive.text("run/plan.json"), path), Plan, path)
    found = ready_locator(plan)
    assert found is not None and found.classes == ("background", "left", "right")
    assert plan.locator is not None and found.channels == plan.locator.channels


@pytest.mark.real
def test_real_heads_are_segmented(real_data: Path, tmp_path: Path) -> None:
    """Three stripped brains with labels, and a whole head: both sides found, none swapped, most of each right."""
    from hippopt import Predictor

    folder = real_data / "MALC2012_train"
    predictor = Predictor.load()
    for path in sorted((folder / "images").glob("*.nii.gz"))[:3]:
        found = predictor.predict(path)
        label = np.asarray(nibabel.load(folder / "labels" / path.name).dataobj).T
        for value, own, other in ((1, 48, 47), (2, 47, 48)):
            inside = found.mask == value
            assert 2 * (inside & (label == own)).sum() > 0.7 * (inside.sum() + (label == own).sum())
            assert not (inside & (label == other)).any()
    (head,) = (real_data / "unlabelled_t1").glob("*.nii*")
    whole = predictor.predict(head)
    left, right = (whole.volumes_mm3[f"hippocampus_{side}"] for side in ("left", "right"))
    assert 1500 < left < 6500 and 1500 < right < 6500 and not any("not located" in own for own in whole.flags.values())


def test_it_is_listed_as_json(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hippopt.cli.models", "--root", tmp_path, "--json"], capture_output=True, text=True
    )
    listed = json.loads(done.stdout)["models"]
    assert done.returncode == 0 and [model["name"] for model in listed] == [path.stem for path in shipped_models()]
