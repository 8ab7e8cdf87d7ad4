"""Scans without labels are learned from: segmented by a run, prepared, trained on, kept and gone on with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hippopt.inference import flags, sure_scans
from hippopt.inference.volume_table import VOLUMES, read_volumes
from tests.synthetic import Command, blob_case, save_nifti, volumes, write_scans
from tests.trained import (
    assert_same_tensors,
    assert_stopped,
    copied,
    edit_json,
    fold_path,
    run_path,
    signal_at,
    train_arguments,
)

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(autouse=True)
def specks_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of six steps see specks everywhere, which would leave every scan out."""
    monkeypatch.setattr(sure_scans, "DOUBTFUL", (flags.SEEN,))


def made(root: Path, run: str = "full-unlabelled") -> Path:
    """Where masks and arrays of the scans without labels lie."""
    (folder,) = (run_path(root, run) / "unlabelled").iterdir()
    return folder


def arguments(root: Path, scans: Path, *more: object, fold: str = "full-data") -> list[str]:
    return train_arguments(root, "--base", "none", "--unlabelled", scans, *more, fold=fold, steps=4)


def test_the_whole_way(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    """Both networks' masks of each scan that is sure enough are drawn from, and the run says of whom."""
    root = copied(trained_root, tmp_path)
    scans = write_scans(tmp_path / "scans", *(f"new_{k}.nii.gz" for k in range(6)))
    code, out, err = run_command("train", *arguments(root, scans))
    assert code == 0, err
    folder = made(root)
    table = volumes(folder / "teacher")
    assert set(table.scan) == {f"new_{k}" for k in range(6)}
    assert "scans without labels are segmented by run full, fold 0 1" in out
    learned = {path.stem for path in (folder / "images").glob("*.json")}
    assert learned and learned == set(table.scan) - set(
        sure_scans.doubtful_scans(read_volumes(folder / "teacher" / VOLUMES))
    )
    assert f"learning from {len(learned)} scan" in out and "of up to 2 networks" in out
    for name in learned:
        image, *labels = (np.load(folder / kind / f"{name}.npy") for kind in ("images", "masks_0", "masks_1"))
        assert image.shape[1:] == labels[0].shape == labels[1].shape
    card = json.loads((run_path(root, "full-unlabelled") / "full_data" / "adapter.json").read_text())
    own = {
        case["image_hash"]
        for case in json.loads((root / "plans/Dataset007_Blob/fingerprint.json").read_text())["cases"]
    }
    assert len(set(card["seen_images"]) - own) == len(learned) and own <= set(card["seen_images"])
    assert card["settings"]["unlabelled"]
    plan = json.loads((run_path(root, "full-unlabelled") / "plan.json").read_text())
    assert plan["augmentation"]["p_gamma"] == 0.5

    # what it has learned from is told when it is predicted
    out_folder = tmp_path / "masks"
    code, _, err = run_command(
        "predict", "-i", scans, "-o", out_folder, "--root", root, "--run", "full-unlabelled", "--device", "cpu"
    )
    assert code == 0, err
    told = {str(row.scan) for row in volumes(out_folder).itertuples() if "seen in training" in str(row.flag)}
    assert told == learned


def test_stopped_and_gone_on_with_it_is_the_same(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", *(f"new_{k}.nii.gz" for k in range(4)))
    whole, stopped = (copied(trained_root, tmp_path / name) for name in ("whole", "stopped"))
    assert run_command("train", *arguments(whole, scans))[0] == 0
    with signal_at(2):
        assert run_command("train", *arguments(stopped, scans))[0] == 143
    stopped = copied(stopped, tmp_path / "elsewhere")  # a copied workspace goes on too
    masks = made(stopped) / "teacher"
    before = {path: path.stat().st_mtime_ns for path in masks.glob("*.nii.gz")}
    code, out, err = run_command("train", *arguments(stopped, scans, "--resume"))
    assert code == 0 and "resumed at step 2" in out and "kept 4" in out, err
    assert before and before == {path: path.stat().st_mtime_ns for path in masks.glob("*.nii.gz")}
    assert_same_tensors(
        *(run_path(root, "full-unlabelled") / "full_data" / "adapter.safetensors" for root in (stopped, whole))
    )


def test_what_cannot_be_is_refused(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "new.nii.gz")
    root = copied(trained_root, tmp_path)
    assert_stopped(run_command("train", *arguments(root, scans, fold="0")), "with full-data, not with fold 0", code=2)
    assert_stopped(
        run_command("train", *arguments(root, scans, "--continue-from", "full")), "not with --continue-from", code=2
    )
    assert_stopped(
        run_command("train", *arguments(root, scans, "--teacher", "full-unlabelled")),
        "is the run that is to be",
        code=2,
    )
    assert_stopped(run_command("train", *arguments(root, scans, "--teacher", "none")), "no finished fold in", code=2)
    assert_stopped(run_command("train", *train_arguments(root, "--teacher", "full")), "give both", code=2)
    assert_stopped(run_command("train", *arguments(root, tmp_path / "nowhere")), "nowhere", code=1)
    bare = copied(trained_root, tmp_path / "bare", results=False)
    assert_stopped(run_command("train", *arguments(bare, scans)), "nothing is trained yet", "hippopt_train Blob all")
    assert not (run_path(root, "full-unlabelled") / "full_data").exists()


def test_no_sure_scan_is_one_line(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    scans = tmp_path / "scans"
    first = next((root / "raw_data" / "Dataset007_Blob" / "imagesTr").iterdir())
    scans.mkdir()
    (scans / "again_0000.nii.gz").write_bytes(first.read_bytes())  # the teacher has its label already
    outcome = run_command("train", *arguments(root, scans))
    assert_stopped(outcome, "no scan is left to learn from, of 1", VOLUMES, code=2)
    assert "again: left out: seen in training" in outcome[1]


def test_masks_of_other_scans_or_networks_are_never_taken(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    """Scans that change under their names are segmented anew, and so are all by a teacher that changed."""
    root = copied(trained_root, tmp_path)
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "a_masks_0.nii.gz")
    assert run_command("train", *arguments(root, scans))[0] == 0
    first = made(root)
    save_nifti(scans / "a.nii.gz", blob_case(300, (20, 24, 16))[0])
    code, out, err = run_command("train", *arguments(root, scans, "--overwrite"))
    assert code == 0 and "segmented 2, kept 0" in out, err
    (second,) = set((run_path(root, "full-unlabelled") / "unlabelled").iterdir()) - {first}
    assert np.load(second / "images" / "a.npy").shape != np.load(first / "images" / "a.npy").shape
    shutil.rmtree(fold_path(root, 1))
    code, out, err = run_command("train", *arguments(root, scans, "--overwrite"))
    assert code == 0 and "by run full, fold 0" in out and out.count("segmented 2") == 1, "one network, segmented once"


def test_a_teacher_of_other_labels_is_refused(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    edit_json(run_path(root) / "plan.json", lambda data: data["labels"].update(front=2, back=1))
    assert_stopped(
        run_command("train", *arguments(root, scans)), "--teacher full: was trained for other labels", code=2
    )


def test_scripts_that_could_not_run_are_not_written(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans, script = write_scans(tmp_path / "scans", "a.nii.gz"), tmp_path / "job.sh"
    for more, words in ((["--unlabelled", scans], "with full-data"), (["--kernels"], "--kernels: full has no factors")):
        outcome = run_command("train", *train_arguments(trained_root, *more, "--slurm", script, fold="all"))
        assert_stopped(outcome, words)
    assert not script.exists()


def test_factors_on_kernels_have_a_name_of_their_own(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    root = copied(trained_root, tmp_path)
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    found = train_arguments(
        root, "--base", fold_path(root), "--allow-seen", "--kernels", "--unlabelled", scans, fold="full-data",
        method="lora-pt",
    )  # fmt: skip
    code, _, err = run_command("train", *found)
    assert code == 0 and (run_path(root, "lora-pt-r8-kernels-unlabelled") / "full_data" / "adapter.json").exists(), err
