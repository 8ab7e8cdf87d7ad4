"""No command writes over a file that it reads, whatever links or further names lead to it."""

import os
from pathlib import Path

import pytest

from hippopt.artifacts.distinct_paths import lies_in, overwritten, written_twice
from tests.import_sources import write_pair
from tests.synthetic import Command, blob_case, run_predict, save_nifti, write_scans
from tests.trained import DATASET, contents


def linked(path: Path, to: Path, kind: str) -> None:
    """`path` leads to the scan `to`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "hard link":
        os.link(to, path)
    elif kind == "link over a link":
        (to.parent / "between.nii.gz").symlink_to(to.name)
        path.symlink_to(to.parent / "between.nii.gz")
    elif kind == "relative link":
        path.symlink_to(os.path.relpath(to, path.parent))
    else:
        path.symlink_to(to)


@pytest.mark.parametrize("kind", ["link", "relative link", "hard link", "link over a link"])
def test_row_84_prediction(trained_root: Path, tmp_path: Path, run_command: Command, kind: str) -> None:
    study = write_scans(tmp_path / "study", "p1.nii.gz")
    linked(tmp_path / "todo/p1.nii.gz", study / "p1.nii.gz", kind)
    before = contents(tmp_path)
    for source in (tmp_path / "todo", tmp_path / "todo/p1.nii.gz"):
        for more in ((), ("--overwrite",)):
            code, _, err = run_predict(run_command, trained_root, source, study, *more)
            assert code == 1 and "p1.nii.gz would be written over" in err and "which is read" in err, err
            assert contents(tmp_path) == before


def test_row_84_prediction_over_a_link_on_the_way(tmp_path: Path) -> None:
    scan = save_nifti(tmp_path / "a/scan.nii.gz", blob_case(0)[0])
    (tmp_path / "b").mkdir()
    (tmp_path / "b/scan.nii.gz").symlink_to(scan)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/scan.nii.gz").symlink_to(tmp_path / "b/scan.nii.gz")
    for folder in "abc":
        assert overwritten([tmp_path / folder / "scan.nii.gz"], [tmp_path / "c/scan.nii.gz"]) is not None
    assert overwritten([tmp_path / "d/scan.nii.gz", tmp_path / "a/other.nii.gz"], [tmp_path / "c/scan.nii.gz"]) is None
    assert lies_in(tmp_path / "c/scan.nii.gz", tmp_path / "a") and not lies_in(
        tmp_path / "a/scan.nii.gz", tmp_path / "b"
    )
    assert written_twice([Path("x/a.nii.gz"), Path("x/b.nii.gz"), Path("x/A.nii.gz")]) == Path("x/A.nii.gz")


def test_row_84_evaluation(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    labels, before = folder / "labelsTr", contents(workspace)
    for output in (labels / "case_000.nii.gz", folder / "dataset.csv", folder / "dataset.json"):
        code, _, err = run_command("evaluate", "-p", labels, "-l", labels, "-o", output)
        assert code == 1 and "which is read; choose another name" in err, err
        assert contents(workspace) == before


def test_row_84_import_into_what_it_reads(tmp_path: Path, run_command: Command) -> None:
    write_pair(tmp_path / "s")
    root = tmp_path / "w"
    command = ("import_dataset", "--id", 1, "--name", "T", "--root", root)
    assert run_command(*command, tmp_path / "s")[0] == 0
    kept = root / "raw_data/Dataset001_T"
    view = tmp_path / "view"
    for kind, inner in (("images", "imagesTr"), ("labels", "labelsTr")):
        (view / kind).mkdir(parents=True)
        for path in (kept / inner).iterdir():
            (view / kind / path.name.replace("_0000", "")).symlink_to(path)
    before = contents(kept)
    sources = ((view,), ("--images", kept / "imagesTr", "--labels-dir", kept / "labelsTr"))
    for source in sources:
        code, _, err = run_command(*command, *source, "--overwrite")
        assert code == 2 and "which the import would replace" in err, err
        assert contents(kept) == before
    (kept / "people.tsv").write_text("case\tsubject\ncase_0\tA\n")
    code, _, err = run_command(*command, tmp_path / "s", "--overwrite", "--subjects", kept / "people.tsv")
    assert code == 2 and "people.tsv" in err
