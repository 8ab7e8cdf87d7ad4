"""Which files make one scan: channels by nnU-Net's numbers, and no scan without a name."""

from pathlib import Path

import pytest

from hippopt.artifacts.dataset import split_channel
from hippopt.files.scan_listing import list_scans, scan_name


@pytest.mark.parametrize(
    ("stem", "found"),
    [
        ("case_0000", ("case", 0)),
        ("case_0012", ("case", 12)),
        ("a_0001_0002", ("a_0001", 2)),
        ("case_000", None),
        ("case0000", None),
        ("_0000", None),  # a scan without a name would write a hidden mask
    ],
)
def test_a_channel_is_told_by_four_digits_behind_a_name(stem: str, found: tuple[str, int] | None) -> None:
    assert split_channel(stem) == found


def listed(folder: Path, names: list[str], channels: int) -> dict[str, list[str]]:
    for name in names:
        (folder / name).touch()
    scans, _ = list_scans(folder, [f"channel {number}" for number in range(channels)])
    return {scan.id: [path.name for path in scan.channels] for scan in scans}


def test_one_channel_takes_off_zeros_alone(tmp_path: Path) -> None:
    found = listed(tmp_path, ["a_0000.nii.gz", "b_0001.nii.gz", "_0000.nii.gz", "plain.nii.gz"], 1)
    assert set(found) == {"a", "b_0001", "_0000", "plain"}
    assert {scan_name(tmp_path / files[0]) for files in found.values()} == set(found)


def test_several_channels_come_together_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    found = listed(tmp_path, ["a_0001.nii.gz", "a_0000.nii.gz"], 2)
    assert found == {"a": ["a_0000.nii.gz", "a_0001.nii.gz"]}
