"""Synthetic whole heads: left is left, a field of view is what it says, and an index gives one head."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from hippopt.artifacts.synthesis import HeadSynthesis
from hippopt.batches.head_maps import BRAIN, FULL, OUTSIDE, HeadMaps, read_head_maps
from hippopt.batches.label_maps import read_table
from hippopt.batches.synthetic_heads import HeadCanvas, head_batch, make_head
from hippopt.console import SilentConsole
from hippopt.errors import DatasetError
from tests.label_maps import write_label_maps

CANVAS = HeadCanvas((24, 24, 24), 4.0)
STILL = HeadSynthesis(
    rotation_degrees=0,
    scaling=1.0,
    stretch=1.0,
    elastic_mm=0,
    shift_mm=0,
    p_crop=0,
    p_lobes=0,
    p_thick=0,
    p_strip=0,
    p_dark_air=0,
    share_t1=1.0,
)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> HeadMaps:
    folder = write_label_maps(tmp_path_factory.mktemp("maps"), axes="LAS")
    return read_head_maps([folder], read_table(), SilentConsole())


def made(maps: HeadMaps, seed: int, **changes: object) -> tuple[torch.Tensor, torch.Tensor]:
    settings = msgspec.structs.replace(STILL, **changes)  # type: ignore[arg-type]
    return make_head(maps.maps[0], maps.tissues, settings, CANVAS, np.random.default_rng(seed))


def middle(region: torch.Tensor) -> np.ndarray:
    return torch.nonzero(region).float().mean(0).numpy()


def test_a_map_is_read_whole_with_its_sides(maps: HeadMaps) -> None:
    first = maps.maps[0]
    assert first.centres_mm[0][2] < first.centres_mm[1][2]
    for side, volume in zip(first.sides, first.volumes_mm3, strict=True):
        assert float(side.sum()) / FULL * np.prod(first.spacing_mm) == pytest.approx(volume, rel=0.02)
    assert {OUTSIDE, BRAIN} <= set(np.unique(first.kept))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_left_lies_left_also_in_a_mirror_image(maps: HeadMaps, flip: float) -> None:
    _, regions = made(maps, 1, p_flip=flip)
    left, right = middle(regions[1]), middle(regions[2])
    assert left[2] < right[2] and abs(left[0] - right[0]) < 1
    assert torch.equal(regions.sum(0), torch.ones(CANVAS.shape))


def test_centres_lie_where_the_map_has_them(maps: HeadMaps) -> None:
    _, regions = made(maps, 2, p_flip=0.0)
    first = maps.maps[0]
    truth = np.subtract(first.centres_mm[1], first.centres_mm[0])
    assert np.allclose((middle(regions[2]) - middle(regions[1])) * CANVAS.spacing_mm, truth, atol=3)


def test_a_stripped_head_is_zero_around_its_brain(maps: HeadMaps) -> None:
    whole, _ = made(maps, 3)
    stripped, regions = made(maps, 3, p_strip=1.0)
    assert (stripped == 0).float().mean() > (whole == 0).float().mean() + 0.2
    assert (stripped[0][regions[1] > 0] != 0).all()


def test_temporal_lobes_alone_are_a_box_around_the_structures(maps: HeadMaps) -> None:
    image, regions = made(maps, 4, p_lobes=1.0, lobe_margin_mm=(8.0, 8.0))
    inside, seen = torch.nonzero(regions[1:].sum(0)), torch.nonzero(image[0])
    reach = 8 / CANVAS.spacing_mm + 2  # a voxel that it fills but a little is a part of it
    assert (seen.amin(0) >= inside.amin(0) - reach).all() and (seen.amax(0) <= inside.amax(0) + reach).all()


def test_a_batch_is_a_function_of_seed_and_index(maps: HeadMaps) -> None:
    settings = HeadSynthesis()
    first, again = (head_batch(maps, settings, CANVAS, 2, 5, 7) for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], head_batch(maps, settings, CANVAS, 2, 5, 8)[0])
    assert torch.isfinite(first[0]).all()


def test_maps_without_both_sides_are_refused(tmp_path: Path) -> None:
    import nibabel

    folder = write_label_maps(tmp_path / "maps", count=2)
    values = np.asarray(nibabel.load(folder / "map_0.nii.gz").dataobj).copy()
    values[values == 53] = 17
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "map_0.nii.gz")
    with pytest.raises(DatasetError, match=r"map_0.*1 values of it are a hippocampus"):
        read_head_maps([folder], read_table(), SilentConsole())
    with pytest.raises(DatasetError, match="no such folder"):
        read_head_maps([tmp_path / "none"], read_table(), SilentConsole())
