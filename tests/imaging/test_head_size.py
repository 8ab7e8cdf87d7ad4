"""Head size on phantoms of known volume, in any orientation."""

import numpy as np
import pytest

from hippopt.imaging.head_size import HEAD_DEPTH_MM, NOTHING, head_size
from hippopt.imaging.orientation import from_ras
from tests.records import grid_of_code

SHAPE, STEP = (130, 130, 100), 2.0  # (Z, Y, X) voxels of 2 mm: 260 x 260 x 200 mm


def ellipsoid(radii_mm: tuple[float, float, float], centre_mm: tuple[float, float, float]) -> np.ndarray:
    """(Z, Y, X) bool on RAS axes; centre from the corner, mm."""
    axes = np.meshgrid(*((np.arange(count) + 0.5) * STEP for count in SHAPE), indexing="ij")
    return (
        sum(((axis - centre) / radius) ** 2 for axis, centre, radius in zip(axes, centre_mm, radii_mm, strict=True)) < 1
    )


def whole_head(neck_mm: float = 30.0) -> tuple[np.ndarray, float]:
    """(image on RAS axes, volume above HEAD_DEPTH_MM): scalp, dark
    skull, brain, a neck down to the lowest layer or short of it.
    """
    rng = np.random.default_rng(0)
    scalp, skull, brain = (ellipsoid((r + 90, r + 95, r + 75), (160, 130, 100)) for r in (0, -6, -14))
    neck = ellipsoid((1e6, 50, 50), (160, 130, 100))
    neck[SHAPE[0] // 2 :] = False
    neck[: max(0, round((70 - neck_mm) / STEP))] = False
    image = rng.rayleigh(8, SHAPE)
    for part, value in ((neck | scalp, 260), (skull, 25), (brain, 200)):
        image[part] = rng.normal(value, 15, int(part.sum()))
    whole = neck | scalp
    top = int(np.flatnonzero(whole.any((1, 2)))[-1])
    counted = whole[top + 1 - round(HEAD_DEPTH_MM / STEP) :]
    return image.astype(np.float32), float(counted.sum()) * STEP**3


@pytest.mark.parametrize("code", ["RAS", "LPS", "PIR", "SAL"])
def test_a_head_with_its_skull_and_neck(code: str) -> None:
    image, volume = whole_head()
    shape = from_ras(image, grid_of_code(code, (1, 1, 1))).shape
    grid = grid_of_code(code, shape, (STEP, STEP, STEP))
    found = head_size(from_ras(image, grid), grid)
    assert found.of == "head" and found.volume_mm3 == pytest.approx(volume, rel=0.03)


def test_a_longer_neck_changes_nothing() -> None:
    grid = grid_of_code("RAS", SHAPE, (STEP, STEP, STEP))
    short, long = (head_size(whole_head(neck)[0], grid) for neck in (5.0, 70.0))
    assert short.of == long.of == "head" and short.volume_mm3 == pytest.approx(long.volume_mm3, rel=0.005)


def test_a_skull_stripped_brain_with_its_ventricles() -> None:
    inside = ellipsoid((65, 85, 68), (130, 130, 100))
    image = np.where(inside, 200.0, 0.0)
    image[ellipsoid((15, 20, 15), (130, 130, 100))] = 0  # a hole that belongs to the brain
    image[3, 3, 3] = 5  # a speck that does not
    grid = grid_of_code("RAS", SHAPE, (STEP, STEP, STEP))
    found = head_size(image.astype(np.int16), grid)
    assert found.of == "brain" and found.volume_mm3 == pytest.approx(inside.sum() * STEP**3, rel=1e-6)
    image[0, 0, 0] = np.nan
    assert head_size(image, grid) == found


def test_fine_voxels_give_the_same_answer() -> None:
    image = np.where(ellipsoid((65, 85, 68), (130, 130, 100)), 100, 0).astype(np.uint8)
    fine = np.kron(image, np.ones((2, 2, 2), np.uint8))
    found = [head_size(a, grid_of_code("RAS", a.shape, (s, s, s))).volume_mm3 for a, s in ((image, 2.0), (fine, 1.0))]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_a_masked_head_is_no_brain() -> None:
    image, volume = whole_head()
    masked = np.where(image > 15, image, 0)
    masked[ellipsoid((96, 101, 81), (160, 130, 100)) & (masked == 0)] = 1
    found = head_size(masked, grid_of_code("RAS", SHAPE, (STEP, STEP, STEP)))
    assert found.of == "head" and found.volume_mm3 == pytest.approx(volume, rel=0.05)


def test_what_shows_no_whole_head() -> None:
    rng = np.random.default_rng(0)
    image, _ = whole_head()
    grid = grid_of_code("RAS", (40, 56, 40))
    assert head_size(rng.normal(100, 10, (40, 56, 40)), grid) == NOTHING  # a crop around a hippocampus
    for cut in (
        image[:100],
        image[:, 50:],
        image[:, :, :60],
        image[70:],
    ):  # the vertex, the back, a side, all but the upper part
        assert head_size(cut, grid_of_code("RAS", cut.shape, (STEP, STEP, STEP))) == NOTHING
    whole = grid_of_code("RAS", SHAPE, (STEP, STEP, STEP))
    assert head_size(np.zeros(SHAPE), whole) == NOTHING and head_size(np.full(SHAPE, np.nan), whole) == NOTHING
    assert head_size(rng.normal(100, 10, SHAPE), whole) == NOTHING  # noise
