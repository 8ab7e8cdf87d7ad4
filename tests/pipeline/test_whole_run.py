"""Whole small runs by the commands, as a user types them."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from tests.synthetic import TINY, Command, write_dataset
from tests.trained import DATASET, copied, edit_json


def test_plan_train_predict_evaluate(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    raw = trained_root / "raw_data" / "Dataset007_Blob"
    plan = json.loads((trained_root / "plans" / "Dataset007_Blob" / "plan.json").read_text())
    validation = trained_root / "results" / "Dataset007_Blob" / "full" / "fold_0" / "validation"
    wanted = plan["folds"][0]["val"]
    assert sorted(path.name for path in validation.iterdir()) == [f"{case}.nii.gz" for case in sorted(wanted)]

    scans = tmp_path / "scans"
    scans.mkdir()
    for case in wanted:
        (scans / f"{case}_0000.nii.gz").write_bytes((raw / "imagesTr" / f"{case}_0000.nii.gz").read_bytes())
    code, _, err = run_command(
        "predict", "-i", scans, "-o", tmp_path / "out", "--root", trained_root, "-f", 0, "--device", "cpu"
    )
    assert code == 0, err
    for case in wanted:  # prediction from raw files gives the masks that validation gave
        predicted, validated = (nibabel.load(folder / f"{case}.nii.gz") for folder in (tmp_path / "out", validation))
        np.testing.assert_array_equal(np.asarray(predicted.dataobj), np.asarray(validated.dataobj))
        np.testing.assert_array_equal(predicted.affine, validated.affine)
    volumes = pd.read_csv(tmp_path / "out" / "volumes.tsv", sep="\t")
    assert len(volumes) == 2 * len(wanted)

    code, _, err = run_command("evaluate", "-p", tmp_path / "out", "-l", raw / "labelsTr", "--root", trained_root)
    assert code == 0, err
    scored = pd.read_csv(tmp_path / "out" / "metrics.csv")
    stored = pd.read_csv(validation.parent / "metrics.csv")
    pd.testing.assert_frame_equal(
        scored.sort_values(["case", "label"], ignore_index=True),
        stored.sort_values(["case", "label"], ignore_index=True),
    )


def test_a_few_steps_learn_the_blob(workspace: Path, run_command: Command) -> None:
    """With the features of the real networks: four are too few for a short run."""
    settings = [*TINY, "network.feature_size=16", "schedule.steps_per_epoch=30"]
    assert run_command("plan", "--root", workspace, "--device", "cpu", "--set", *settings)[0] == 0
    code, _, err = run_command(
        "train", "Blob", 0, "--root", workspace, "--method", "full", "--steps", 60, "--device", "cpu"
    )
    assert code == 0, err
    metrics = pd.read_csv(workspace / "results" / "Dataset007_Blob" / "full" / "fold_0" / "metrics.csv")
    assert metrics[metrics.label == "mean foreground"].dice.mean() > 0.9


def test_scores_over_subjects_need_to_know_them(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    """Cases that the data set named does not hold are told; a data set of
    other labels than the masks' is refused, and nothing written.
    """
    root = copied(trained_root, tmp_path)
    folder = write_dataset(root, 4, "Dataset008_Test", first=100, per_subject=2)
    masks = tmp_path / "masks"
    shutil.copytree(folder / "labelsTr", masks)
    (masks / "prediction.json").write_text(json.dumps({"dataset": DATASET}))

    def evaluate(dataset: str) -> tuple[int, str, str]:
        return run_command("evaluate", "-p", masks, "-l", folder / "labelsTr", "-d", dataset, "--root", root)

    code, out, err = evaluate("Test")
    assert code == 0 and "4 cases of 2 subjects" in out and err == ""
    code, out, err = evaluate("Blob")
    assert code == 0 and "4 cases of 4 subjects" in out and f"4 of 4 cases not known in {DATASET}" in err
    other = write_dataset(root, 4, "Dataset009_Other", first=100)
    edit_json(other / "dataset.json", lambda data: data.update(labels={"background": 0, "left": 1, "right": 2}))
    code, out, err = evaluate("Other")
    assert code == 0 and "left: Dice 1.0000" in out and "names labels otherwise" in err
    edit_json(other / "dataset.json", lambda data: data.update(labels={"background": 0, "front": 2, "back": 1}))
    before = (masks / "metrics.csv").read_bytes()
    code, _, err = evaluate("Other")
    assert code == 2 and "are not those of the masks" in err and (masks / "metrics.csv").read_bytes() == before
