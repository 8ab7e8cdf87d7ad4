"""Which cases a folder holds. Only names matter, so the files are empty."""

import json
from pathlib import Path

import pytest

from hippopt.errors import DatasetError
from hippopt.sources.layouts import list_source
from hippopt.sources.source_cases import Source, clashing_ids


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def describe(folder: Path, **description: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def listed(source: Source) -> dict[str, list[str]]:
    return {case.id: [path.name for path in (*case.images, case.label)] for case in source.cases}


@pytest.mark.parametrize(
    ("images", "labels"),
    [("images", "labels"), ("imagesTr", "labelsTr"), ("img", "mask"), ("Image", "Segmentations"), ("imgs", "masks")],
)
def test_pairs_of_folders(tmp_path: Path, images: str, labels: str) -> None:
    touch(tmp_path, f"{images}/a.nii.gz", f"{images}/b.nii", f"{labels}/a.mha", f"{labels}/b.nii.gz", "readme.txt")
    source = list_source(tmp_path)
    assert listed(source) == {"a": ["a.nii.gz", "a.mha"], "b": ["b.nii", "b.nii.gz"]}
    assert source.faults == [] and source.notes == []
    assert source.description.labels is None


def test_channels_are_grouped_and_ids_may_end_in_four_digits(tmp_path: Path) -> None:
    touch(tmp_path / "two", "images/a_0000.nii.gz", "images/a_0001.nii.gz", "labels/a.nii.gz")
    assert listed(list_source(tmp_path / "two")) == {"a": ["a_0000.nii.gz", "a_0001.nii.gz", "a.nii.gz"]}
    touch(
        tmp_path / "one", "images/case_0001.nii", "labels/case_0001.nii", "images/case_0002.nii", "labels/case_0002.nii"
    )
    assert listed(list_source(tmp_path / "one")) == {f"case_000{n}": [f"case_000{n}.nii"] * 2 for n in (1, 2)}


def test_a_header_and_its_voxels_are_one_image(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.hdr", "images/a.img", "labels/a.hdr", "labels/a.img")
    assert listed(list_source(tmp_path)) == {"a": ["a.img", "a.img"]}


def test_case_folders(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "sub1/sub1_img.nii.gz",
        "sub1/sub1_mask.nii.gz",
        "x y/x y_image_0000.nrrd",
        "x y/x y_seg.nrrd",
        "notes/readme.txt",
    )
    assert listed(list_source(tmp_path)) == {
        "sub1": ["sub1_img.nii.gz", "sub1_mask.nii.gz"],
        "x y": ["x y_image_0000.nrrd", "x y_seg.nrrd"],
    }


def test_a_case_folder_without_mask_is_a_fault_of_that_case(tmp_path: Path) -> None:
    source = list_source(
        touch(tmp_path, "sub1/sub1_img.nii.gz", "sub1/sub1_mask.nii.gz", "sub2/sub2_img.nii.gz", "sub3/sub3_mask.nii")
    )
    assert [case for case, _ in source.faults] == ["sub2", "sub3"]
    assert "0 label files" in source.faults[0][1] and "no image sub3_img" in source.faults[1][1]
    assert source.case_ids == ["sub1", "sub2", "sub3"]


def decathlon(folder: Path, images: list[str], **more: object) -> Path:
    training = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in images]
    return describe(
        folder, modality={"0": "T1"}, labels={"0": "background", "2": "Rear", "1": "Front"}, training=training, **more
    )


def test_decathlon(tmp_path: Path) -> None:
    names = ["h_001.nii.gz", "h_003.nii.gz"]
    decathlon(tmp_path, names, numTraining=2, licence="CC0", tensorImageSize="3D")
    touch(
        tmp_path,
        *(f"{folder}/{prefix}{name}" for folder in ("imagesTr", "labelsTr") for name in names for prefix in ("", "._")),
    )
    touch(tmp_path, "imagesTr/h_009.nii.gz", "imagesTs/h_002.nii.gz")
    source = list_source(tmp_path)
    assert listed(source) == {name[:5]: [name, name] for name in names}
    assert source.description.labels == {"background": 0, "Front": 1, "Rear": 2}
    assert source.description.channel_names == ("T1",)
    assert source.description.about == {"licence": "CC0"}
    assert sum("hidden" in note for note in source.notes) == 2
    assert any("h_009.nii.gz" in note and "left out" in note for note in source.notes)


def test_a_file_missing_from_the_training_list_is_told_with_near_matches(tmp_path: Path) -> None:
    decathlon(tmp_path, ["h_001.nii.gz", "h_002.nii.gz", "h_002.nii.gz"])
    touch(tmp_path, "imagesTr/h_001.nii.gz", "imagesTr/h_02.nii.gz", "labelsTr/h_001.nii.gz", "labelsTr/h_002.nii.gz")
    source = list_source(tmp_path)
    assert listed(source) == {"h_001": ["h_001.nii.gz"] * 2}
    assert "near matches: h_02.nii.gz" in source.faults[0][1]
    assert any("twice" in fault for _, fault in source.faults)


def test_nnunet_v1_lists_a_case_once_for_its_channels(tmp_path: Path) -> None:
    decathlon(tmp_path, ["a.nii.gz"], numTraining=1)
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    assert listed(list_source(tmp_path)) == {"a": ["a_0000.nii.gz", "a.nii.gz"]}


def test_nnunet_v2(tmp_path: Path) -> None:
    describe(
        tmp_path,
        channel_names={"0": "T1", "1": "T2"},
        labels={"background": 0, "hippocampus_left": 3},
        numTraining=4,
        file_ending=".nrrd",
        subjects={"a": "S1"},
        sides={"hippocampus_left": "left", "gone": "right"},
    )
    touch(
        tmp_path,
        "imagesTr/a_0000.nrrd",
        "imagesTr/a_0001.nrrd",
        "imagesTr/b_0000.nrrd",
        "labelsTr/a.nrrd",
        "labelsTr/b.nrrd",
    )
    source = list_source(tmp_path)
    assert listed(source) == {"a": ["a_0000.nrrd", "a_0001.nrrd", "a.nrrd"]}
    assert source.faults[0][0] == "b" and "channels 0000, but dataset.json names 0000 0001" in source.faults[0][1]
    assert source.description.subjects == {"a": "S1"} and source.description.sides == {"hippocampus_left": "left"}
    assert any("numTraining is 4, but the folder holds 2 cases" in note for note in source.notes)


def test_region_labels_are_a_fault_that_picks_can_mend(tmp_path: Path) -> None:
    describe(
        tmp_path,
        channel_names={"0": "T1"},
        labels={"background": 0, "whole": [1, 2], "core": 2},
        numTraining=1,
        file_ending=".nii",
    )
    touch(tmp_path, "imagesTr/a_0000.nii", "labelsTr/a.nii")
    description = list_source(tmp_path).description
    assert description.labels is None and "--labels" in description.label_fault


def test_faults_carry_their_case(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}" for name in ("a.nii", "a.nii.gz", "b_0000.nii", "c.nii", "e.nii")))
    touch(tmp_path, *(f"labels/{name}.nii" for name in ("a", "b", "d", "e")))
    faults = dict(list_source(tmp_path).faults)
    assert "ambiguous, a.nii and a.nii.gz" in faults["a"]
    assert "no label c" in faults["c"]
    assert "no image of this name" in faults["d"]
    assert set(faults) == {"a", "c", "d"}


def test_uneven_channels_are_a_fault_of_the_odd_case(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *(f"images/{case}_{channel}.nii" for case in "abc" for channel in ("0000", "0001")),
        *(f"labels/{case}.nii" for case in "abc"),
    )
    (tmp_path / "images" / "b_0001.nii").unlink()
    touch(tmp_path, "images/b_0002.nii")
    source = list_source(tmp_path)
    assert list(listed(source)) == ["a", "c"]
    assert "b has channels 0000 0002, but most cases have 0000 0001" in source.faults[0][1]


def test_two_folders_of_labels_are_ambiguous(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii", "labels/a.nii", "masks/a.nii")
    with pytest.raises(DatasetError, match="labels and masks may both be meant"):
        list_source(tmp_path)


def test_an_unknown_layout_names_the_known_ones_and_a_likely_folder(tmp_path: Path) -> None:
    touch(tmp_path, "Task04/imagesTr/a.nii.gz", "Task04/labelsTr/a.nii.gz")
    with pytest.raises(DatasetError, match=r"perhaps .*Task04 is meant.*X_img"):
        list_source(tmp_path)


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ({"modality": {"1": "T1"}, "training": []}, "modality must be"),
        ({"modality": {"0": "T1"}, "training": []}, "training list is empty"),
        ({"modality": {"0": "T1"}, "training": ["a.nii"]}, "training must list"),
        ({"modality": {"0": "T1"}, "labels": {"1": "a", "2": "a"}}, "two values alike"),
        ({"channel_names": {"0": "T1"}, "sides": {"a": "up"}, "labels": {"a": 1}}, "'left' or 'right'"),
        ({"channel_names": {"0": "T1"}, "subjects": ["a"]}, "subjects must map"),
        (["channel_names"], "expected an object"),
    ],
)
def test_descriptions_that_do_not_fit(tmp_path: Path, description: object, told: str) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(DatasetError, match=told):
        list_source(tmp_path)


def test_clashing_ids() -> None:
    assert clashing_ids(["a", "b", "A", "b "]) == [
        "case 'A': differs from 'a' in letter case or blanks only; rename one",
        "case 'b ': differs from 'b' in letter case or blanks only; rename one",
    ]
