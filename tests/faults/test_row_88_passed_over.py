"""Scans in a folder that are not read (in subfolders, as DICOM slices, of
other formats) are counted and named, with the way to have them read.
"""

import gzip
from pathlib import Path

import pytest

from hippopt.errors import DatasetError
from hippopt.files.scan_listing import list_scans
from hippopt.inference.label_tables import FREESURFER, ITK_SNAP, SLICER
from tests.import_sources import write_pair
from tests.synthetic import Command, write_scans

DICOM = bytes(128) + b"DICM" + bytes(300)


def filled(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


OTHERS = {
    "subfolders": (
        {"p2/two.nii.gz": b"x", "p3/deep/three.nrrd": b"x"},
        "2 image files in subfolders (p2/two.nii.gz, ...)",
    ),
    "a BIDS root": (
        {"sub-01/anat/sub-01_T1w.nii.gz": b"x", "README": b"x"},
        "1 image files in subfolders (sub-01/anat/sub-01_T1w.nii.gz)",
    ),
    "DICOM without ending": ({f"IM{k:04d}": DICOM for k in range(100)}, "100 files (IM0000, ...) of DICOM slices"),
    "DICOM": (
        {"a.dcm": DICOM, "b.IMA": DICOM},
        "2 files (a.dcm, ...) of DICOM slices passed over; convert each series to NIfTI first: dcm2niix",
    ),
    "DICOM in subfolders": ({"1/a.dcm": DICOM}, "1 image files in subfolders (1/a.dcm)"),
    "a packed pair": (
        {"a.img.gz": gzip.compress(b"x"), "a.hdr.gz": b"x"},
        "2 files (a.hdr.gz, ...) passed over: compressed Analyze",
    ),
    "MINC": ({"a.mnc": b"x"}, "1 file (a.mnc) passed over: MINC files"),
    "archives": ({"study.zip": b"PK"}, "1 file (study.zip) passed over: archives; unpack them"),
    "notes": ({"notes.txt": b"x"}, "1 file (notes.txt) that are no images ignored"),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("alone", [True, False])
def test_row_88_prediction(tmp_path: Path, kind: str, alone: bool) -> None:
    files, words = OTHERS[kind]
    folder = filled(tmp_path / "in", files)
    if alone:
        with pytest.raises(DatasetError) as caught:
            list_scans(folder, ["T1"])
        assert words in str(caught.value)
    else:
        write_scans(folder, "one.nii.gz")
        scans, notes = list_scans(folder, ["T1"])
        assert [scan.id for scan in scans] == ["one"] and any(words in note for note in notes)


def test_row_88_voxels_beside_their_header_are_no_others(tmp_path: Path) -> None:
    folder = filled(tmp_path, {"a.mhd": b"x", "a.zraw": b"x", "b.nhdr": b"x", "b.raw.gz": b"x"})
    assert list_scans(folder, ["T1"])[1] == []


def test_row_88_what_we_write_beside_masks_is_no_other(tmp_path: Path) -> None:
    folder = filled(write_scans(tmp_path, "one.nii.gz"), dict.fromkeys((ITK_SNAP, SLICER, FREESURFER), b"x"))
    assert list_scans(folder, ["T1"])[1] == []


def test_row_88_import_planning_and_evaluation(tmp_path: Path, run_command: Command) -> None:
    filled(write_pair(tmp_path / "s") / "labels", {"more/x.nii.gz": b"x"})
    filled(tmp_path / "s/images", {"IM0001": DICOM})
    code, _, err = run_command("import_dataset", tmp_path / "s", "--id", 1, "--name", "T", "--root", tmp_path / "w")
    assert code == 0 and "more/x.nii.gz" in err and "DICOM" in err
    filled(tmp_path / "w/raw_data/Dataset001_T/labelsTr", {"a.mnc": b"x"})
    assert "a.mnc" in run_command("plan", "T", "--root", tmp_path / "w", "--verify-only")[2]
    labels = tmp_path / "s/labels"
    code, _, err = run_command("evaluate", "-p", labels, "-l", labels)
    assert code == 0 and "more/x.nii.gz" in err
    filled(tmp_path / "bids", {"sub-01/anat/sub-01_T1w.nii.gz": b"x"})
    code, _, err = run_command("import_dataset", tmp_path / "bids", "--id", 2, "--name", "U", "--root", tmp_path / "w")
    assert code == 1 and "sub-01/anat/sub-01_T1w.nii.gz" in err
    (tmp_path / "e").mkdir()
    code, _, err = run_command("evaluate", "-p", filled(tmp_path / "e", {"IM1": DICOM}), "-l", labels)
    assert code == 1 and "DICOM" in err
