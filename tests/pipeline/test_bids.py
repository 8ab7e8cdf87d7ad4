"""hippopt_bids on a small BIDS data set: which scans it takes, what it writes, and what the BIDS validator
says of it.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import pandas as pd
import pytest

from hippopt.errors import UsageError
from hippopt.files.bids_layout import BidsRequest, bids_scans, derivative_name
from tests.synthetic import Command, blob_case, read_mask, save_nifti

SCANS = (
    "sub-01/ses-a/anat/sub-01_ses-a_run-1_T1w",
    "sub-01/ses-a/anat/sub-01_ses-a_run-2_T1w",
    "sub-01/ses-b/anat/sub-01_ses-b_T1w",
    "sub-02/anat/sub-02_acq-hires_T1w",
)


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two participants, sessions, runs, a T2w, and a T1w under derivatives that is none of the data set's."""
    root = tmp_path_factory.mktemp("bids")
    for number, name in enumerate(
        (*SCANS, "sub-01/ses-a/anat/sub-01_ses-a_T2w", "derivatives/other/sub-03/anat/sub-03_T1w")
    ):
        save_nifti(root / f"{name}.nii.gz", blob_case(100 + number)[0])
    (root / "dataset_description.json").write_text(
        json.dumps({"Name": "Blobs", "BIDSVersion": "1.10.0", "DatasetType": "raw"})
    )
    (root / "participants.tsv").write_text("participant_id\nsub-01\nsub-02\n")
    return root


@pytest.fixture(scope="module")
def derived(bids: Path, trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes of the level participant, and then group, make of it."""
    from hippopt.cli.bids import main

    out = tmp_path_factory.mktemp("derived") / "out"
    common = [str(bids), str(out), "--root", str(trained_root), "--model", "Blob/full", "--device", "cpu"]
    for label in ("02", "sub-01"):
        maps = ["--save-probabilities", "--save-uncertainty"] if label == "02" else []
        assert main([*common[:2], "participant", *common[2:], "--participant-label", label, *maps]) == 0
    assert main([*common[:2], "group", *common[2:]]) == 0
    return out


def test_scans_are_found_by_their_names(bids: Path, tmp_path: Path) -> None:
    found = bids_scans(BidsRequest(bids), tmp_path)
    assert [files.id for files in found] == sorted(Path(name).name.removesuffix("_T1w") for name in SCANS)
    assert [files.id for files in bids_scans(BidsRequest(bids, ("01",), ("b",)), tmp_path)] == ["sub-01_ses-b"]
    assert [files.id for files in bids_scans(BidsRequest(bids, suffix="T2w"), tmp_path)] == ["sub-01_ses-a"]
    assert derivative_name("sub-1_chunk-2", "dseg") == "sub-1_space-orig_chunk-2_seg-hippopt_dseg.nii.gz"


def test_labels_that_are_not_there_are_named(bids: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--session-label zz: no such session"):
        bids_scans(BidsRequest(bids, sessions=("a", "zz")), tmp_path)
    assert len(bids_scans(BidsRequest(bids, ("01", "02"), ("b",)), tmp_path)) == 1  # 02 has no sessions
    shutil.copytree(bids / "sub-01", (root := tmp_path / "more") / "sub-01")
    shutil.copy(bids / "dataset_description.json", root)
    save_nifti(root / "sub-04/ses-a/anat/sub-04_ses-a_T1w.nii.gz", blob_case(1)[0])
    assert len(bids_scans(BidsRequest(root, ("04",), ("a", "b")), tmp_path)) == 1  # who did not come to b
    with pytest.raises(UsageError, match=r"T1w\.nii\.gz of sub-02 in session a"):
        bids_scans(BidsRequest(bids, ("02",), ("a",)), tmp_path)
    with pytest.raises(UsageError, match="--participant-label 09"):
        bids_scans(BidsRequest(bids, ("01", "09")), tmp_path)


def test_one_scan_in_two_files_is_a_fault_of_that_scan_alone(bids: Path, tmp_path: Path) -> None:
    root = shutil.copytree(bids, tmp_path / "bids")
    name = f"{SCANS[3]}.nii"
    save_nifti(root / name, blob_case(1)[0])
    found = {files.id: files.fault for files in bids_scans(BidsRequest(root), tmp_path)}
    assert len(found) == 4 and "sub-02_acq-hires_T1w.nii and" in (found.pop("sub-02_acq-hires") or "")
    assert set(found.values()) == {None}


def test_one_participant_made_anew_is_not_mixed_with_masks_of_other_networks(
    bids: Path, derived: Path, trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    out = shutil.copytree(derived, tmp_path / "out")
    common = ("--root", trained_root, "--model", "Blob/full", "--device", "cpu", "-f", 0, "--overwrite")
    code, _, err = run_command("bids", bids, out, "participant", *common, "--participant-label", "02")
    assert code == 1 and "3 masks of other scans" in err and "would mix them" in err
    for mask in out.glob("sub-01/**/*_dseg.nii.gz"):
        mask.unlink()
    assert run_command("bids", bids, out, "participant", *common, "--participant-label", "02")[0] == 0
    assert run_command("bids", bids, out, "participant", *common)[0] == 0


def test_every_t1w_has_its_segmentation(bids: Path, derived: Path) -> None:
    masks = sorted(path.relative_to(derived) for path in derived.rglob("*_dseg.nii.gz"))
    assert [str(path) for path in masks] == sorted(
        name.removesuffix("T1w") + "space-orig_seg-hippopt_dseg.nii.gz" for name in SCANS
    )
    for path in masks:
        scan = nibabel.load(bids / str(path).replace("space-orig_seg-hippopt_dseg", "T1w"))
        assert (
            read_mask(derived / path).shape == scan.shape and (nibabel.load(derived / path).affine == scan.affine).all()
        )
    maps = sorted(path.name for path in derived.rglob("*_probseg.nii.gz"))
    assert maps == [f"sub-02_acq-hires_space-orig_seg-hippopt_{name}probseg.nii.gz" for name in ("desc-entropy_", "")]
    look_up = pd.read_csv(derived / "seg-hippopt_dseg.tsv", sep="\t")
    assert look_up[["index", "name", "abbreviation"]].values.tolist() == [[1, "front", "F"], [2, "back", "B"]]
    assert look_up.color.str.fullmatch("#[0-9a-f]{6}").all()


def test_the_group_has_a_row_a_participant(derived: Path) -> None:
    table = pd.read_csv(
        derived / "phenotype" / "hippocampus.tsv", sep="\t", dtype=str, keep_default_na=False
    ).set_index("participant_id")
    assert list(table.index) == ["sub-01", "sub-02"]
    about = json.loads((derived / "phenotype" / "hippocampus.json").read_text())
    assert (
        set(table.columns) == set(about) - {"MeasurementToolMetadata"}
        and about["ses-b_front_volume_mm3"]["Units"] == "mm^3"
    )
    assert table.loc["sub-02", "ses-b_front_volume_mm3"] == "n/a"
    for participant, scan, label, value in (("sub-01", "ses-a_run-2", "front", 1), ("sub-02", "acq-hires", "back", 2)):
        path = next(derived.rglob(f"{participant}_{scan}_space-orig_seg-hippopt_dseg.nii.gz"))
        assert float(table.loc[participant, f"{scan}_{label}_volume_mm3"]) == (read_mask(path) == value).sum()
    assert "sub-02_acq-hires" in (derived / "report.html").read_text()
    long = pd.read_csv(derived / "volumes.tsv", sep="\t", dtype=str)
    assert len(long) == 2 * len(SCANS) and long.scan.nunique() == len(SCANS)


def test_the_validator_finds_no_error(bids: Path, derived: Path) -> None:
    package = importlib.util.find_spec("bids_validator_deno")
    if package is None or package.origin is None:
        pytest.skip("bids-validator-deno is not installed (pip install '.[dev]')")
    places = (
        Path(sys.executable).parent,
        Path(package.origin).parents[4] / "bin",
        *os.environ["PATH"].split(os.pathsep),
    )
    program = shutil.which("bids-validator-deno", path=os.pathsep.join(map(str, places)))
    if program is None:
        pytest.skip("bids-validator-deno is installed without its command")
    for folder in (bids, derived):
        said = subprocess.run([program, "--json", folder], capture_output=True, text=True, check=False)
        if not said.stdout.startswith("{"):
            pytest.skip(f"bids-validator-deno does not run here: {said.stderr.strip()[-200:]}")
        issues = json.loads(said.stdout)["issues"]["issues"]
        assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_what_is_missing_and_what_fails_is_said(
    bids: Path, trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    copy, out = shutil.copytree(bids, tmp_path / "bids"), tmp_path / "out"
    common = ("bids", copy, out)
    more = ("--root", trained_root, "--device", "cpu")
    code, _, err = run_command(*common, "group", *more)
    assert code == 1 and "participant first" in err
    (copy / "sub-02/anat/sub-02_acq-hires_T1w.nii.gz").write_bytes(b"text")
    code, _, err = run_command(*common, "participant", *more, "--participant-label", "02")
    assert code == 1 and "sub-02_acq-hires: skipped" in err
    code, said, err = run_command(*common, "group", *more)
    assert code == 1 and "sub-01_ses-b: missing" in err and "0 scans segmented, 1 failed, 3 missing" in said
    assert "sub-02_acq-hires" in (out / "failures.tsv").read_text()
    for arguments, words in (
        (("bids", copy, copy, "participant"), "the data set itself"),
        (("bids", tmp_path, out, "participant"), "no dataset_description.json"),
        ((*common, "participant", "--participant-label", "77"), "--participant-label 77: not in"),
        ((*common, "participant", "--suffix", "FLAIR"), "no *_FLAIR.nii.gz"),
        ((*common, "participant", "--model", "nothing"), "--model nothing: no file"),
    ):
        code, _, err = run_command(*arguments, *more)
        assert code in (1, 2) and words in err, err
