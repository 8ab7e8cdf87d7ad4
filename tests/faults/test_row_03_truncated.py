"""A file that ends too early, or does not fit its check sum, is
named with the bytes that are there and those that should be.
"""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.synthetic import Command, assert_only_failed, run_plan, run_predict, write_scans
from tests.trained import assert_stopped

NEEDED = 352 + 18 * 26 * 14 * 4  # header and voxels of a scan


def spoil_checksum(data: bytes) -> bytes:
    return data[:-6] + bytes([data[-6] ^ 0xFF]) + data[-5:]


def spoil_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 40]) + data[middle + 40 :]


FAULTS: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...]]] = {
    "cut in the middle": (
        lambda data: data[: len(data) // 2],
        ("truncated, read", f"of {NEEDED} bytes", "copy the file anew"),
    ),
    "cut in the header": (lambda data: data[:30], ("truncated in its header", "copy the file anew")),
    "cut in the check sum": (lambda data: data[:-5], ("truncated", "gzip data do not end")),
    "wrong check sum": (spoil_checksum, ("corrupt gzip data", "incorrect data check", "copy the file anew")),
    "other bytes in the middle": (spoil_middle, ("corrupt gzip data", "copy the file anew")),
    "fewer voxels than stated": (
        lambda data: gzip.compress(gzip.decompress(data)[:-100]),
        (f"read {NEEDED - 100} of {NEEDED} bytes",),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_row_03_prediction_skips_a_broken_gzip_file(
    trained_root: Path, tmp_path: Path, run_command: Command, fault: str
) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz")
    path = scans / "b.nii.gz"
    spoil, words = FAULTS[fault]
    path.write_bytes(spoil(path.read_bytes()))
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(outcome, tmp_path / "out", "b", ["a"], str(path), *words)


def test_row_03_planning_names_all_broken_files_together(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / "Dataset007_Blob"
    paths = [folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz" for number in range(5)] + [
        folder / "labelsTr" / "case_005.nii.gz"
    ]
    for path, (spoil, _) in zip(paths, FAULTS.values(), strict=True):
        path.write_bytes(spoil(path.read_bytes()))
    outcome = run_plan(run_command, workspace)
    assert_stopped(outcome, *paths, "truncated", "corrupt gzip data", "6 of 6 cases", "nothing was planned", code=1)
    assert outcome[2].count("hippopt_plan: ") == 7
    assert not (workspace / "plans").exists()


def test_row_03_a_plain_file_cut_short(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii", "b.nii")
    (scans / "b.nii").write_bytes((scans / "b.nii").read_bytes()[:1000])
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(outcome, tmp_path / "out", "b", ["a"], f"read 1000 of {NEEDED} bytes")
