"""Where a file is refused, the message names the true reason: packed
twice, cut, a name too long for the disk; a long gzip header is none.
"""

import gzip
import os
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest

from hippopt.artifacts.codec import write_bytes
from hippopt.errors import ImageError, OutputError
from hippopt.files.image_io import read_scan
from hippopt.files.nifti_bytes import nifti_layout
from tests.synthetic import Command, assert_only_failed, blob_case, run_predict, save_nifti, write_scans


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_row_91_packed_twice(tmp_path: Path, name: str) -> None:
    path = save_nifti(tmp_path / "whole.nii.gz", blob_case(0)[0])
    (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ImageError, match="packed twice: unpack it once with gunzip"):
        read_scan(tmp_path / name)


@pytest.mark.parametrize("extra", [10, 30_000, 65_535])
def test_row_91_a_long_gzip_header_is_read(tmp_path: Path, extra: int) -> None:
    raw = nibabel.Nifti1Image(blob_case(0)[0], np.eye(4)).to_bytes()
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packed.compress(raw) + packed.flush()
    head = b"\x1f\x8b\x08\x0c" + bytes(4) + b"\0\x03" + struct.pack("<H", extra) + os.urandom(extra) + b"scan.nii\0"
    path = tmp_path / "a.nii.gz"
    path.write_bytes(head + data + struct.pack("<II", zlib.crc32(raw), len(raw)))
    np.testing.assert_array_equal(read_scan(path).array, blob_case(0)[0].T)
    layout = nifti_layout(path)
    assert layout is not None and layout.zipped and layout.shape == blob_case(0)[0].shape


def test_row_91_long_names(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "n" * 244 + ".nii.gz")
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out", "--save-uncertainty")
    out = tmp_path / "out"
    (out / "a_uncertainty.nii.gz").rename(tmp_path / "moved.nii.gz")
    assert_only_failed(outcome, out, "n" * 244, ["a"], "longer than the 255 bytes", "rename the scan")
    assert run_predict(run_command, trained_root, scans, tmp_path / "plain")[0] == 0
    with pytest.raises(OutputError, match="give it a shorter name"):
        write_bytes(tmp_path / ("n" * 300), b"")
