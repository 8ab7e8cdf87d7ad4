"""NIfTI files as bytes."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from hippopt.errors import ImageError
from hippopt.files.nifti_bytes import file_bytes, nifti_layout, split_volumes, zip_bytes
from tests.import_sources import AFFINE, cut, save, scan


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_volumes_come_apart_with_their_scaling_and_geometry(
    tmp_path: Path, kind: type, order: str, ending: str
) -> None:
    volumes = [scan(0), scan(1), scan(2)]
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    header["scl_slope"], header["scl_inter"] = 0.5, -3
    image = kind(np.stack(volumes, -1), AFFINE, header)
    image.header.set_slope_inter(0.5, -3)
    image.to_filename(tmp_path / f"a{ending}")
    layout = nifti_layout(tmp_path / f"a{ending}")
    assert (
        layout is not None and layout.volumes == 3 and layout.order == order and layout.zipped == (ending == ".nii.gz")
    )
    whole = nibabel.load(tmp_path / f"a{ending}")
    for number, data in enumerate(split_volumes(file_bytes(tmp_path / f"a{ending}", layout), layout)):
        part = kind.from_bytes(data)
        assert part.shape == volumes[0].shape
        np.testing.assert_array_equal(part.get_fdata(), whole.get_fdata()[..., number])
        np.testing.assert_array_equal(part.affine, whole.affine)


def test_a_cut_file_is_told(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", scan(0))
    layout = nifti_layout(path)
    assert layout is not None
    plain = tmp_path / "a.nii"
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    for file in (path, plain):
        cut(file, 0.9)
        cut_layout = nifti_layout(file)
        assert cut_layout is not None
        with pytest.raises(ImageError, match=f"truncated, read .* of {cut_layout.total_bytes} bytes"):
            file_bytes(file, cut_layout)


def test_several_gzip_members_and_corrupt_ones(tmp_path: Path) -> None:
    data = gzip.decompress(save(tmp_path / "a.nii.gz", scan(0)).read_bytes())
    path = tmp_path / "members.nii.gz"
    path.write_bytes(zip_bytes(data[:400]) + zip_bytes(data[400:]))
    layout = nifti_layout(path)
    assert layout is not None
    assert file_bytes(path, layout) == data
    broken = bytearray(zip_bytes(data))
    broken[len(broken) // 2] ^= 255
    path.write_bytes(broken)
    with pytest.raises(ImageError, match="corrupt gzip"):
        file_bytes(path, layout)


def test_zipping_is_repeatable_and_lossless() -> None:
    data = scan(0).tobytes()
    assert gzip.decompress(zip_bytes(data)) == data
    assert zip_bytes(data)[4:8] == bytes(4)  # no time stamp, by which files of the same data would differ


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (slice(344, 348), b"none"),
        (slice(40, 42), b"\x02\x00"),
        (slice(70, 72), b"\x80\x00"),
        (slice(42, 44), b"\xff\xff"),
    ],
)
def test_odd_headers_are_left_to_the_reader(tmp_path: Path, where: slice, value: bytes) -> None:
    data = bytearray(gzip.decompress(save(tmp_path / "a.nii.gz", scan(0)).read_bytes()))
    data[where] = value  # magic; two axes; RGB; a negative size
    (tmp_path / "odd.nii").write_bytes(data)
    assert nifti_layout(tmp_path / "odd.nii") is None
    assert nifti_layout(tmp_path / "absent.nii") is None
