"""hippopt_correct: masks that a person corrected become cases of the data set, and the plan takes them into
its folds.
"""

import json
import shutil
from pathlib import Path

import msgspec
import nibabel
import numpy as np
import pytest

from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Plan
from tests.synthetic import TINY, Command, blob_case, read_mask, run_plan, save_nifti, write_dataset
from tests.trained import DATASET, assert_stopped, contents, copied, plan_path


@pytest.fixture(scope="module")
def planned_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that is planned. Read-only by convention."""
    from hippopt.cli import plan

    root = tmp_path_factory.mktemp("planned")
    write_dataset(root)
    assert plan.main(["--root", str(root), "--device", "cpu", "--set", *TINY]) == 0
    return root


def corrected(
    folder: Path, number: int, name: str, decimal: bool = False, reoriented: bool = False, shift: int = 0
) -> None:
    """A scan under `folder`/scans and its corrected mask under `folder`/masks."""
    image, label = blob_case(number)
    label = np.roll(label, shift, 0)
    affine = np.eye(4)
    save_nifti(folder / "scans" / f"{name}.nii.gz", image)
    if reoriented:  # as a program that turns all it opens
        label, affine = label[::-1], np.diag([-1.0, 1, 1, 1])
        affine[0, 3] = label.shape[0] - 1
    save_nifti(folder / "masks" / f"{name}.nii.gz", label.astype(np.float32) if decimal else label, affine)


def correct(run_command: Command, root: Path, folder: Path, *more: object) -> tuple[int, str, str]:
    return run_command("correct", "Blob", "--root", root, "-i", folder / "scans", "-p", folder / "masks", *more)


def load(root: Path) -> tuple[Plan, Fingerprint]:
    path = plan_path(root)
    return msgspec.json.decode(path.read_bytes(), type=Plan), msgspec.json.decode(
        path.with_name("fingerprint.json").read_bytes(), type=Fingerprint
    )


def test_new_and_changed_masks_join_the_data_set_and_its_folds(
    planned_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root, given = copied(planned_root, tmp_path), tmp_path / "given"
    old_plan, old_fingerprint = load(root)
    corrected(given, 50, "later_1", decimal=True, reoriented=True)
    corrected(given, 51, "later_2")
    corrected(given, 2, "same_scan_as_case_2", shift=1)
    save_nifti(given / "scans" / "not_corrected.nii.gz", blob_case(52)[0])
    save_nifti(tmp_path / "predicted" / "later_2.nii.gz", np.roll(blob_case(51)[1], 1, 0))
    table = tmp_path / "subjects.tsv"
    table.write_text("case\tsubject\nlater_1\tS03\nlater_2\tS77\n")
    code, out, err = correct(
        run_command, root, given, "--overwrite", "--subjects", table, "--predicted", tmp_path / "predicted"
    )
    assert code == 0, err
    assert (
        "same_scan_as_case_2 (the scan of case_002): changed; against its label in the data set: front Dice 0." in out
    )
    assert "later_2: new; against the earlier mask: front Dice 0." in out and "2 new cases, 1 replaced" in out
    raw = root / "raw_data" / DATASET
    assert np.array_equal(read_mask(raw / "labelsTr" / "later_1.nii.gz"), blob_case(50)[1])
    assert np.array_equal(read_mask(raw / "labelsTr" / "case_002.nii.gz"), np.roll(blob_case(2)[1], 1, 0))
    assert not (raw / ".corrected").exists() and not (raw / "labelsTr" / "not_corrected.nii.gz").exists()
    meta = json.loads((raw / "dataset.json").read_text())
    assert meta["numTraining"] == 8 and meta["subjects"]["later_1"] == "S03"

    code, out, err = run_command("plan", "--root", root, "--device", "cpu")
    assert code == 0, err
    assert "2 new cases" in out and "1 corrected case" in out and "preprocessed 3 cases, kept 5" in out
    plan, fingerprint = load(root)
    known = {case.id for case in old_fingerprint.cases}
    for before, after in zip(old_plan.folds, plan.folds, strict=True):
        assert set(after.train) & known == set(before.train) and set(after.val) & known == set(before.val)
        assert {"later_1", "later_2"} <= set(after.train) | set(after.val)
        assert ("later_1" in after.val) == ("case_003" in after.val)  # one subject
    assert [fold.val for fold in plan.folds if "later_2" in fold.val] and sum(
        "later_2" in fold.val for fold in plan.folds
    ) == 1
    assert msgspec.structs.replace(plan, folds=(), fingerprint_hash="") == msgspec.structs.replace(
        old_plan, folds=(), fingerprint_hash=""
    )
    assert "made for 6 cases" in out and f"folds: {len(plan.folds)}, of 8 cases -- {old_plan.reasons['folds']}" in out
    by_id = {case.id: case for case in fingerprint.cases}
    unchanged = [
        case for case in old_fingerprint.cases if case.id != "case_002"
    ]  # but for the paths: the workspace is a copy
    assert all(
        msgspec.structs.replace(by_id[case.id], files=()) == msgspec.structs.replace(case, files=())
        for case in unchanged
    )


def test_what_is_there_is_replaced_only_on_request_and_nothing_is_half_done(
    workspace: Path, run_command: Command
) -> None:
    root, given = workspace, workspace / "given"
    corrected(given, 1, "case_001", shift=1)
    corrected(given, 60, "fresh")
    before = contents(root / "raw_data")
    outcome = correct(run_command, root, given)
    assert_stopped(outcome, "case_001", "--overwrite", code=1)
    assert "fresh: new" in outcome[1] and "case_001: changed" in outcome[1]
    assert contents(root / "raw_data") == before
    assert correct(run_command, root, given, "--overwrite")[0] == 0
    assert "0 new cases, 0 replaced, 2 as they were" in correct(run_command, root, given)[1]


@pytest.mark.parametrize(("factor", "added"), [(3.0, 0.0), (1.0, 0.4)])
def test_masks_with_faults_change_nothing(workspace: Path, run_command: Command, factor: float, added: float) -> None:
    root, given = workspace, workspace / "given"
    corrected(given, 60, "good")
    corrected(given, 61, "bad")
    save_nifti(given / "masks" / "bad.nii.gz", factor * blob_case(61)[1].astype(np.float32) + np.float32(added))
    before = contents(root / "raw_data")
    assert_stopped(correct(run_command, root, given), "bad.nii.gz", "nothing was changed", code=1)
    assert contents(root / "raw_data") == before


@pytest.mark.parametrize("fault", ["affine", "values"])
def test_a_fault_names_the_users_own_file_and_a_remedy_that_helps(
    workspace: Path, run_command: Command, fault: str
) -> None:
    """Staged copies are gone when the line is read, and a mask that was refused is nowhere that planning looks."""
    given = workspace / "given"
    corrected(given, 50, "later")
    mask = given / "masks" / "later.nii.gz"
    moved = np.array([[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    label = blob_case(50)[1]
    save_nifti(mask, label * 3 if fault == "values" else label, None if fault == "values" else moved)
    code, _, err = correct(run_command, workspace, given)
    assert code == 1 and str(mask) in err and ".building" not in err and "labelsTr" not in err
    assert "--fix-headers" not in err and "--labels" not in err
    assert ("correct the mask" if fault == "values" else "save the mask in the space of its scan") in err


def test_a_mask_without_scan_and_a_scan_under_anothers_name_are_refused(workspace: Path, run_command: Command) -> None:
    root, given = workspace, workspace / "given"
    corrected(given, 1, "case_002")
    assert_stopped(correct(run_command, root, given), "is the scan of case_001", code=1)
    nibabel.save(nibabel.load(given / "masks" / "case_002.nii.gz"), given / "masks" / "no_such_scan.nii.gz")
    assert_stopped(correct(run_command, root, given), "no_such_scan", "no image of this name", code=1)


def test_a_plan_whose_data_changed_otherwise_is_still_refused(
    planned_root: Path, tmp_path: Path, run_command: Command
) -> None:
    root, given = copied(planned_root, tmp_path), tmp_path / "given"
    corrected(given, 60, "fresh")
    assert correct(run_command, root, given)[0] == 0
    label = blob_case(1)[1]
    save_nifti(root / "raw_data" / DATASET / "labelsTr" / "case_001.nii.gz", np.roll(label, 1, 0))
    assert_stopped(run_plan(run_command, root), "hash", "--overwrite", code=1)


@pytest.mark.parametrize(("left", "word"), [("full_data", "full-data"), ("fold_1", "all")])
def test_the_next_command_goes_on_from_what_is_trained(
    trained_root: Path, tmp_path: Path, run_command: Command, left: str, word: str
) -> None:
    root, given = copied(trained_root, tmp_path), tmp_path / "given"
    run = root / "results" / DATASET / "full"
    if left == "full_data":
        (run / "fold_1").rename(run / "full_data")
    shutil.rmtree(run / "fold_0")
    corrected(given, 50, "later_1")
    code, said, _ = correct(run_command, root, given)
    assert code == 0 and f"then hippopt_train Blob {word} --continue-from full" in said
    code, said, err = run_plan(run_command, root, "--device", "cpu")
    assert code == 0 and f"next: hippopt_train Blob {word} --continue-from full" in said, err
