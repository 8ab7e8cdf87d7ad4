"""Scans read from every format, and masks written into the very grid they came from."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from hippopt.errors import ImageError
from hippopt.files.image_io import read_scan, write_array, write_mask, write_probabilities
from hippopt.imaging.orientation import orientation_code

SHAPE = (5, 6, 7)  # (x, y, z)
TURN = np.deg2rad(20)
# LPS axes turned by 20 degrees about x, with three voxel sizes
AFFINE = np.array(
    [
        [-0.5, 0, 0, 20],
        [0, -0.8 * np.cos(TURN), -2 * np.sin(TURN), -30],
        [0, -0.8 * np.sin(TURN), 2 * np.cos(TURN), 11],
        [0, 0, 0, 1],
    ]
)


def values(kind: Any = np.int16) -> np.ndarray:
    """(x, y, z) values; each voxel is unlike its neighbours."""
    return np.random.default_rng(0).integers(-300, 300, SHAPE).astype(kind)


def nifti(
    path: Path, array: np.ndarray, affine: np.ndarray | None = AFFINE, edit: Callable[[Any], object] | None = None
) -> Path:
    """Write an (x, y, z) array; `edit` changes its header."""
    image = nibabel.Nifti1Image(array, affine)
    if edit is not None:
        edit(image.header)
    nibabel.save(image, path)
    return path


def itk(path: Path, array: np.ndarray) -> Path:
    """Write an (x, y, z) array by SimpleITK, whose world is LPS."""
    image = sitk.GetImageFromArray(array.T)
    spacing = np.linalg.norm(AFFINE[:3, :3], axis=0)
    lps = np.diag([-1, -1, 1]) @ AFFINE[:3]
    image.SetSpacing([float(step) for step in spacing])
    image.SetDirection((lps[:, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:, 3].tolist())
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_one_scan_in_every_format(ending: str, tmp_path: Path) -> None:
    path = (nifti if ending.startswith(".nii") else itk)(tmp_path / f"scan{ending}", values())
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.array, values().T)
    np.testing.assert_allclose(np.array(scan.grid.affine), AFFINE, atol=1e-5)
    assert scan.grid.shape == (7, 6, 5) and scan.grid.spacing_mm == pytest.approx((2, 0.8, 0.5), abs=1e-5)
    assert orientation_code(scan.grid) == "LPS" and scan.notes == []


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_stored_types(kind: Any, tmp_path: Path) -> None:
    array = np.abs(values()).astype(kind) % 251
    scan = read_scan(nifti(tmp_path / "scan.nii", array.astype(kind)))
    np.testing.assert_array_equal(scan.array, array.T)
    assert scan.array.dtype == (np.float32 if np.dtype(kind).kind == "f" else kind)


def test_nifti2_and_swapped_bytes(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(values(), AFFINE), tmp_path / "two.nii.gz")
    big = nibabel.Nifti1Image(values(), AFFINE, nibabel.Nifti1Header(endianness=">"))
    big.set_data_dtype(np.int16)
    nibabel.save(big, tmp_path / "big.nii")
    for name in ("two.nii.gz", "big.nii"):
        scan = read_scan(tmp_path / name)
        np.testing.assert_array_equal(scan.array, values().T)
        assert scan.array.dtype == np.int16
        np.testing.assert_allclose(np.array(scan.grid.affine), AFFINE, atol=1e-5)
        write_mask(tmp_path / f"mask_{name}", scan.array % 3, scan)
        np.testing.assert_array_equal(read_scan(tmp_path / f"mask_{name}").array, values().T % 3)


def test_scaling_is_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(values(), AFFINE)
    image.header.set_slope_inter(0.25, 3)
    raw = bytearray(image.to_bytes())
    raw[112:120] = np.array([0.25, 3], "<f4").tobytes()  # scl_slope and scl_inter, which nibabel resets when it writes
    (tmp_path / "scan.nii").write_bytes(raw)
    stored = np.asarray(image.dataobj)
    np.testing.assert_allclose(read_scan(tmp_path / "scan.nii").array, stored.T * 0.25 + 3)
    np.testing.assert_allclose(
        read_scan(tmp_path / "scan.nii").array, nibabel.load(tmp_path / "scan.nii").get_fdata().T
    )


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("top", [1, 255, 256, 60000])
def test_masks_keep_grid_and_values(ending: str, top: int, tmp_path: Path) -> None:
    scan = read_scan((nifti if ending.startswith(".nii") else itk)(tmp_path / f"scan{ending}", values()))
    mask = np.zeros(scan.grid.shape, np.int32)
    mask[1:3, 2, :4] = top
    write_mask(tmp_path / f"mask{ending}", mask, scan)
    again = read_scan(tmp_path / f"mask{ending}")
    np.testing.assert_array_equal(again.array, mask)
    assert again.array.dtype == (np.uint8 if top < 256 else np.uint16)
    np.testing.assert_allclose(np.array(again.grid.affine), np.array(scan.grid.affine), atol=1e-6)


def test_the_header_of_a_mask_is_the_scans(tmp_path: Path) -> None:
    def edit(header: Any) -> None:
        header.set_qform(AFFINE, 1)
        header.set_sform(AFFINE, 4)
        header["descrip"] = b"site 3"
        header["cal_max"] = 255

    scan = read_scan(nifti(tmp_path / "scan.nii.gz", values(np.float32) * 1.5, edit=edit))
    write_mask(tmp_path / "mask.nii.gz", np.ones(scan.grid.shape), scan)
    header = nibabel.load(tmp_path / "mask.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"]), bytes(header["descrip"]).rstrip(b"\0")) == (
        1,
        4,
        b"site 3",
    )
    assert (
        header.get_data_dtype() == np.uint8
        and header.get_slope_inter() in ((1, 0), (None, None))
        and float(header["cal_max"]) == 0
    )


def test_a_turned_scan_of_itk_and_one_of_nifti_are_the_same(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.ReadImage(str(itk(tmp_path / "scan.nrrd", values()))), str(tmp_path / "scan.nii.gz"))
    one, two = read_scan(tmp_path / "scan.nrrd"), read_scan(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(one.array, two.array)
    np.testing.assert_allclose(np.array(one.grid.affine), np.array(two.grid.affine), atol=1e-5)


def test_an_analyze_pair(tmp_path: Path) -> None:
    nibabel.save(nibabel.Spm99AnalyzeImage(values(), None), tmp_path / "scan.img")
    scan = read_scan(tmp_path / "scan.hdr")
    np.testing.assert_array_equal(scan.array, values().T)
    assert orientation_code(scan.grid) == "LAS" and "states no orientation" in scan.notes[0]
    np.testing.assert_array_equal(read_scan(tmp_path / "scan.img").array, scan.array)
    nibabel.save(nibabel.Nifti1Pair(values(), AFFINE), tmp_path / "pair.img")
    pair = read_scan(tmp_path / "pair.hdr")
    assert pair.notes == [] and orientation_code(pair.grid) == "LPS"
    for found in (scan, pair):
        write_mask(tmp_path / "mask.nii.gz", np.ones(found.grid.shape), found)
        np.testing.assert_allclose(
            np.array(read_scan(tmp_path / "mask.nii.gz").grid.affine), np.array(found.grid.affine), atol=1e-5
        )


@pytest.mark.parametrize(("named", "written"), [("scan.nii.gz", "scan.nii"), ("scan.nii", "scan.nii.gz")])
def test_content_goes_before_the_name(named: str, written: str, tmp_path: Path) -> None:
    nifti(tmp_path / written, values()).rename(tmp_path / f"{named}.part")
    (tmp_path / f"{named}.part").rename(tmp_path / named)
    scan = read_scan(tmp_path / named)
    np.testing.assert_array_equal(scan.array, values().T)
    assert "read by content" in scan.notes[0]


def test_gzip_of_several_members(tmp_path: Path) -> None:
    data = nibabel.Nifti1Image(values(), AFFINE).to_bytes()
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:]))
    np.testing.assert_array_equal(read_scan(tmp_path / "scan.nii.gz").array, values().T)


def test_a_fourth_dimension(tmp_path: Path) -> None:
    nifti(tmp_path / "one.nii", values()[..., None])
    one = read_scan(tmp_path / "one.nii")
    assert one.array.shape == (7, 6, 5) and "fourth dropped" in one.notes[0]
    several = np.stack([values(), values() + 1, values() + 2], -1)
    path = nifti(tmp_path / "several.nii.gz", several)
    with pytest.raises(ImageError, match=r"3 volumes.*--volume"):
        read_scan(path)
    for volume in range(3):
        scan = read_scan(path, volume)
        np.testing.assert_array_equal(scan.array, values().T + volume)
        write_mask(tmp_path / "mask.nii.gz", scan.array % 2, scan)
        assert nibabel.load(tmp_path / "mask.nii.gz").shape == SHAPE
    with pytest.raises(ImageError, match="volumes 0 to 2"):
        read_scan(path, 3)


def test_probabilities_are_four_dimensional(tmp_path: Path) -> None:
    scan = read_scan(nifti(tmp_path / "scan.nii.gz", values()))
    probabilities = np.random.default_rng(0).random((3, *scan.grid.shape)).astype(np.float32)
    write_probabilities(tmp_path / "p.nii.gz", probabilities, scan)
    image = nibabel.load(tmp_path / "p.nii.gz")
    assert image.shape == (*SHAPE, 3)
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, probabilities)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)


def test_arrays_of_a_grid(tmp_path: Path) -> None:
    scan = read_scan(nifti(tmp_path / "scan.nii.gz", values()))
    write_array(tmp_path / "out.nii.gz", scan.array[::-1], scan.grid)
    again = read_scan(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(again.array, scan.array[::-1])
    np.testing.assert_allclose(np.array(again.grid.affine), AFFINE, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scan.nii.gz", b"", "empty file"),
        ("scan.nii", b"a letter, not an image\n" * 30, "text file"),
        ("scan.nii", b"\x01\x02" * 300, "unknown type"),
        ("scan.nii.gz", b"PK\x03\x04" + bytes(500), "zip archive"),
        ("scan.nii.gz", b"\x89PNG" + bytes(500), "PNG"),
        ("scan.nii", bytes(128) + b"DICM" + bytes(500), "DICOM"),
        ("scan.nii.gz", b"\x1f\x8b" + b"\x01" * 500, "corrupt gzip|truncated"),
        ("scan.nrrd", b"NRRD0005\ntype: none\n\n", "header gives sizes not at all"),
        ("scan.mha", b"not a header", "not a MetaImage or NRRD header, but a text file"),
    ],
)
def test_what_is_no_image_is_named(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=words) as caught:
        read_scan(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_truncated_files(tmp_path: Path) -> None:
    whole = nifti(tmp_path / "scan.nii.gz", values(np.float32) + 0.1)
    data = whole.read_bytes()
    for length in (30, len(data) // 2, len(data) - 12):
        (tmp_path / "cut.nii.gz").write_bytes(data[:length])
        with pytest.raises(ImageError, match=r"truncated|not an image"):
            read_scan(tmp_path / "cut.nii.gz")
    spoilt = bytearray(data)
    spoilt[-6] ^= 0xFF  # the checksum at the end
    (tmp_path / "cut.nii.gz").write_bytes(spoilt)
    with pytest.raises(ImageError, match="corrupt gzip"):
        read_scan(tmp_path / "cut.nii.gz")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    nifti(tmp_path / "subject_01.nii.gz", values())
    with pytest.raises(ImageError, match=r"subject_02.nii.gz: not found; near matches: subject_01.nii.gz"):
        read_scan(tmp_path / "subject_02.nii.gz")
    (tmp_path / "link.nii").symlink_to(tmp_path / "gone.nii")
    with pytest.raises(ImageError, match=r"broken link to .*gone.nii"):
        read_scan(tmp_path / "link.nii")
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(ImageError, match="a folder, not a regular file"):
        read_scan(tmp_path / "folder.nii")


@pytest.mark.parametrize(
    "array", [np.zeros((4, 5), np.float32), np.zeros((4, 5, 1), np.float32), np.zeros((4, 4, 4), np.complex64)]
)
def test_flat_and_complex_images_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"flat|complex"):
        read_scan(nifti(tmp_path / "scan.nii", array))
