"""What is found in one case: numbers counted by hand, faults named, and the same whatever the orientation stored."""

from pathlib import Path

import numpy as np
import pytest

from hippopt.artifacts.dataset import Case, Dataset
from hippopt.artifacts.fingerprint import CaseFingerprint
from hippopt.files.image_io import write_array
from hippopt.imaging.orientation import from_ras
from hippopt.sources.survey import CaseSurvey, hash_arrays, survey_case
from tests.records import grid_of_code

SHAPE, SPACING = (6, 8, 10), (2.0, 1.0, 0.5)  # (Z, Y, X)
IMAGE = np.random.default_rng(0).normal(100, 10, SHAPE).astype(np.float32)
LABEL = np.zeros(SHAPE, np.uint8)
LABEL[1:3, 2:5, 4:8] = 1
LABEL[4, 6, 9] = LABEL[0, 0, 0] = 2


def survey(
    tmp_path: Path, image: np.ndarray = IMAGE, label: np.ndarray = LABEL, code: str = "RAS", label_code: str = "RAS"
) -> CaseSurvey:
    """The survey of arrays on RAS axes, stored in another orientation."""
    paths = []
    for name, array, letters in (("image.nii.gz", image, code), ("label.nii.gz", label, label_code)):
        worlds = [("RL", "AP", "SI").index(pair) for letter in letters for pair in ("RL", "AP", "SI") if letter in pair]
        z, y, x = (2 - world for world in reversed(worlds))
        grid = grid_of_code(
            letters, (array.shape[z], array.shape[y], array.shape[x]), (SPACING[z], SPACING[y], SPACING[x])
        )
        write_array(tmp_path / name, from_ras(array, grid), grid)
        paths.append(str(tmp_path / name))
    case = Case(id="case", subject="S", channels=(paths[0],), label=paths[1])
    dataset = Dataset(
        name="Dataset001_One",
        folder=str(tmp_path),
        channel_names=("T1",),
        labels={"background": 0, "body": 1, "dots": 2, "none": 3},
        sides={},
        file_ending=".nii.gz",
        cases=(case,),
    )
    return survey_case(case, dataset)


def found(result: CaseSurvey) -> CaseFingerprint:
    assert result.faults == [] and result.fingerprint is not None
    return result.fingerprint


def test_numbers_of_a_case(tmp_path: Path) -> None:
    result = survey(tmp_path)
    case = found(result)
    assert (case.ras_shape, case.ras_spacing_mm, case.orientation) == (SHAPE, SPACING, "RAS")
    body, dots, none = case.labels["body"], case.labels["dots"], case.labels["none"]
    assert (body.voxels, body.volume_mm3, body.components) == (2 * 3 * 4, 24.0, 1)  # a voxel is 1 mm3
    assert body.box is not None
    assert (body.box.start, body.box.size, body.box.size_mm) == ((1, 2, 4), (2, 3, 4), (4.0, 3.0, 2.0))
    # its centre is at 1.5, 3, 5.5; that of the field of view at 2.5, 3.5, 4.5
    assert body.centroid_mm == (-2.0, -0.5, 0.5)
    assert (dots.voxels, dots.components) == (2, 2)
    assert (none.voxels, none.box, none.centroid_mm) == (0, None, None)
    assert any("label none is empty" in note for note in result.notes)
    assert any("label dots has 1 island besides" in note for note in result.notes)
    channel = case.channels[0]
    assert (channel.mean, channel.std) == pytest.approx((IMAGE.mean(dtype=float), IMAGE.std(dtype=float)))
    assert (channel.percentile_00_5, channel.percentile_99_5) == pytest.approx(tuple(np.percentile(IMAGE, (0.5, 99.5))))
    assert channel.foreground_mean == pytest.approx(IMAGE[LABEL > 0].mean(dtype=float))
    assert case.nonzero_fraction == 1.0 and case.nonzero_box.size == SHAPE
    assert [stamp.size for stamp in case.files] == [
        (tmp_path / name).stat().st_size for name in ("image.nii.gz", "label.nii.gz")
    ]


@pytest.mark.parametrize("code", ["LPS", "PIR", "ASL"])
def test_orientation_changes_nothing_but_the_grid(code: str, tmp_path: Path) -> None:
    plain = found(survey(tmp_path))
    turned = found(survey(tmp_path, code=code, label_code=code))
    assert turned.orientation == code and turned.grid != plain.grid
    for key in ("ras_shape", "ras_spacing_mm", "image_hash", "label_hash", "labels", "nonzero_box", "foreground_box"):
        assert getattr(turned, key) == getattr(plain, key), key


def test_zeros_around_the_head(tmp_path: Path) -> None:
    padded = np.zeros(SHAPE, np.float32)
    padded[1:5, 2:8, 3:10] = IMAGE[1:5, 2:8, 3:10]
    case = found(survey(tmp_path, padded))
    assert (case.nonzero_box.start, case.nonzero_box.size, case.nonzero_box.size_mm) == (
        (1, 2, 3),
        (4, 6, 7),
        (8.0, 6.0, 3.5),
    )
    assert case.nonzero_fraction == pytest.approx(4 * 6 * 7 / 480, abs=1e-4)


def test_a_label_stored_otherwise_than_its_image_is_a_fault(tmp_path: Path) -> None:
    (fault,) = survey(tmp_path, label_code="LAS").faults
    assert "its affine" in fault and "--fix-headers" in fault
    (fault,) = survey(tmp_path, label=LABEL[1:]).faults
    assert "shape (5, 8, 10)" in fault and "(6, 8, 10)" in fault


def changed(array: np.ndarray, value: float, kind: type = np.float32) -> np.ndarray:
    array = array.astype(kind)
    array[0, 1, 1] = value
    return array


@pytest.mark.parametrize(
    ("image", "label", "words"),
    [
        (changed(IMAGE, np.nan), LABEL, "1 voxels are NaN"),
        (changed(IMAGE, np.inf), LABEL, "1 voxels are Inf"),
        (np.full(SHAPE, 7, np.float32), LABEL, "every voxel is 7"),
        (IMAGE, changed(LABEL, 1.5), "not whole (1.5"),
        (IMAGE, changed(LABEL, np.nan), "NaN or Inf in a label"),
        (IMAGE, changed(LABEL, 9, np.int16), "values 9 (1 voxels) are not in"),
        (IMAGE, changed(LABEL, -1, np.int16), "negative values -1"),
    ],
)
def test_faults(image: np.ndarray, label: np.ndarray, words: str, tmp_path: Path) -> None:
    result = survey(tmp_path, image, label)
    assert len(result.faults) == 1 and words in result.faults[0] and result.fingerprint is None


def test_all_faults_of_a_case_are_told_together(tmp_path: Path) -> None:
    assert len(survey(tmp_path, changed(IMAGE, np.nan), changed(LABEL, 1.5)).faults) == 2
    (tmp_path / "image.nii.gz").write_bytes(b"")
    (tmp_path / "label.nii.gz").unlink()
    case = Case(
        id="case", subject="S", channels=(str(tmp_path / "image.nii.gz"),), label=str(tmp_path / "label.nii.gz")
    )
    dataset = Dataset(
        name="D",
        folder="",
        channel_names=("T1",),
        labels={"background": 0, "a": 1},
        sides={},
        file_ending=".nii.gz",
        cases=(case,),
    )
    faults = survey_case(case, dataset).faults
    assert ["empty file" in faults[0], "not found" in faults[1]] == [True, True]


def test_hashes_are_of_values_and_shape() -> None:
    whole = np.arange(24).reshape(2, 3, 4)
    assert (
        hash_arrays(whole.astype(np.uint8))
        == hash_arrays(whole.astype(np.float64))
        == hash_arrays(np.asfortranarray(whole))
    )
    assert hash_arrays(whole) != hash_arrays(whole.reshape(3, 2, 4))
    assert hash_arrays(whole) != hash_arrays(whole[::-1])
