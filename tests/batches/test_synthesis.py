"""Synthetic scans: the laws that hold for any draw."""

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.batches.label_maps import (
    ALVEUS,
    ANTERIOR,
    CLASSES,
    FADING,
    POSTERIOR,
    LabelMaps,
    read_label_maps,
    read_table,
)
from hippopt.batches.synthesis import Synthesiser, draw_sample, synthetic_batch
from hippopt.console import SilentConsole
from tests.label_maps import write_label_maps

PATCH = (32, 48, 32)
# nothing random but the place: what comes out is the map itself
STILL = {
    "p_flip": 0.0,
    "rotation_degrees": 0.0,
    "scaling": (1.0, 1.0),
    "axis_scaling": 0.0,
    "shear": 0.0,
    "elastic_mm": (0.0, 0.0),
    "p_field_of_view": 0.0,
    "p_strip": 0.0,
    "tissue_texture": 0.0,
    "blur_mm": (0.01, 0.01),
    "p_low_resolution": 0.0,
    "bias_field": 0.0,
    "noise": 0.0,
    "gamma": 0.0,
}


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> LabelMaps:
    return read_label_maps(write_label_maps(tmp_path_factory.mktemp("maps")), read_table(), SilentConsole())


def synthesiser(maps: LabelMaps, **settings: object) -> Synthesiser:
    return Synthesiser(maps, SynthesisSettings(patch_size=PATCH, **settings), torch.device("cpu"))  # type: ignore[arg-type]


def test_a_batch_is_a_function_of_seed_and_index(maps: LabelMaps) -> None:
    """The same anew whatever was made before; another one for another index or seed."""
    first = synthetic_batch(synthesiser(maps), 2, 3, 7)
    made = synthesiser(maps)
    synthetic_batch(made, 2, 3, 6)
    torch.manual_seed(99)
    again = synthetic_batch(made, 2, 3, 7)
    assert torch.equal(first["image"], again["image"]) and torch.equal(first["label"], again["label"])
    for seed, index in ((3, 8), (4, 7)):
        assert not torch.equal(first["image"], synthetic_batch(made, 2, seed, index)["image"])


def test_what_every_sample_holds(maps: LabelMaps) -> None:
    """Finite values, z-scored over the field of view, nothing around it, and some hippocampus in it."""
    made = synthesiser(maps)
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(30):
        draw = draw_sample(maps, made.settings, rng)
        image, label = made.make(draw)
        assert image.shape == (1, *PATCH) and label.shape == (1, *PATCH) and torch.isfinite(image).all()
        assert int(label.min()) >= 0 and int(label.max()) < len(CLASSES)
        inside = torch.zeros(PATCH, dtype=torch.bool)
        inside[tuple(slice(a, a + n) for a, n in zip(draw.box_start, draw.box_size, strict=True))] = True
        assert not image[0][~inside].any() and not label[0][~inside].any()
        values = image[0][inside]
        if not draw.strip:
            assert abs(float(values.mean())) < 0.02 and abs(float(values.std()) - 1) < 0.05
        seen.append(int(((label == ANTERIOR) | (label == POSTERIOR)).sum()))
    assert min(seen) > 50


def test_without_randomness_the_map_comes_out(maps: LabelMaps) -> None:
    """On the map's own grid, labels are the map's voxel by voxel, and equal tissue has equal intensity."""
    made = synthesiser(maps, **STILL)
    draw = draw_sample(maps, made.settings, np.random.default_rng(1))
    chosen = maps.maps[draw.map_index]
    start = np.rint(np.array(chosen.centres[0]) - (np.array(PATCH) - 1) / 2).astype(int)
    draw = dataclasses.replace(draw, centre=start + (np.array(PATCH) - 1) / 2)
    image, label = made.make(draw)
    shown = np.zeros(PATCH, np.int64)
    tissue = np.zeros(PATCH, np.int64)
    for index in np.ndindex(*PATCH):
        where = tuple(np.array(index) + start)
        if all(0 <= a < n for a, n in zip(where, chosen.half.shape, strict=True)):
            half = int(chosen.half[where])
            shown[index] = ANTERIOR if half == 1 else POSTERIOR if half == -1 else int(chosen.around[where])
            tissue[index] = int(chosen.tissue[where])
    inside = tissue > 0
    assert np.array_equal(label[0].numpy()[inside], shown[inside])
    hippocampus = image[0].numpy()[tissue == maps.tissues.index("hippocampus")]
    assert float(np.ptp(hippocampus)) < 1e-3


def test_label_follows_a_flip(maps: LabelMaps) -> None:
    """A flip along x mirrors image and label alike, and leaves front in front."""
    rng = np.random.default_rng(2)
    straight = synthesiser(maps, **STILL)
    turned = synthesiser(maps, **{**STILL, "p_flip": 1.0})
    draw = draw_sample(maps, straight.settings, rng)
    mirrored = dataclasses.replace(draw, matrix=draw.matrix @ np.diag([1.0, 1.0, -1.0]))
    (image, label), (image_m, label_m) = straight.make(draw), turned.make(mirrored)
    assert (
        (image.flip(-1) - image_m).abs() < 0.02
    ).float().mean() > 0.99  # the clipped extremes are estimated from a sample
    assert (label.flip(-1) == label_m).float().mean() > 0.99
    front, back = (np.argwhere(label_m[0].numpy() == value)[:, 1].mean() for value in (ANTERIOR, POSTERIOR))
    assert front > back


def test_t1_contrast_is_that_of_t1(maps: LabelMaps) -> None:
    """With T1-like contrast white matter is brighter than the hippocampus,
    and that than fluid, in nearly all draws; without, in some.
    """
    white, grey, fluid = (maps.tissues.index(name) for name in ("white_matter", "hippocampus", "csf"))
    for share, low, high in ((1.0, 0.95, 1.0), (0.0, 0.0, 0.5)):
        settings = SynthesisSettings(patch_size=PATCH, share_t1=share)
        rng = np.random.default_rng(5)
        means = [draw_sample(maps, settings, rng).means for _ in range(200)]
        assert low <= np.mean([m[white] > m[grey] > m[fluid] for m in means]) <= high


def test_spacing_of_the_map_is_taken_into_account(tmp_path: Path) -> None:
    """The same voxels at twice the spacing are a structure of eight times the volume."""
    volumes = []
    for spacing in (1.0, 2.0):
        found = read_label_maps(write_label_maps(tmp_path / str(spacing), 1, spacing), read_table(), SilentConsole())
        made = Synthesiser(
            found, msgspec.structs.replace(SynthesisSettings(patch_size=(48, 64, 48)), **STILL), torch.device("cpu")
        )
        draw = draw_sample(found, made.settings, np.random.default_rng(0))
        draw = dataclasses.replace(draw, centre=np.array(found.maps[0].centres[0]))
        label = made.make(draw)[1]
        near = label[..., 10:38] if spacing == 1.0 else label
        volumes.append(int(((near == ANTERIOR) | (near == POSTERIOR)).sum()))
    assert volumes[1] / volumes[0] > 5


def test_alveus_lies_between_grey_and_white(maps: LabelMaps) -> None:
    """The upper rim is hippocampus mixed with up to the settings'
    share of white matter; with a share of 0 it is hippocampus.
    """
    grey, white, rim = (maps.tissues.index(name) for name in ("hippocampus", "white_matter", ALVEUS))
    shares = []
    for seed in range(40):
        for share in (0.0, 0.7):
            settings = SynthesisSettings(patch_size=PATCH, alveus=share)
            means = draw_sample(maps, settings, np.random.default_rng(seed)).means
            mixed = (means[rim] - means[grey]) / (means[white] - means[grey])
            assert -1e-4 <= mixed <= share + 1e-4
            shares.append(mixed if share else 0.0)
    assert max(shares) > 0.5


def test_white_matter_fades_into_grey_towards_the_structure(maps: LabelMaps) -> None:
    """Next to it there is at least as much grey as a little further; with a share of 0 both are white."""
    grey, white, *layers = (maps.tissues.index(name) for name in ("hippocampus", "white_matter", *FADING))
    shares = []
    for seed in range(40):
        for most in (0.0, 0.8):
            settings = SynthesisSettings(patch_size=PATCH, fading=most)
            means = draw_sample(maps, settings, np.random.default_rng(seed)).means
            near, far = ((means[layer] - means[white]) / (means[grey] - means[white]) for layer in layers)
            assert -1e-4 <= far <= near + 1e-4 <= most + 2e-4
            shares.append(near if most else 0.0)
    assert max(shares) > 0.5
