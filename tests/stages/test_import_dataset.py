"""The import: every layout and format gives the same kind of data set, and voxels and geometry survive."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from hippopt.artifacts.dataset import load_dataset
from hippopt.console import SilentConsole
from hippopt.errors import DatasetError
from hippopt.files.image_io import read_scan
from hippopt.stages.import_dataset import ImportRequest, ImportSummary, import_dataset
from hippopt.workspace import Workspace
from tests.import_sources import (
    AFFINE,
    SHAPE,
    labels,
    made,
    read,
    save,
    scan,
    unzip,
    write_case_folders,
    write_decathlon,
    write_pair,
)

NAME = "Dataset004_Test"


def bring(root: Path, source: Path, console: SilentConsole | None = None, **options: Any) -> ImportSummary:
    return import_dataset(
        Workspace(root), ImportRequest(source=source, dataset=NAME, **options), console or SilentConsole()
    )


def description(root: Path) -> dict[str, Any]:
    return json.loads((root / "raw_data" / NAME / "dataset.json").read_text())


def image(root: Path, case: str, channel: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return read(root / "raw_data" / NAME / "imagesTr" / f"{case}_{channel:04d}.nii.gz")


def label(root: Path, case: str) -> tuple[np.ndarray, np.ndarray]:
    return read(root / "raw_data" / NAME / "labelsTr" / f"{case}.nii.gz")


@pytest.mark.parametrize(
    ("write", "first", "names"),
    [
        (write_decathlon, "task_000", {"background": 0, "Anterior": 1, "Posterior": 2}),
        (write_pair, "case_0", {"background": 0, "label_1": 1, "label_2": 2}),
        (write_case_folders, "sub1", {"background": 0, "label_1": 1, "label_2": 2}),
    ],
)
def test_layouts(tmp_path: Path, write: Any, first: str, names: dict[str, int]) -> None:
    made_of = write(tmp_path / "in")
    summary = bring(tmp_path, made_of, jobs=2)
    dataset = load_dataset(summary.folder)
    assert dataset.cases[0].id == first and len(dataset.cases) == summary.cases == 3
    assert dataset.labels == names
    assert sum(summary.voxels.values()) == 3 * (np.prod(SHAPE) // 3) * 2
    seed = 1 if first == "sub1" else 0
    np.testing.assert_array_equal(image(tmp_path, first)[0], scan(seed))
    np.testing.assert_array_equal(label(tmp_path, first)[0], labels(seed))
    assert made(tmp_path) == [NAME]


def test_importing_an_imported_data_set_gives_its_bytes(tmp_path: Path) -> None:
    bring(tmp_path, write_decathlon(tmp_path / "in"))
    first = tmp_path / "raw_data" / NAME
    meta = description(tmp_path)
    meta |= {
        "subjects": {"task_000": "S1", "task_001": "S1"},
        "labels": {"background": 0, "a": 1, "b": 2},
        "sides": {"a": "left"},
    }
    (first / "dataset.json").write_text(json.dumps(meta))
    bring(tmp_path / "two", first)
    assert description(tmp_path / "two") == meta
    second = tmp_path / "two" / "raw_data" / NAME
    for path in sorted(first.rglob("*.nii.gz")):
        assert (second / path.relative_to(first)).read_bytes() == path.read_bytes()


def test_modalities_of_a_4d_file_become_channels(tmp_path: Path) -> None:
    summary = bring(tmp_path, write_decathlon(tmp_path / "in", modalities=("FLAIR", "T1w", "T2w")))
    assert summary.channel_names == ("FLAIR", "T1w", "T2w")
    assert load_dataset(summary.folder).channel_names == ("FLAIR", "T1w", "T2w")
    stored = nibabel.load(tmp_path / "in" / "imagesTr" / "task_002.nii.gz")
    for channel in range(3):
        values, affine = image(tmp_path, "task_002", channel)
        np.testing.assert_array_equal(values, scan(100 * channel + 2))
        np.testing.assert_array_equal(affine, stored.affine)
        assert values.dtype == np.int16


def test_one_volume_in_four_dimensions_is_squeezed(tmp_path: Path) -> None:
    source = write_pair(tmp_path / "in", 1)
    save(source / "images" / "case_0.nii.gz", scan(0)[..., None])
    save(source / "labels" / "case_0.nii.gz", labels(0)[..., None])
    bring(tmp_path, source)
    for values, wanted in ((image(tmp_path, "case_0")[0], scan(0)), (label(tmp_path, "case_0")[0], labels(0))):
        np.testing.assert_array_equal(values, wanted)


def write_itk(path: Path, array: np.ndarray) -> None:
    picture = sitk.GetImageFromArray(array.T)
    affine = np.diag([-1, -1, 1, 1]) @ AFFINE  # ITK's world is LPS
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    picture.SetSpacing(spacing.tolist())
    picture.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    picture.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(picture, str(path))


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd", ".hdr", ".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.float32, np.int64])
def test_formats_keep_values_types_and_geometry(tmp_path: Path, ending: str, dtype: type) -> None:
    values = scan(5).astype(dtype)
    images, masks = tmp_path / "in" / "images", tmp_path / "in" / "labels"
    images.mkdir(parents=True), masks.mkdir()
    if ending == ".hdr":
        for folder, array in ((images, values), (masks, labels(5))):
            nibabel.Nifti1Pair(array, AFFINE, dtype=array.dtype).to_filename(folder / "a.img")
    elif ending.startswith(".nii"):
        for folder, array in ((images, values), (masks, labels(5))):
            nibabel.Nifti1Image(array, AFFINE, dtype=array.dtype).to_filename(folder / f"a{ending}")
    else:
        write_itk(images / f"a{ending}", values), write_itk(masks / f"a{ending}", labels(5))
    bring(tmp_path, tmp_path / "in")
    for (stored, affine), wanted in ((image(tmp_path, "a"), values), (label(tmp_path, "a"), labels(5))):
        np.testing.assert_array_equal(stored, wanted)
        assert stored.dtype.kind == wanted.dtype.kind and stored.dtype.itemsize <= wanted.dtype.itemsize
        np.testing.assert_allclose(affine, AFFINE, atol=1e-5)


def test_analyze_is_read_as_stated_and_said_so(tmp_path: Path) -> None:
    console = SilentConsole()
    for folder, array in (("images", scan(0)), ("labels", labels(0).astype(np.int16))):
        (tmp_path / "in" / folder).mkdir(parents=True)
        nibabel.AnalyzeImage(array, np.diag([-1.5, 2, 2.5, 1])).to_filename(tmp_path / "in" / folder / "a.img")
    bring(tmp_path, tmp_path / "in", console)
    source, imported = (
        read_scan(tmp_path / "in" / "images" / "a.img"),
        read_scan(tmp_path / "raw_data" / NAME / "imagesTr" / "a_0000.nii.gz"),
    )
    np.testing.assert_array_equal(imported.array, source.array)
    assert imported.grid == source.grid
    assert any("Analyze states no orientation" in line for line in console.warnings)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".hdr"])
def test_stored_scaling_is_applied_once(tmp_path: Path, ending: str) -> None:
    source = write_pair(tmp_path / "in", 1)
    (source / "images" / "case_0.nii.gz").unlink()
    kind = nibabel.Nifti1Pair if ending == ".hdr" else nibabel.Nifti1Image
    scaled = kind(scan(0), AFFINE)
    scaled.header.set_slope_inter(0.25, -100)
    scaled.to_filename(source / "images" / f"case_0{'.img' if ending == '.hdr' else ending}")
    wanted = nibabel.load(source / "images" / f"case_0{ending}").get_fdata()
    bring(tmp_path, source)
    np.testing.assert_array_equal(image(tmp_path, "case_0")[0].astype(np.float64), wanted)


def test_plain_nifti_and_gzip_by_content_give_the_same(tmp_path: Path) -> None:
    source = write_pair(tmp_path / "in", 2)
    unzip(source / "images" / "case_0.nii.gz")
    unzip(source / "labels" / "case_0.nii.gz").rename(source / "labels" / "case_0.nii.gz")  # no gzip despite its name
    (source / "images" / "case_1.nii.gz").rename(source / "images" / "case_1.nii")  # gzip despite its name
    bring(tmp_path, source)
    for number in range(2):
        np.testing.assert_array_equal(image(tmp_path, f"case_{number}")[0], scan(number))
        np.testing.assert_array_equal(label(tmp_path, f"case_{number}")[0], labels(number))
    for path in (tmp_path / "raw_data").rglob("*.nii.gz"):
        assert path.read_bytes()[:2] == b"\x1f\x8b"


def test_structures_are_picked_merged_named_and_sided(tmp_path: Path) -> None:
    console = SilentConsole()
    source = write_pair(tmp_path / "in", 3, values=(0, 2, 17, 18, 53, 255))
    picks = {"hippocampus_right": (53,), "hippocampus_left": (17, 18), "rest": (2,)}
    summary = bring(tmp_path, source, console, picks=picks)
    dataset = load_dataset(summary.folder)
    assert dataset.labels == {"background": 0, "hippocampus_right": 1, "hippocampus_left": 2, "rest": 3}
    assert dataset.sides == {"hippocampus_right": "right", "hippocampus_left": "left"}
    stored = labels(1, (0, 2, 17, 18, 53, 255))
    values, affine = label(tmp_path, "case_1")
    np.testing.assert_array_equal(values, np.select([stored == 53, np.isin(stored, (17, 18)), stored == 2], [1, 2, 3]))
    np.testing.assert_allclose(affine, AFFINE, atol=1e-6)
    assert summary.voxels["hippocampus_left"] == sum(
        int(np.isin(labels(n, (0, 2, 17, 18, 53, 255)), (17, 18)).sum()) for n in range(3)
    )
    assert console.warnings == []


def test_a_number_missing_in_some_cases_warns(tmp_path: Path) -> None:
    console = SilentConsole()
    source = write_pair(tmp_path / "in", 3)
    save(source / "labels" / "case_1.nii.gz", labels(1, (0, 1)))
    bring(tmp_path, source, console, picks={"a": (1,), "b": (2,)})
    assert console.warnings == ["b=2: missing in 1 of 3 cases (case_1)"]


def test_labels_stored_as_decimals_become_integers(tmp_path: Path) -> None:
    console = SilentConsole()
    source = write_pair(tmp_path / "in", 2)
    save(source / "labels" / "case_1.nii.gz", labels(1).astype(np.float32))
    bring(tmp_path, source, console)
    values, affine = label(tmp_path, "case_1")
    assert values.dtype == np.uint8
    np.testing.assert_array_equal(values, labels(1))
    np.testing.assert_allclose(affine, AFFINE, atol=1e-6)
    assert "labels of 1 case (case_1)" in console.lines[0]


def test_subjects_of_a_table(tmp_path: Path) -> None:
    console = SilentConsole()
    (tmp_path / "s.csv").write_text("subject,age,case\nS1,70,case_0\nS1,70,case_1\nS9,60,case_9\n")
    summary = bring(tmp_path, write_pair(tmp_path / "in", 4), console, subjects=tmp_path / "s.csv")
    assert description(tmp_path)["subjects"] == {"case_0": "S1", "case_1": "S1", "case_2": "case_2", "case_3": "case_3"}
    assert summary.subjects == 3
    assert "lists 1 case (case_9) beyond" in console.warnings[0]
    assert "2 of 4 cases (case_2, case_3) are not listed" in console.warnings[1]


def test_a_part_of_the_cases(tmp_path: Path) -> None:
    source = write_pair(tmp_path / "in", 4)
    (source / "images" / "case_3.nii.gz").unlink()  # the faults of other cases do not matter
    (tmp_path / "list.txt").write_text("case_2\ncase_0\n")
    for root, given in (("a", "case_2,case_0"), ("b", str(tmp_path / "list.txt"))):
        bring(tmp_path / root, source, cases=given)
        assert [case.id for case in load_dataset(tmp_path / root / "raw_data" / NAME).cases] == ["case_0", "case_2"]


def test_overwriting_replaces_the_old_one(tmp_path: Path) -> None:
    bring(tmp_path, write_pair(tmp_path / "three", 3))
    bring(tmp_path, write_pair(tmp_path / "two", 2), overwrite=True)
    assert description(tmp_path)["numTraining"] == 2
    assert len(list((tmp_path / "raw_data" / NAME / "labelsTr").iterdir())) == 2
    assert made(tmp_path) == [NAME]


def test_many_labels_are_kept_with_a_hint(tmp_path: Path) -> None:
    console = SilentConsole()
    bring(tmp_path, write_pair(tmp_path / "in", 1, values=tuple(range(40))), console)
    assert "39 labels" in console.warnings[0] and "--labels" in console.warnings[0]


def test_odd_names_work(tmp_path: Path) -> None:
    source = tmp_path / "in put"
    for case in ("côté 1", "it's"):
        save(source / "images" / f"{case}.nii.gz", scan(0)), save(source / "labels" / f"{case}.nii.gz", labels(0))
    summary = bring(tmp_path, source)
    assert [case.id for case in load_dataset(summary.folder).cases] == ["côté 1", "it's"]


def test_all_faults_are_told_together(tmp_path: Path) -> None:
    source = write_pair(tmp_path / "in", 5)
    (source / "images" / "case_0.nii.gz").write_bytes(b"")
    (source / "labels" / "case_1.nii.gz").write_text("not a scan")
    (source / "labels" / "case_2.nii.gz").unlink()
    (tmp_path / "s.tsv").write_text("case\tperson\n")
    with pytest.raises(DatasetError) as caught:
        bring(tmp_path, source, subjects=tmp_path / "s.tsv", picks={"a": (1,), "b": (99,)})
    lines = str(caught.value).splitlines()
    for told in (
        "case_0.nii.gz: empty file",
        "case_1.nii.gz: not an image",
        "no label case_2",
        "s.tsv: line 1",
        "b=99: in none of 3",
    ):
        assert sum(told in line for line in lines) == 1, lines
    assert lines[-1] == "5 fault(s); nothing was imported"
    assert made(tmp_path) == []
