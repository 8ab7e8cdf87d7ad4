"""Raw data sets in nnU-Net's layout: read whole, or refused with every fault of the listing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hippopt.artifacts.dataset import load_dataset, split_ending
from hippopt.errors import DatasetError

DESCRIPTION: dict[str, Any] = {
    "channel_names": {"0": "T1", "1": "T2"},
    "labels": {"background": 0, "hippocampus_right": 53, "hippocampus_left": 17},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}
FILES = [
    *(f"imagesTr/{case}_000{channel}.nii.gz" for case in "ab" for channel in range(2)),
    "labelsTr/a.nii.gz",
    "labelsTr/b.nii.gz",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cases of two channels; files are listed, not read, so they are empty."""
    root = tmp_path / "Dataset009_Two"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    describe(root)
    return root


def describe(root: Path, **changes: Any) -> None:
    (root / "dataset.json").write_text(
        json.dumps({key: value for key, value in {**DESCRIPTION, **changes}.items() if value is not None})
    )


def test_a_data_set(folder: Path) -> None:
    describe(folder, subjects={"a": "S1", "b": "S1"})
    found = load_dataset(folder)
    assert found.name == "Dataset009_Two" and found.channel_names == ("T1", "T2") and found.file_ending == ".nii.gz"
    assert found.foreground == {"hippocampus_left": 17, "hippocampus_right": 53}
    assert list(found.foreground) == ["hippocampus_left", "hippocampus_right"]  # by value
    assert found.sides == {"hippocampus_left": "left", "hippocampus_right": "right"}
    assert [(case.id, case.subject) for case in found.cases] == [("a", "S1"), ("b", "S1")]
    assert found.cases[0].channels == tuple(str(folder / f"imagesTr/a_000{channel}.nii.gz") for channel in range(2))
    assert found.cases[0].label == str(folder / "labelsTr/a.nii.gz")


def test_a_case_is_its_own_subject_unless_told(folder: Path) -> None:
    assert [case.subject for case in load_dataset(folder).cases] == ["a", "b"]


def test_stated_sides_go_before_names(folder: Path) -> None:
    describe(folder, sides={"hippocampus_left": "right"})
    assert load_dataset(folder).sides["hippocampus_left"] == "right"


def test_hidden_files_and_other_files_are_passed_over(folder: Path) -> None:
    (folder / "imagesTr" / "._a_0000.nii.gz").touch()
    (folder / "labelsTr" / "notes.txt").touch()
    assert len(load_dataset(folder).cases) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channel_names": None}, "missing channel_names"),
        ({"channel_names": {"1": "T1"}}, "channel_names must be"),
        ({"channel_names": {}}, "channel_names must be"),
        ({"labels": {"background": 1, "a": 0}}, '"background": 0'),
        ({"labels": {"background": 0}}, "one besides the background"),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "distinct values"),
        ({"labels": {"background": 0, "a": -1}}, "distinct values from 0"),
        ({"labels": {"background": 0, "a": 70000}}, "65535"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "region-based"),
        ({"labels": {"background": 0, "a": True}}, "one whole number"),
        ({"file_ending": ".jpg"}, "file_ending '.jpg'"),
        ({"numTraining": 3}, "numTraining is 3, but labelsTr holds 2"),
        ({"subjects": {"c": "S1"}}, "subjects names 'c'"),
        ({"subjects": ["a"]}, "subjects must map"),
        ({"sides": {"cortex": "left"}}, "sides: 'cortex'"),
        ({"sides": {"hippocampus_left": "up"}}, "'up'"),
        ({"channel_names": None, "modality": {"0": "MRI"}}, "hippopt_import"),
    ],
    ids=str,
)
def test_faults_of_the_description(folder: Path, change: dict[str, Any], words: str) -> None:
    describe(folder, **change)
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder)
    assert words in str(caught.value) and "dataset.json" in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda root: (root / "imagesTr/a_0001.nii.gz").unlink(), "a_0001.nii.gz: missing"),
        (lambda root: (root / "labelsTr/a.nii.gz").unlink(), "no label a.nii.gz"),
        (lambda root: (root / "imagesTr/a_0002.nii.gz").touch(), "channels 0000 to 0001"),
        (lambda root: (root / "imagesTr/a_0000.nii").touch(), "ambiguous"),
        (lambda root: (root / "labelsTr/A.nii.gz").touch(), "letter case"),
        (lambda root: (root / "labelsTr/b .nii.gz").touch(), "blanks"),
        (
            lambda root: [path.unlink() for name in ("imagesTr", "labelsTr") for path in (root / name).iterdir()],
            "no image file",
        ),
        (lambda root: (root / "labelsTr").rename(root / "labels"), "needs imagesTr and labelsTr"),
        (lambda root: (root / "dataset.json").unlink(), "dataset.json: not found"),
        (lambda root: (root / "dataset.json").write_text("{"), "malformed JSON"),
        (lambda root: (root / "dataset.json").write_text("[]"), "expected an object"),
    ],
)
def test_faults_of_the_listing(folder: Path, edit: Callable[[Path], object], words: str) -> None:
    edit(folder)
    with pytest.raises(DatasetError, match=words):
        load_dataset(folder)


def test_all_faults_are_told_together(folder: Path) -> None:
    (folder / "imagesTr/a_0001.nii.gz").unlink()
    (folder / "labelsTr/b.nii.gz").unlink()
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder)
    assert len(str(caught.value).splitlines()) == 3  # one channel of a, and two images without label


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.nii.gz", ("a", ".nii.gz")),
        ("a.b.NII.GZ", ("a.b", ".NII.GZ")),
        ("a.nii", ("a", ".nii")),
        ("a.mha", ("a", ".mha")),
        ("a.txt", None),
        ("a.gz", None),
    ],
)
def test_endings(name: str, parts: tuple[str, str] | None) -> None:
    assert split_ending(name) == parts
