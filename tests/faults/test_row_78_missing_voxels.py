"""The voxels of every format are counted and their check sums
tried before any is used, and a file that lacks some is named.
"""

import bz2
import gzip
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from hippopt.errors import ImageError
from hippopt.files.array_scan import scan_of_nibabel
from hippopt.files.image_io import read_scan
from tests.synthetic import Command, assert_only_failed, blob_case, save_nifti, write_scans

META = (
    "ObjectType = Image\nNDims = 3\nElementSpacing = 1 1 1\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nDimSize = 18 26"
    " 14\nElementType = MET_FLOAT\n"
)
NRRD = (
    "NRRD0004\ntype: float\ndimension: 3\nspace: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nsizes: 18 26"
    " 14\nendian: little\n"
)
VALUES = blob_case(3)[0].astype("<f4").T


def flip(data: bytes, share: float) -> bytes:
    at = int(len(data) * share)
    return data[:at] + bytes(byte ^ 255 for byte in data[at : at + 12]) + data[at + 12 :]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def meta(stored: bytes, more: str = "") -> bytes:
    return (META + more + "ElementDataFile = LOCAL\n").encode() + stored


def nrrd(encoding: str, stored: bytes) -> bytes:
    return (NRRD + f"encoding: {encoding}\n\n").encode() + stored


RAW = VALUES.tobytes()
ZLIB = "CompressedData = True\n"
TEXT = " ".join(f"{value:.9g}" for value in VALUES.ravel()).encode() + b"\n"
WHOLE = {
    "raw.mha": meta(RAW),
    "zlib.mha": meta(zlib.compress(RAW), f"{ZLIB}CompressedDataSize = {len(zlib.compress(RAW))}\n"),
    "unsized.mha": meta(zlib.compress(RAW), ZLIB),
    "text.mha": meta(TEXT, "BinaryData = False\n"),
    "raw.nrrd": nrrd("raw", RAW),
    "gzip.nrrd": nrrd("gzip", gzip.compress(RAW)),
    "text.nrrd": nrrd("ascii", TEXT),
    "hex.nrrd": nrrd("hex", RAW.hex().encode()),
}
SHORT = {
    "raw.mha": meta(RAW[:-4]),
    "cut.mha": half(WHOLE["zlib.mha"]),
    "damaged.mha": meta(flip(zlib.compress(RAW), 0.3), ZLIB),
    "fewer.mha": meta(zlib.compress(RAW[:-4]), ZLIB),
    "size too small.mha": meta(zlib.compress(RAW), f"{ZLIB}CompressedDataSize = 2000\n"),
    "size too large.mha": meta(zlib.compress(RAW), f"{ZLIB}CompressedDataSize = 999999\n"),
    "text.mha": meta(TEXT[:-200], "BinaryData = False\n"),
    "header.mha": META.encode(),
    "raw.nrrd": nrrd("raw", RAW[:-4]),
    "cut.nrrd": half(WHOLE["gzip.nrrd"]),
    "damaged.nrrd": nrrd("gzip", flip(gzip.compress(RAW), 0.3)),
    "check sum.nrrd": nrrd("gzip", gzip.compress(RAW)[:-8] + bytes(8)),
    "fewer.nrrd": nrrd("gzip", gzip.compress(RAW[:-4])),
    "bzip2.nrrd": nrrd("bzip2", half(bz2.compress(RAW))),
    "text.nrrd": nrrd("text", TEXT[:-200]),
    "hex.nrrd": nrrd("hex", RAW.hex().encode()[:-2]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_row_78_whole_files_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(WHOLE[name])
    np.testing.assert_allclose(read_scan(tmp_path / name).array, VALUES, rtol=1e-6)


@pytest.mark.parametrize("name", SHORT)
def test_row_78_short_and_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(SHORT[name])
    with pytest.raises(ImageError, match=f"{re.escape(name)}: (truncated|corrupt).*copy the file anew") as caught:
        read_scan(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending, voxels", [(".mhd", ".zraw"), (".nhdr", ".raw.gz")])
@pytest.mark.parametrize("spoil", [half, lambda data: flip(data, 0.4), None])
def test_row_78_voxels_in_a_file_of_their_own(
    tmp_path: Path, ending: str, voxels: str, spoil: Callable[[bytes], bytes] | None
) -> None:
    path = tmp_path / f"scan{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), str(path), True)
    np.testing.assert_array_equal(read_scan(path).array, VALUES)
    beside = path.with_name(f"scan{voxels}")
    if spoil is None:
        beside.unlink()
    else:
        beside.write_bytes(spoil(beside.read_bytes()))
    with pytest.raises(
        ImageError,
        match=f"{beside.name}: (truncated|corrupt)" if spoil else f"{path.name}: its voxels are in {beside.name}",
    ):
        read_scan(path)


def test_row_78_voxels_in_a_file_a_slice(tmp_path: Path) -> None:
    for number, plane in enumerate(VALUES):
        (tmp_path / f"slice{number:02d}.raw").write_bytes(plane.tobytes())
    listed = "".join(f"slice{number:02d}.raw\n" for number in range(len(VALUES)))
    (tmp_path / "a.mhd").write_text(META + "ElementDataFile = LIST\n" + listed)
    (tmp_path / "b.mhd").write_text(META + f"ElementDataFile = slice%02d.raw 0 {len(VALUES) - 1} 1\n")
    for name in ("a.mhd", "b.mhd"):
        np.testing.assert_array_equal(read_scan(tmp_path / name).array, VALUES)
    (tmp_path / "slice07.raw").write_bytes(VALUES[7].tobytes()[:-4])
    for name in ("a.mhd", "b.mhd"):
        with pytest.raises(
            ImageError, match=r"slice07\.raw: truncated, its voxels take 1872 bytes, but 1868 are there"
        ):
            read_scan(tmp_path / name)


def test_row_78_prediction_goes_on_without_them(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    (scans / "b.mha").write_bytes(SHORT["damaged.mha"])
    outcome = run_command(
        "predict", "-i", scans, "-o", tmp_path / "out", "--root", trained_root, "-f", 0, "--device", "cpu"
    )
    assert_only_failed(outcome, tmp_path / "out", "b", ["a"], "b.mha", "corrupt zlib data")


@pytest.mark.parametrize("folder", ["images", "labels"])
@pytest.mark.parametrize("ending", [".mha", ".nii.gz"])
def test_row_78_import_names_images_and_labels_alike(
    tmp_path: Path, run_command: Command, folder: str, ending: str
) -> None:
    source = tmp_path / "source"
    for number in range(3):
        for kind, array in zip(("images", "labels"), blob_case(number), strict=True):
            save_nifti(source / kind / f"c{number}.nii.gz", array)
    whole = source / folder / "c1.nii.gz"
    path = whole.with_name(f"c1{ending}")
    sitk.WriteImage(sitk.ReadImage(str(whole)), str(path), True)
    if path != whole:
        whole.unlink()
    path.write_bytes(flip(path.read_bytes(), 0.9))
    code, _, err = run_command("import_dataset", source, "--id", 1, "--name", "T", "--root", tmp_path / "root")
    assert "corrupt" in err or "truncated" in err, err  # whether a damaged stream ends early is up to zlib
    assert code == 1 and str(path) in err and not (tmp_path / "root/raw_data/Dataset001_T").exists()


def test_row_78_a_nibabel_image_whose_file_is_damaged(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", VALUES.T)
    whole = path.read_bytes()
    assert scan_of_nibabel(nibabel.load(path), "scan").array.shape == VALUES.shape
    path.write_bytes(whole[:-8] + bytes(8))  # the check sum alone
    with pytest.raises(ImageError, match="corrupt gzip data"):
        scan_of_nibabel(nibabel.load(path), "scan")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_row_78_what_simpleitk_cannot_unpack(tmp_path: Path, order: str, pack: Callable[[bytes], bytes]) -> None:
    """Without CompressedDataSize, or of gzip, it gives memory as it was, and says so on the terminal alone."""
    for number in range(3):  # other values each time: memory that was left from the last is not taken for them
        values = (VALUES + number).astype(f"{order}f4")
        more = f"{ZLIB}BinaryDataByteOrderMSB = {order == '>'}\n"
        (tmp_path / f"{number}.mha").write_bytes(meta(pack(values.tobytes()), more))
        np.testing.assert_array_equal(read_scan(tmp_path / f"{number}.mha").array, values)


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".mhd", ".nhdr"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_row_78_every_packed_type_is_read(tmp_path: Path, ending: str, kind: type) -> None:
    values = VALUES.astype(kind)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / f"a{ending}"), True)
    np.testing.assert_array_equal(
        read_scan(tmp_path / f"a{ending}").array, values.astype(np.float32) if kind == np.float64 else values
    )
