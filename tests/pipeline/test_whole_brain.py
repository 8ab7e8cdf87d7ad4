"""Whole brains through training and prediction: the same anatomy in
every orientation, sides never swapped, doubts said aloud.
"""

import json
import shutil
import signal
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from tests.heads import DATASET, new_head, to_ras, turned
from tests.laws.strategies import CODES
from tests.synthetic import Command
from tests.trained import assert_same_tensors, assert_stopped, edit_json, signal_at, without_plots

RUN = Path("results") / DATASET / "full"
TRAIN = ("--method", "full", "--base", "none", "--device", "cpu")
LOCATING = {"not located", "no left side", "no right side", "side in doubt"}  # flags


def predict(run_command: Command, root: Path, scans: Path, output: Path, *more: object) -> tuple[pd.DataFrame, str]:
    """(volumes.tsv by scan and label, warnings)."""
    code, _, err = run_command("predict", "-i", scans, "-o", output, "--root", root, "-f", 0, "--device", "cpu", *more)
    assert code == 0, err
    table = pd.read_csv(output / "volumes.tsv", sep="\t", dtype={"scan": str}, keep_default_na=False)
    return table.set_index(["scan", "label"]), err


def save(folder: Path, **images: nibabel.Nifti1Image) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        nibabel.save(image, folder / f"{name}.nii.gz")
    return folder


def found_flags(column: pd.Series) -> set[str]:
    return {flag for text in column for flag in text.split("; ")}


def test_the_plan_locates(head_root: Path) -> None:
    plan = json.loads((head_root / RUN / "plan.json").read_text())
    assert plan["locator"]["regions"] == 2 and "windows around what that finds" in plan["reasons"]["locator"]
    assert plan["locator"]["offset_mm"][2] == pytest.approx(
        52, abs=8
    )  # phantoms' structures lie at about -26 and 26 mm
    card = json.loads((head_root / RUN / "fold_0" / "locator.json").read_text())
    assert card["classes"] == ["background", "left", "right"] and len(card["seen_images"]) == 4


def test_every_orientation_gives_the_same_anatomy_and_sides(
    head_root: Path, tmp_path: Path, run_command: Command
) -> None:
    image, label = new_head()
    scans = save(tmp_path / "scans", **{code: turned(image, code) for code in CODES})
    table, err = predict(run_command, head_root, scans, tmp_path / "out")
    assert "not located" not in err and not found_flags(table.flag) & LOCATING
    masks = {code: to_ras(tmp_path / "out" / f"{code}.nii.gz") for code in CODES}
    for code, mask in masks.items():
        assert (
            nibabel.load(tmp_path / "out" / f"{code}.nii.gz").affine.tolist()
            == nibabel.load(scans / f"{code}.nii.gz").affine.tolist()
        )
        assert (mask != masks["RAS"]).sum() <= 2, (
            code
        )  # sums in another order may round a voxel on the border otherwise
    middle = label.shape[0] // 2
    found = masks["RAS"]
    assert (found[:middle] == 1).any() and (found[middle:] == 2).any()
    assert not (found[:middle] == 2).any() and not (found[middle:] == 1).any()
    for value in (1, 2):  # it is the structure that was found, not anything
        a, b = np.argwhere(found == value).mean(0), np.argwhere(label == value).mean(0)
        assert np.linalg.norm(a - b) * 3 < 12, (value, a, b)


@pytest.mark.parametrize(("missing", "kept"), [("right", "left"), ("left", "right")])
def test_a_scan_that_lacks_a_side_has_no_label_there(
    head_root: Path, tmp_path: Path, run_command: Command, missing: str, kept: str
) -> None:
    image, _ = new_head()
    middle = image.shape[0] // 2
    half = image.slicer[:middle] if missing == "right" else image.slicer[middle:]
    table, err = predict(run_command, head_root, save(tmp_path / "scans", half=turned(half, "PIR")), tmp_path / "out")
    flag = table.loc[("half", f"structure_{missing}"), "flag"]
    assert f"no {missing} side" in flag and f"the {missing} side lies outside the image" in err, (flag, err)
    assert (
        table.loc[("half", f"structure_{missing}"), "voxels"] == 0
        and table.loc[("half", f"structure_{kept}"), "voxels"] > 0
    )


def test_a_scan_without_the_structure_is_looked_at_everywhere_and_flagged(
    head_root: Path, tmp_path: Path, run_command: Command
) -> None:
    image, _ = new_head()
    noise = np.random.default_rng(0).normal(100, 20, image.shape).astype(np.float32)
    scans = save(tmp_path / "scans", noise=nibabel.Nifti1Image(noise, image.affine), head=image)
    table, err = predict(run_command, head_root, scans, tmp_path / "out", "--save-probabilities")
    assert "noise: not located (" in err and "looked everywhere" in err
    assert (
        set(table.loc["noise"].flag.str.contains("not located")) == {True}
        and not found_flags(table.loc["head"].flag) & LOCATING
    )
    probabilities = np.asarray(nibabel.load(tmp_path / "out" / "head_probabilities.nii.gz").dataobj)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-4)
    mask = np.asarray(nibabel.load(tmp_path / "out" / "head.nii.gz").dataobj)
    assert (probabilities.argmax(-1) == mask).all()


def test_kept_masks_keep_the_flags_of_the_locator(head_root: Path, tmp_path: Path, run_command: Command) -> None:
    image, out = new_head()[0], tmp_path / "out"
    noise = nibabel.Nifti1Image(np.random.default_rng(0).normal(100, 20, image.shape).astype(np.float32), image.affine)
    scans = save(tmp_path / "scans", noise=noise, half=image.slicer[: image.shape[0] // 2])
    table, _ = predict(run_command, head_root, scans, out)
    assert (
        set(table.loc["noise"].flag.str.contains("not located"))
        == set(table.loc["half"].flag.str.contains("no right side"))
        == {True}
    )
    assert predict(run_command, head_root, scans, out)[0].equals(table)
    # a label that a person has changed since is not what the locator's flag was said of
    mask = nibabel.load(out / "half.nii.gz")
    values = np.asarray(mask.dataobj).copy()
    values[values == 1] = 0
    nibabel.save(nibabel.Nifti1Image(values, mask.affine, mask.header), out / "half.nii.gz")
    again, _ = predict(run_command, head_root, scans, out)
    left, right = (again.loc[("half", f"structure_{side}"), "flag"].split("; ") for side in ("left", "right"))
    assert "no right side" not in left and "no right side" in right and again.loc["noise"].equals(table.loc["noise"])


def test_a_constant_scan_has_an_empty_mask(head_root: Path, tmp_path: Path, run_command: Command) -> None:
    flat = nibabel.Nifti1Image(np.full((20, 20, 20), 7, np.float32), np.diag([3, 3, 3, 1]))
    table, err = predict(run_command, head_root, save(tmp_path / "scans", flat=flat), tmp_path / "out")
    assert "flat: every voxel has one value" in err and table.voxels.sum() == 0


def test_a_moved_model_carries_its_locators(head_root: Path, tmp_path: Path, run_command: Command) -> None:
    file, other = tmp_path / "model.zip", tmp_path / "elsewhere"
    code, _, err = run_command("export", "Head", file, "--root", head_root)
    assert code == 0, err
    with zipfile.ZipFile(file) as archive:
        assert {"run/fold_0/locator.json", "run/fold_0/locator.safetensors"} <= set(archive.namelist())
    code, _, err = run_command("install", file, "--root", other)
    assert code == 0, err
    scans = save(tmp_path / "scans", head=new_head()[0])
    here, there = (
        predict(run_command, root, scans, tmp_path / name)[0] for root, name in ((head_root, "here"), (other, "there"))
    )
    assert here.equals(there)
    assert (tmp_path / "here" / "head.nii.gz").read_bytes() == (tmp_path / "there" / "head.nii.gz").read_bytes()


def test_a_damaged_or_missing_locator_stops_prediction_and_export(
    head_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = shutil.copytree(head_root, tmp_path / "workspace")
    scans, fold = save(tmp_path / "scans", head=new_head()[0]), root / RUN / "fold_0"
    data = (fold / "locator.safetensors").read_bytes()
    (fold / "locator.safetensors").write_bytes(data[:-4] + b"abcd")
    arguments = ("-i", scans, "-o", tmp_path / "out", "--root", root, "-f", 0)
    assert_stopped(run_command("predict", *arguments), "locator.safetensors", "does not match its card")
    assert_stopped(run_command("export", "Head", tmp_path / "model.zip", "--root", root), "locator.safetensors")
    (fold / "locator.safetensors").write_bytes(data)
    edit_json(fold / "locator.json", lambda card: card.update(plan_hash="0" * 64))
    assert_stopped(run_command("predict", *arguments), "locator.safetensors", "plan")
    (fold / "locator.json").unlink()
    assert_stopped(run_command("predict", *arguments), "locator.json", "train the fold anew")
    assert not (tmp_path / "model.zip").exists() and not (tmp_path / "out").exists()


def test_a_fold_stopped_and_resumed_has_the_same_locator(head_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = shutil.copytree(head_root, tmp_path / "workspace", ignore=shutil.ignore_patterns("results"))
    quick = ("--set", "locator.steps=4", "schedule.steps_per_epoch=2", "locator.spacing_mm=8")
    assert run_command("plan", "--root", root, "--device", "cpu", *quick)[0] == 0
    train = ("Head", 0, "--root", root, *TRAIN, "--steps", 6)
    with without_plots():
        assert run_command("train", *train, "--name", "whole")[0] == 0
        with signal_at(3, signal.SIGTERM):
            assert run_command("train", *train, "--name", "parts")[0] == 143
        parts, whole = (root / "results" / DATASET / f"full-{name}" / "fold_0" for name in ("parts", "whole"))
        written = (parts / "locator.safetensors").stat().st_mtime_ns
        assert run_command("train", *train, "--name", "parts", "--resume")[0] == 0
        assert (parts / "locator.safetensors").stat().st_mtime_ns == written  # kept
        assert_same_tensors(parts / "locator.safetensors", whole / "locator.safetensors")
        assert_same_tensors(parts / "adapter.safetensors", whole / "adapter.safetensors")
        # one that is damaged is made anew, the same, before the fold is validated again
        (parts / "summary.json").unlink()
        (parts / "locator.safetensors").write_bytes(b"broken")
        code, _, err = run_command("train", *train, "--name", "parts", "--resume")
        assert code == 0 and "the locator is made anew" in err, err
        assert_same_tensors(parts / "locator.safetensors", whole / "locator.safetensors")


def test_a_signal_while_the_locator_trains_leaves_something_to_resume(
    head_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(head_root, tmp_path / "workspace", ignore=shutil.ignore_patterns("results"))
    assert (
        run_command("plan", "--root", root, "--device", "cpu", "--set", "locator.steps=4", "locator.spacing_mm=8")[0]
        == 0
    )
    train = ("Head", 0, "--root", root, *TRAIN, "--steps", 2)
    with monkeypatch.context() as patch:

        def stop(cases: object, settings: object, batch: int, seed: int, index: int) -> object:
            signal.raise_signal(signal.SIGTERM)
            return original(cases, settings, batch, seed, index)

        from hippopt.training import locator

        original = locator.locator_batch
        patch.setattr(locator, "locator_batch", stop)
        code, _, err = run_command("train", *train)
    assert code == 143 and "--resume" in err
    assert not (root / RUN / "fold_0" / "locator.json").exists()
    with without_plots():
        assert run_command("train", *train, "--resume")[0] == 0
    assert (root / RUN / "fold_0" / "locator.json").exists()


def test_sides_that_are_mirrored_onto_one(head_root: Path, tmp_path: Path, run_command: Command) -> None:
    """A network of one side-less label: trained, validated and used."""
    root = shutil.copytree(head_root, tmp_path / "workspace", ignore=shutil.ignore_patterns("results"))
    assert run_command("plan", "--root", root, "--device", "cpu", "--set", "mirror_sides=true")[0] == 0
    with without_plots():
        code, _, err = run_command("train", "Head", 0, "--root", root, *TRAIN, "--steps", 60)
    assert code == 0, err
    card = json.loads((root / RUN / "fold_0" / "adapter.json").read_text())
    assert card["out_channels"] == 2
    image, _ = new_head()
    scans = save(tmp_path / "scans", head=image, flipped=turned(image, "LAS"))
    predict(run_command, root, scans, tmp_path / "out", "--tta")
    masks = [to_ras(tmp_path / "out" / f"{name}.nii.gz") for name in ("head", "flipped")]
    assert (masks[0] != masks[1]).sum() <= 2
    middle = image.shape[0] // 2
    assert set(np.unique(masks[0][:middle])) <= {0, 1} and set(np.unique(masks[0][middle:])) <= {0, 2}
    assert (masks[0] == 1).any() and (masks[0] == 2).any()
