"""How sure a run is: from the folds' signals to predicted Dice, flags and maps in what hippopt_predict writes."""

import json
import os
import shutil
import signal
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import nibabel
import numpy as np
import pandas as pd
import pytest

from hippopt.artifacts.calibration import Calibration
from hippopt.artifacts.codec import decode
from hippopt.artifacts.plan_rules import load_plan
from hippopt.console import SilentConsole
from hippopt.inference.loading import LoadedScan
from hippopt.inference.signal_table import COLUMNS as SIGNAL_COLUMNS
from hippopt.inference.volumes import COLUMNS
from hippopt.stages import predict as stage
from hippopt.stages.calibrate_run import calibrate_run
from hippopt.workspace import Workspace
from tests.synthetic import TINY, Command, blob_case, read_mask, save_nifti, volumes, write_dataset, write_scans
from tests.trained import DATASET, assert_stopped, contents, copied, edit_json, fold_path, run_path, without_plots

SURE = ["volume_low_mm3", "volume_high_mm3", "predicted_dice"]


@pytest.fixture(scope="module")
def sure_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve cases, run `full` with five folds of forty steps: twelve out-of-fold cases. Read-only by convention."""
    from hippopt.cli import plan, train

    root = tmp_path_factory.mktemp("sure")
    write_dataset(root, cases=12)
    assert (
        plan.main(
            [
                "--root",
                str(root),
                "--device",
                "cpu",
                "--set",
                *TINY,
                "network.feature_size=16",
                "schedule.steps_per_epoch=20",
            ]
        )
        == 0
    )
    with without_plots():
        assert (
            train.main(["Blob", "all", "--root", str(root), "--method", "full", "--steps", "40", "--device", "cpu"])
            == 0
        )
    judge(root, 0.5)  # whatever twelve cases and forty steps are worth
    return root


def judge(root: Path, share: float) -> None:
    """Let the run's calibration have erred by this share of the error of guessing the mean."""

    def edit(data: Any) -> None:
        for row in data["quality"]:
            row["mean_absolute_error"] = share * row["error_of_mean"]

    edit_json(run_path(root) / "calibration.json", edit)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans, one of them of one value."""
    folder = write_scans(tmp_path_factory.mktemp("scans"), "a.nii.gz", "b.nii.gz")
    save_nifti(folder / "constant.nii.gz", np.full((18, 26, 14), 7, np.int16))
    return folder


def predict(
    run_command: Command, root: Path, scans: Path, output: Path, *more: object
) -> tuple[pd.DataFrame, str, str]:
    """(volumes.tsv, standard output, warnings)."""
    code, out, err = run_command("predict", "-i", scans, "-o", output, "--root", root, "--device", "cpu", *more)
    assert code == 0, err
    return volumes(output), out, err


def test_every_fold_leaves_its_signals_and_the_run_a_calibration(sure_root: Path) -> None:
    tables = [pd.read_csv(fold_path(sure_root, fold) / "signals.csv") for fold in range(5)]
    assert all(list(table.columns) == list(SIGNAL_COLUMNS) for table in tables)
    table = pd.concat(tables)
    assert set(table.case) == {f"case_{number:03d}" for number in range(12)} and len(table) == 24
    scores = pd.concat([pd.read_csv(fold_path(sure_root, fold) / "metrics.csv") for fold in range(5)])
    both = table.merge(scores, on=["case", "label"])
    assert len(both) == 24 and (both.dice_x == both.dice_y).all()
    assert table[["soft_dice", "certainty_around", "flip_dice"]].apply(lambda column: column.between(0, 1).all()).all()
    assert (table.flip_dice < 1).any()  # the flips were made
    path = run_path(sure_root) / "calibration.json"
    calibration = decode(json.loads(path.read_text()), Calibration, path)
    cards = [json.loads((fold_path(sure_root, fold) / "adapter.json").read_text()) for fold in range(5)]
    assert calibration.adapters == {str(fold): card["sha256"] for fold, card in enumerate(cards)}
    assert calibration.cases == 12 and [row.cases for row in calibration.quality] == [12, 12, 12]


def test_predictions_say_how_sure_they_are(sure_root: Path, scans: Path, tmp_path: Path, run_command: Command) -> None:
    table, _, err = predict(run_command, sure_root, scans, tmp_path / "out", "--save-uncertainty")
    assert list(table.columns) == list(COLUMNS) and len(table) == 6
    found = table[table.scan != "constant"]
    numbers = found[[*SURE, "volume_mm3", "fold_agreement"]].astype(float)
    assert numbers.predicted_dice.between(0.2, 1).all() and numbers.fold_agreement.between(0.2, 1).all()
    assert (numbers.volume_low_mm3 < numbers.volume_mm3).all() and (numbers.volume_mm3 < numbers.volume_high_mm3).all()
    empty = table[table.scan == "constant"]
    assert (
        (empty.flag == "constant image; empty").all()
        and (empty.predicted_dice.astype(float) == 0).all()
        and (empty.volume_low_mm3 == "").all()
    )
    assert (table.head_size_of == "-").all() and (table.head_size_mm3 == "").all()
    assert "calibration" not in err
    for name in ("a", "b"):
        image = nibabel.load(tmp_path / "out" / f"{name}_uncertainty.nii.gz")
        values, mask = np.asarray(image.dataobj), read_mask(tmp_path / "out" / f"{name}.nii.gz")
        assert values.shape == mask.shape and values.dtype == np.float32 and values.min() >= 0 and values.max() <= 1
        assert np.allclose(image.affine, nibabel.load(scans / f"{name}.nii.gz").affine)
        # less certain along the border of the mask than elsewhere
        border = (mask != 0) != (np.roll(mask, 1, 1) != 0)
        assert values[border].mean() > values[~border].mean()
    assert not (tmp_path / "out" / "constant_uncertainty.nii.gz").exists()
    assert not list((tmp_path / "out").glob("*_probabilities*"))


def test_uncertainty_is_the_entropy_of_the_probabilities(
    sure_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    predict(run_command, sure_root, scans, tmp_path / "out", "--save-uncertainty", "--save-probabilities", "-f", 0, 1)
    values = np.asarray(nibabel.load(tmp_path / "out" / "a_uncertainty.nii.gz").dataobj)
    p = np.asarray(nibabel.load(tmp_path / "out" / "a_probabilities.nii.gz").dataobj).astype(float)
    wanted = -(p * np.log(np.maximum(p, 1e-12))).sum(-1) / np.log(3)
    np.testing.assert_allclose(values, wanted, atol=6e-5)  # rounded to four digits
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a.nii.gz"), p.argmax(-1))


def test_the_flips_for_signals_leave_the_masks_alone(
    sure_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(sure_root, tmp_path)
    predict(run_command, root, scans, tmp_path / "with")
    (run_path(root) / "calibration.json").unlink()
    table, out, _ = predict(run_command, root, scans, tmp_path / "without")
    assert out.count("no predicted Dice") == 1
    assert (table[SURE] == "").all().all() and (table[table.scan == "a"].fold_agreement != "").all()
    for name in ("a.nii.gz", "b.nii.gz"):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


def test_kept_masks_keep_what_was_said_of_them(
    sure_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    first, _, _ = predict(run_command, sure_root, scans, tmp_path / "out")
    text = (tmp_path / "out" / "volumes.tsv").read_bytes()
    again, out, _ = predict(run_command, sure_root, scans, tmp_path / "out")
    assert "kept 3" in out and (tmp_path / "out" / "volumes.tsv").read_bytes() == text and again.equals(first)
    # a mask that a person has changed since is another one: nothing is known of it
    mask = read_mask(tmp_path / "out" / "a.nii.gz").copy()
    mask[mask == 1] = 2
    save_nifti(tmp_path / "out" / "a.nii.gz", mask)
    changed, _, _ = predict(run_command, sure_root, scans, tmp_path / "out")
    rows = changed[changed.scan == "a"].set_index("label")
    assert rows.loc["back", "predicted_dice"] == "" and "empty" in rows.loc["front", "flag"].split("; ")
    assert changed[changed.scan == "b"].astype(str).equals(first[first.scan == "b"].astype(str))


def test_kept_masks_without_the_maps_asked_for_are_counted(
    trained_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    arguments, line = (run_command, trained_root, scans, tmp_path / "out"), "without the maps that were asked for"
    predict(*arguments)
    assert line not in predict(*arguments)[2]
    err = predict(*arguments, "--save-uncertainty", "--save-probabilities")[2]
    assert (
        err.count(line) == 1 and f"2 masks that were there already are kept, {line}; --overwrite" in err
    )  # a constant scan has no map
    assert not list((tmp_path / "out").glob("*_uncertainty*"))
    assert line not in predict(*arguments, "--save-uncertainty", "--overwrite")[2]
    assert line not in predict(*arguments, "--save-uncertainty")[2]  # they are there
    assert line in predict(*arguments, "--save-probabilities")[2]


def test_a_single_fold_and_few_cases_predict_nothing(
    trained_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    assert not (run_path(trained_root) / "calibration.json").exists()  # two folds, but fewer than ten cases
    table, out, _ = predict(run_command, trained_root, scans, tmp_path / "out", "-f", 0)
    assert out.count("no predicted Dice") == 1 and (table[[*SURE, "fold_agreement"]] == "").all().all()


def test_the_best_checkpoint_has_no_calibration(
    sure_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    table, _, err = predict(run_command, sure_root, scans, tmp_path / "out", "--checkpoint", "best")
    assert (table[SURE] == "").all().all() and "no Dice is predicted" in err


def test_a_calibration_of_other_networks_is_left_alone(
    sure_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(sure_root, tmp_path)
    path = run_path(root) / "calibration.json"
    edit_json(path, lambda data: data["adapters"].update({"1": "0" * 64}))
    table, _, err = predict(run_command, root, scans, tmp_path / "out")
    assert (table[SURE] == "").all().all() and str(path) in err and "other networks" in err
    # of the folds that it does belong to it still speaks
    table, _, err = predict(run_command, root, scans, tmp_path / "out0", "-f", 0)
    assert (table[table.scan == "a"][SURE] != "").all().all()
    path.write_text("{}")
    table, _, err = predict(run_command, root, scans, tmp_path / "out2")
    assert (table[SURE] == "").all().all() and str(path) in err


def test_a_validated_fold_renews_the_calibration(sure_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(sure_root, tmp_path)
    path, before = run_path(root) / "calibration.json", (run_path(sure_root) / "calibration.json").read_bytes()
    path.unlink()
    (fold_path(root, 2) / "summary.json").unlink()
    code, out, err = run_command("train", "Blob", 2, "--root", root, "--method", "full", "--resume", "--device", "cpu")
    assert code == 0 and "rank correlation" in out and "chance" in out, err
    judge(root, 0.5)
    assert path.read_bytes() == before
    (fold_path(root, 1) / "signals.csv").write_text("case,label\n")
    (fold_path(root, 2) / "summary.json").unlink()
    outcome = run_command("train", "Blob", 2, "--root", root, "--method", "full", "--resume", "--device", "cpu")
    assert_stopped(outcome, fold_path(root, 1) / "signals.csv", "--resume", code=1)


def test_folds_of_several_plans_are_not_fitted_together(sure_root: Path, tmp_path: Path) -> None:
    root = copied(sure_root, tmp_path)
    edit_json(fold_path(root, 3) / "adapter.json", lambda card: card.update(plan_hash="f" * 64))
    console, plan = SilentConsole(), load_plan(run_path(root) / "plan.json")
    assert calibrate_run(Workspace(root), DATASET, "full", plan, console) is None
    assert not (run_path(root) / "calibration.json").exists()  # the one of before is of another network
    (warning,) = console.warnings
    assert "several plans" in warning and "ffffffffffff (fold 3)" in warning and "no calibration" in warning


def test_an_exported_model_is_as_sure_elsewhere(
    sure_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    file, other = tmp_path / "model.zip", tmp_path / "elsewhere"
    assert run_command("export", "Blob", file, "--root", sure_root)[0] == 0
    assert run_command("install", file, "--root", other)[0] == 0
    here, _, _ = predict(run_command, sure_root, scans, tmp_path / "here")
    there, _, _ = predict(run_command, other, scans, tmp_path / "there")
    assert here.equals(there) and (here.predicted_dice != "").all()
    assert run_command("export", "Blob", tmp_path / "again.zip", "--root", other)[0] == 0
    assert file.read_bytes() == (tmp_path / "again.zip").read_bytes()
    assert (
        "case_0"
        not in (run_path(other) / "calibration.json").read_text() + (run_path(other) / "cohort.json").read_text()
    )


def test_a_model_file_with_an_unsound_calibration_is_refused(
    sure_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(sure_root, tmp_path)
    from hippopt.stages import export_model

    original = export_model.canonical_json

    def bent(record: object) -> bytes:
        if isinstance(record, Calibration):
            record = msgspec.structs.replace(record, weights=tuple(-1.0 for _ in record.weights))
        return original(record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_model, "canonical_json", bent)
        assert run_command("export", "Blob", tmp_path / "model.zip", "--root", root)[0] == 0
    other = tmp_path / "elsewhere"
    assert_stopped(
        run_command("install", tmp_path / "model.zip", "--root", other), "calibration.json", "nothing was written"
    )
    assert contents(other) == {}


def test_an_unusual_volume_is_flagged(sure_root: Path, tmp_path: Path, run_command: Command) -> None:
    """By the cohort that the model carries: narrowed, so that a usual
    scan lies outside; a label it does not tell of is let be.
    """
    image = blob_case(100)[0]
    save_nifti(tmp_path / "scans" / "usual.nii.gz", image)
    root = copied(sure_root, tmp_path)
    shutil.rmtree(root / "plans")  # a model that was installed knows the cohort from its own file
    cohort = {
        "schema": 1,
        "fingerprint_hash": json.loads((run_path(root) / "plan.json").read_text())["fingerprint_hash"],
        "volumes": {"front": {"scans": 22, "first_quartile": 5.0, "median": 6.0, "third_quartile": 7.0}},
        "parts": {},
        "asymmetry": {},
    }
    (run_path(root) / "cohort.json").write_text(json.dumps(cohort))
    table, _, _ = predict(run_command, root, tmp_path / "scans", tmp_path / "out2")
    flags = table.set_index("label").flag
    assert "volume unusual" in flags["front"] and "volume unusual" not in flags["back"]


def test_maps_beside_masks_are_not_scored(sure_root: Path, tmp_path: Path, run_command: Command) -> None:
    labels = sure_root / "raw_data" / DATASET
    predict(run_command, sure_root, labels / "imagesTr", tmp_path / "out", "--save-uncertainty", "-f", 0)
    code, out, err = run_command(
        "evaluate", "-p", tmp_path / "out", "-l", labels / "labelsTr", "-d", "Blob", "--root", sure_root
    )
    assert code == 0 and "uncertainty" not in err and "12 cases" in out, err


def test_a_stopped_prediction_keeps_what_the_networks_said(
    sure_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM within the second of three scans: it is finished, both
    have their rows, and the same command goes on to the same table.
    """
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz", "c.nii.gz")
    whole, _, _ = predict(run_command, sure_root, scans, tmp_path / "whole")
    original = stage._segment

    def segment(loaded: LoadedScan, *more: Any) -> Any:
        if loaded.files.id == "b":
            os.kill(os.getpid(), signal.SIGTERM)
        return original(loaded, *more)

    monkeypatch.setattr(stage, "_segment", segment)
    arguments = ("predict", "-i", scans, "-o", tmp_path / "parts", "--root", sure_root, "--device", "cpu")
    code, _, err = run_command(*arguments)
    assert code == 143 and "stopped by a signal, 1 of 3 scans to go; the same command" in err
    rows = volumes(tmp_path / "parts")
    assert set(rows.scan) == {"a", "b"} and rows.predicted_dice.astype(float).between(0, 1).all()
    assert not (tmp_path / "parts" / "c.nii.gz").exists()
    assert run_command(*arguments)[0] == 0
    pd.testing.assert_frame_equal(volumes(tmp_path / "parts"), whole)
    code, _, err = run_command(*arguments, "--overwrite")
    assert (
        code == 143
        and "the same command starts over" in err
        and set(volumes(tmp_path / "parts").scan) == {"a", "b", "c"}
    )


def test_tables_are_written_while_scans_are_segmented(
    sure_root: Path, scans: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill that cannot be caught costs the rows of some seconds."""
    original, seen = stage._segment, []

    def segment(loaded: LoadedScan, *more: Any) -> Any:
        table = tmp_path / "out" / "volumes.tsv"
        seen.append(set(volumes(tmp_path / "out").scan) if table.exists() else set())
        return original(loaded, *more)

    monkeypatch.setattr(stage, "_segment", segment)
    monkeypatch.setattr(stage, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(stage, "SAVE_SHARE", 1e9)  # however long a saving takes
    predict(run_command, sure_root, scans, tmp_path / "out")
    assert seen == [set(), {"a"}, {"a", "b"}]


def test_a_calibration_that_tells_nothing_is_not_used(
    sure_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    root = copied(sure_root, tmp_path)
    judge(root, 0.96)
    table, out, _ = predict(run_command, root, scans, tmp_path / "out")
    assert (table[SURE] == "").all(axis=None) and (table[table.scan == "a"].fold_agreement != "").all()
    assert (
        "run full: its calibration is not used, since it tells nothing: it does not beat guessing the mean by 5%" in out
    )
    code, out, err = run_command("export", "Blob", tmp_path / "model.zip", "--root", root)
    assert code == 0 and "calibration is not used" in out, err
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        assert "run/calibration.json" not in archive.namelist()
    judge(root, 0.94)
    table, out, _ = predict(run_command, root, scans, tmp_path / "again")
    assert (table[table.scan == "a"][SURE] != "").all(axis=None) and "not used" not in out
