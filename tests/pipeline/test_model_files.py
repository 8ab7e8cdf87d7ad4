"""A model moved to another workspace by one file gives, bit for bit, the masks that it gave."""

import json
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from tests.synthetic import Command, blob_case, save_nifti, write_scans
from tests.trained import DATASET, LORA, assert_stopped, contents, copied, edit_json, fold_path, run_path


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans like the training scans, and one with inverted contrast, which is warned of."""
    folder = write_scans(tmp_path_factory.mktemp("scans"), "a.nii.gz", "b.nii.gz")
    save_nifti(folder / "inverted.nii.gz", 300 - blob_case(7)[0])
    return folder


def export(run_command: Command, root: Path, file: Path, *more: object, run: str = LORA) -> tuple[int, str, str]:
    return run_command("export", "Blob", file, "--root", root, "--run", run, *more)


def predict(run_command: Command, root: Path, scans: Path, output: Path, run: str) -> tuple[dict[str, bytes], str, str]:
    """(the voxels of each mask, volumes.tsv, warnings)."""
    code, _, err = run_command("predict", "-i", scans, "-o", output, "--root", root, "--run", run, "--device", "cpu")
    assert code == 0, err
    masks = {path.name: np.asarray(nibabel.load(path).dataobj).tobytes() for path in sorted(output.glob("*.nii.gz"))}
    return masks, (output / "volumes.tsv").read_text(), err


@pytest.mark.parametrize("run", [LORA, "full"])
def test_masks_volumes_and_warnings_are_the_same_elsewhere(
    lora_root: Path, tmp_path: Path, run_command: Command, scans: Path, run: str
) -> None:
    before, file, other = contents(lora_root), tmp_path / "model.zip", tmp_path / "elsewhere"
    code, out, err = export(run_command, lora_root, file, run=run)
    assert code == 0 and f"hippopt_install {file}" in out and "2 folds" in out and "2 of 5" in err, (out, err)
    code, out, err = run_command("install", file, "--root", other)
    assert code == 0 and f"--run {run}" in out and "hippopt_predict" in out, err
    here, there = (
        predict(run_command, root, scans, tmp_path / name, run)
        for root, name in ((lora_root, "here"), (other, "there"))
    )
    assert len(here[0]) == 3 and here == there
    identities = [json.loads((tmp_path / name / "prediction.json").read_text()) for name in ("here", "there")]
    assert identities[0] == identities[1]
    assert contents(lora_root) == before
    if run == LORA:
        bases = [contents(root / "results" / "bases") for root in (lora_root, other)]
        assert len(bases[1]) == 2
        name = next(name for name in bases[1] if name.endswith(".safetensors"))
        assert bases[0][name] == bases[1][name] and bases[1][name].startswith(name.removesuffix(".safetensors"))


def test_the_warning_of_inverted_contrast_needs_what_the_file_brings(
    lora_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    file, other = tmp_path / "model.zip", tmp_path / "elsewhere"
    assert export(run_command, lora_root, file)[0] == 0
    assert run_command("install", file, "--root", other)[0] == 0
    kept = json.loads((run_path(other, LORA) / "contrast.json").read_text())
    assert kept["low"] < kept["high"] and set(kept) == {
        "schema",
        "fingerprint_hash",
        "low",
        "high",
        "around_mm",
    }  # figures of no single scan
    # a range that no scan lies in: all are warned of, so the file's figures are those that count
    edit_json(run_path(other, LORA) / "contrast.json", lambda data: data.update(low=50.0, high=51.0))
    masks, table, _ = predict(run_command, other, scans, tmp_path / "out", LORA)
    found = any(np.frombuffer(mask, np.uint8).any() for mask in masks.values())
    assert ("unlike training" in table) == found


def test_the_file_holds_what_prediction_needs_and_no_scans(
    lora_root: Path, tmp_path: Path, run_command: Command
) -> None:
    assert export(run_command, lora_root, tmp_path / "model.zip")[0] == 0
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        names = sorted(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
    folds = [f"run/fold_{fold}/adapter.{ending}" for fold in (0, 1) for ending in ("json", "safetensors")]
    others = [
        "base/card.json",
        "base/weights.safetensors",
        *(
            f"run/{name}"
            for name in ("contrast.json", "cohort.json", "figures.json", "initial.safetensors", "plan.json")
        ),
    ]
    assert names == sorted(["manifest.json", *folds, *others])
    assert manifest["dataset"] == DATASET and manifest["run"] == LORA and manifest["base"]["included"]
    assert {member["name"] for member in manifest["members"]} == set(names) - {"manifest.json"}


def test_the_best_checkpoints_come_along_when_asked_for(
    lora_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    other = tmp_path / "elsewhere"
    assert export(run_command, lora_root, tmp_path / "model.zip", "--with-best")[0] == 0
    assert run_command("install", tmp_path / "model.zip", "--root", other)[0] == 0
    arguments = ["-i", scans, "--run", LORA, "--checkpoint", "best", "--device", "cpu"]
    assert run_command("predict", "-o", tmp_path / "out", "--root", other, *arguments)[0] == 0
    assert export(run_command, lora_root, tmp_path / "plain.zip")[0] == 0
    assert run_command("install", tmp_path / "plain.zip", "--root", other, "--name", "plain")[0] == 0
    arguments[3] = "plain"
    assert_stopped(
        run_command("predict", "-o", tmp_path / "out2", "--root", other, *arguments), "adapter_best.json", "--with-best"
    )


def test_an_installed_model_is_exported_to_the_same_bytes(
    lora_root: Path, tmp_path: Path, run_command: Command
) -> None:
    other = tmp_path / "elsewhere"
    assert export(run_command, lora_root, tmp_path / "first.zip")[0] == 0
    assert run_command("install", tmp_path / "first.zip", "--root", other)[0] == 0
    assert export(run_command, other, tmp_path / "second.zip")[0] == 0
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_a_model_without_its_base_needs_that_very_base(
    lora_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    file, other = tmp_path / "model.zip", tmp_path / "elsewhere"
    code, out, err = export(run_command, lora_root, file, "--without-base")
    assert code == 0 and "not included" in out and "--base" in out, err
    assert not any(name == "base/weights.safetensors" for name in zipfile.ZipFile(file).namelist())
    assert_stopped(run_command("install", file, "--root", other), file, "full-fold0", "is missing", "--base")
    wrong = fold_path(lora_root, 1) / "adapter.safetensors"
    assert_stopped(
        run_command("install", file, "--root", other, "--base", wrong), f"--base {wrong}", "sha256", "full-fold0"
    )
    assert contents(other) == {}
    right = fold_path(lora_root, 0) / "adapter.safetensors"
    code, _, err = run_command("install", file, "--root", other, "--base", right)
    assert code == 0, err
    assert predict(run_command, other, scans, tmp_path / "there", LORA) == predict(
        run_command, lora_root, scans, tmp_path / "here", LORA
    )
    # a second model of that base finds it there
    code, _, err = run_command("install", file, "--root", other, "--name", "second")
    assert code == 0, err


def test_a_base_for_a_model_that_brings_its_own_is_refused(
    lora_root: Path, tmp_path: Path, run_command: Command
) -> None:
    """Which of the two was meant cannot be told, so nothing is written."""
    file = tmp_path / "model.zip"
    assert export(run_command, lora_root, file)[0] == 0
    base = next((lora_root / "results" / "bases").glob("*.json")).with_suffix(".safetensors")
    assert_stopped(
        run_command("install", file, "--root", tmp_path / "elsewhere", "--base", base),
        "brings its base",
        "--base",
        code=2,
    )
    assert not (tmp_path / "elsewhere").exists()


def test_an_installed_base_that_changes_is_refused(
    lora_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    other = tmp_path / "elsewhere"
    assert export(run_command, lora_root, tmp_path / "model.zip")[0] == 0
    assert run_command("install", tmp_path / "model.zip", "--root", other)[0] == 0
    (base,) = (other / "results" / "bases").glob("*.safetensors")
    data = bytearray(base.read_bytes())
    data[-1] ^= 1
    base.write_bytes(data)
    outcome = run_command("predict", "-i", scans, "-o", tmp_path / "out", "--root", other, "--run", LORA)
    assert_stopped(outcome, base, "sha256")
    code, _, err = run_command(
        "install", tmp_path / "model.zip", "--root", other, "--name", "again"
    )  # heals it, and says so
    assert code == 0 and "damaged" in err, err
    assert run_command("predict", "-i", scans, "-o", tmp_path / "out", "--root", other, "--run", LORA)[0] == 0


def test_a_run_without_a_finished_fold_and_an_unknown_run_stop(
    lora_root: Path, tmp_path: Path, run_command: Command
) -> None:
    assert_stopped(
        export(run_command, lora_root, tmp_path / "model.zip", run="absent"), "absent", "no finished fold", code=2
    )
    assert_stopped(
        run_command("export", "Blob", tmp_path / "model.zip", "--root", lora_root), "several runs", "--run", code=2
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["adapter.safetensors", "../initial.safetensors", "../plan.json"])
def test_a_run_that_is_damaged_is_not_exported(
    lora_root: Path, tmp_path: Path, run_command: Command, file: str
) -> None:
    root = copied(lora_root, tmp_path)
    path = fold_path(root, 1, LORA) / file
    if path.suffix == ".json":
        edit_json(path, lambda data: data.update(batch_size=1))
    else:
        path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    assert_stopped(export(run_command, root, tmp_path / "model.zip"), Path(file).name)
    assert not (tmp_path / "model.zip").exists()


def test_a_model_file_predicts_as_it_is_and_tells_what_it_reached(
    lora_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    file, empty = tmp_path / "model.zip", tmp_path / "elsewhere"
    code, out, err = export(run_command, lora_root, file)
    assert code == 0 and "out of fold, 2 of 5 folds" in out and "mean foreground Dice" in out, err
    told = next(line for line in out.splitlines() if line.startswith("out of fold"))
    assert " to " not in told  # no interval over so few subjects
    here = predict(run_command, lora_root, scans, tmp_path / "here", LORA)
    empty.mkdir()
    arguments = ("-i", scans, "-o", tmp_path / "there", "--root", empty, "--device", "cpu")
    code, out, err = run_command("predict", *arguments, "--model", file)
    assert code == 0 and told in out, err
    masks = {
        path.name: np.asarray(nibabel.load(path).dataobj).tobytes()
        for path in sorted((tmp_path / "there").glob("*.nii.gz"))
    }
    assert (masks, (tmp_path / "there" / "volumes.tsv").read_text()) == here[:2]
    assert not list(empty.iterdir())  # nothing is installed
    code, out, err = run_command("install", file, "--root", empty)
    assert code == 0 and told in out, err
    again = tmp_path / "again.zip"
    code, out, err = run_command("export", "Blob", again, "--root", empty)
    assert code == 0 and told in out and again.read_bytes() == file.read_bytes(), err


def test_a_model_file_in_place_of_a_data_set_is_told_what_to_do(
    lora_root: Path, tmp_path: Path, run_command: Command, scans: Path
) -> None:
    file = tmp_path / "model.zip"
    assert export(run_command, lora_root, file)[0] == 0
    arguments = ("-i", scans, "-o", tmp_path / "out", "--root", lora_root)
    for more, words in (
        (("-d", file), (f"--model {file}", f"hippopt_install {file}")),
        (("--model", file, "--run", LORA), ("leave --run out",)),
        (("--model", tmp_path / "modle.zip"), ("not found", "model.zip")),
        (("--model", tmp_path), ("not a file", "hippopt_export")),
        (("--base", file), ("only with --model",)),
    ):
        code, _, err = run_command("predict", *arguments, *more)
        assert code == 2 and all(word in err for word in words), err
    assert not (tmp_path / "out").exists()


def test_scans_of_the_training_are_marked(lora_root: Path, tmp_path: Path, run_command: Command) -> None:
    source = lora_root / "raw_data" / DATASET / "imagesTr"
    scans = write_scans(tmp_path / "scans", "new.nii.gz")
    image = nibabel.load(source / "case_001_0000.nii.gz")
    nibabel.save(image, scans / "seen.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image(np.asarray(image.dataobj).astype(np.float64), image.affine),
        scans / "stored_otherwise.nii.gz",
    )
    code, _, err = run_command(
        "predict", "-i", scans, "-o", tmp_path / "out", "--root", lora_root, "--run", LORA, "--device", "cpu"
    )
    assert code == 0 and "2 scans were in the training of these networks" in err, err
    flags = (
        pd.read_csv(tmp_path / "out" / "volumes.tsv", sep="\t", keep_default_na=False)
        .groupby("scan")
        .flag.apply("; ".join)
    )
    assert "seen in training" not in flags["new"]
    assert "seen in training" in flags["seen"] and "seen in training" in flags["stored_otherwise"]
    code, _, err = run_command(
        "predict", "-i", scans, "-o", tmp_path / "out", "--root", lora_root, "--run", LORA, "--device", "cpu"
    )
    assert code == 0 and "2 scans were in the training" in err  # of masks that are kept too
