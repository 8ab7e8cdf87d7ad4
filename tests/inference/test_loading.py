"""What is read for prediction: which scans are constant, alike for one that is segmented and one whose mask is kept."""

from pathlib import Path

import numpy as np
import pytest

from hippopt.artifacts.plan import Plan
from hippopt.files.array_scan import scan_of_array
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.loading import is_constant, prepare_scan
from tests.inference.test_regions import SETTINGS
from tests.records import changed, small_plan

SHAPE = (12, 14, 16)


def ramp() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


def hot_voxel() -> np.ndarray:
    """Constant but for one voxel, which the percentiles leave out."""
    image = np.full(SHAPE, 7, np.float32)
    image[3, 4, 5] = 9000
    return image


def brain(inside: float | np.ndarray) -> np.ndarray:
    """Zeros around a box."""
    image = np.zeros(SHAPE, np.float32)
    image[2:10, 2:10, 2:10] = inside
    return image


IMAGES: dict[str, tuple[tuple[np.ndarray, ...], bool]] = {
    "ramp": ((ramp(),), False),
    "faint": ((ramp() * np.float32(1e-12),), False),
    "constant": ((np.full(SHAPE, 0.1, np.float32),), True),
    "hot voxel": ((hot_voxel(),), True),
    "nothing but NaN": ((ramp() * np.nan,), True),
    "second channel": ((ramp(), hot_voxel()), True),
    "two channels": ((ramp(), ramp()[::-1]), False),
    "brain of one value": ((brain(0.1),), True),
    "brain": ((brain(ramp()[:8, :8, :8]),), False),
}


@pytest.mark.parametrize("name", IMAGES)
def test_constant_scans_are_the_same_when_kept_as_when_segmented(name: str) -> None:
    images, wanted = IMAGES[name]
    scans = [scan_of_array(image, (1, 1, 1), None, "scan") for image in images]
    files = ScanFiles("scan", tuple(Path("scan") for _ in scans))
    region = "nonzero" if "brain" in name else "image"
    plan: Plan = small_plan(channel_names=("T1", "T2")[: len(scans)])
    plan = changed(plan, normalisation__region=region, crop="nonzero" if region == "nonzero" else "none")
    assert prepare_scan(files, scans, plan, 1e12).empty == is_constant(files, scans, plan) == wanted
    if wanted:  # with a locator it is not asked, so that none is needed here
        located = changed(plan, locator=SETTINGS)
        assert prepare_scan(files, scans, located, 1e12).empty and is_constant(files, scans, located)
