"""Synthetic whole heads for the locator, made on the fly from label maps: no two steps of a training see the same one.

A head is drawn from a generator keyed by seed and index: contrast, shape, place, field of view, with or without skull,
and how badly that was removed. It is made at the locator's spacing, as `ScanSource.coarse` would show such a scan:
normalised over the voxels that are not zero, which stay zero.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor

from hippopt.artifacts.plan import CLIP_PERCENTILES
from hippopt.artifacts.synthesis import HeadSynthesis, SynthesisSettings
from hippopt.batches.head_maps import BRAIN, FLUID, FULL, HeadMap, HeadMaps
from hippopt.batches.locator_batches import FILLED
from hippopt.batches.tissue_intensities import draw_intensities
from hippopt.imaging.arrays import Values
from hippopt.imaging.rotations import rotation

LEAST_VOXELS = 64  # of a field of view that are to be normalised


@dataclass(frozen=True)
class HeadCanvas:
    """Shape (z, y, x) and spacing of the images of a batch."""

    shape: tuple[int, int, int]
    spacing_mm: float


def head_batch(
    maps: HeadMaps, settings: HeadSynthesis, canvas: HeadCanvas, batch: int, seed: int, index: int
) -> tuple[Tensor, Tensor]:
    """(images (B, 1, *canvas), regions (B, 3, *canvas): background, left, right): a function of (seed, index)."""
    rng = np.random.default_rng([seed, index])
    pairs = [
        make_head(maps.maps[int(rng.integers(len(maps.maps)))], maps.tissues, settings, canvas, rng)
        for _ in range(batch)
    ]
    return torch.stack([image for image, _ in pairs]), torch.stack([regions for _, regions in pairs])


def make_head(
    chosen: HeadMap, tissues: tuple[str, ...], settings: HeadSynthesis, canvas: HeadCanvas, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """(image (1, *canvas), regions (3, *canvas)) of one map."""
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    contrast = SynthesisSettings(patch_size=(1, 1, 1), share_t1=settings.share_t1)
    means, _ = draw_intensities(tissues, contrast, rng)
    image, share, air = _painted(chosen, means, tissues.index("air"), settings, rng, noise)
    flip = rng.random() < settings.p_flip
    sides = torch.from_numpy(chosen.sides).float() / FULL
    layers = _with_border(torch.cat([torch.stack([image * share, share]), sides]), air)
    if air[1] > 0 and rng.random() < settings.p_neck:
        layers[:2, 0] = layers[:2, 1]
    grid = _grid(chosen, layers.shape[1:], settings, canvas, flip, rng, noise)
    sampled = functional.grid_sample(layers[None], grid, padding_mode="border", align_corners=False)[0]
    bright, share, regions = sampled[0], sampled[1].clamp(0, 1), sampled[2:].flip(0) if flip else sampled[2:]
    keep = _field_of_view(regions.sum(0), settings, canvas, rng)
    image = _acquired(bright / share.clamp(min=1e-3), share * keep > 0.5, settings, canvas, rng, noise)
    share, regions = share * keep, regions * keep
    shown = _normalised(image, share, settings, rng)
    filled = (regions >= FILLED) & (regions == regions.amax(0, keepdim=True))
    return shown[None], torch.cat([~filled.any(0, keepdim=True), filled]).float()


def _painted(
    chosen: HeadMap,
    means: npt.NDArray[np.float32],
    air: int,
    settings: HeadSynthesis,
    rng: np.random.Generator,
    noise: torch.Generator,
) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """(intensities, share of each coarse voxel that is not zero, both of the air around)."""
    fine = means[chosen.tissue]
    if rng.random() >= settings.p_strip:
        if rng.random() >= settings.p_dark_air:
            return _coarse(fine), torch.ones([size // 2 for size in fine.shape]), (float(means[air]), 1.0)
        inside = (chosen.tissue != air).astype(np.float32)
        share = _coarse(inside)
        return _coarse(fine * inside) / share.clamp(min=1e-3), share, (0.0, 0.0)
    least = BRAIN if rng.random() < settings.p_no_fluid else FLUID
    inside = (chosen.kept >= least).astype(np.float32)
    share = _coarse(inside)
    wide = int(rng.integers(0, 3))
    if wide == 0:  # cut along the labels
        return _coarse(fine * inside) / share.clamp(min=1e-3), share, (0.0, 0.0)
    soft = functional.avg_pool3d(share[None, None], 3, 1, 1)[0, 0] if wide == 2 else share
    coarse = torch.randn((1, 1, *(max(2, size // 5) for size in share.shape)), generator=noise)
    uneven = functional.interpolate(coarse, share.shape, mode="trilinear", align_corners=True)[0, 0]
    level = float(rng.uniform(*settings.strip_level)) + float(rng.uniform(0, settings.strip_noise)) * uneven
    return _coarse(fine), (soft > level.clamp(0.02, 0.98)).float(), (0.0, 0.0)


def _coarse(fine: Values) -> Tensor:
    """Means over two voxels along each axis."""
    return functional.avg_pool3d(torch.from_numpy(fine.astype(np.float32))[None], 2)[0]


def _with_border(layers: Tensor, air: tuple[float, float]) -> Tensor:
    """One more voxel of air on each side, which `grid_sample` repeats."""
    layers = functional.pad(layers, (1, 1, 1, 1, 1, 1))
    edge = torch.ones(layers.shape[1:], dtype=torch.bool)
    edge[1:-1, 1:-1, 1:-1] = False
    for layer, value in zip(layers, (air[0] * air[1], air[1]), strict=False):
        layer[edge] = value
    return layers


def _grid(
    chosen: HeadMap,
    shape: torch.Size,
    settings: HeadSynthesis,
    canvas: HeadCanvas,
    flip: bool,
    rng: np.random.Generator,
    noise: torch.Generator,
) -> Tensor:
    """(1, *canvas, 3): where each voxel is read from, as grid_sample takes it."""
    angles = np.deg2rad(rng.uniform(-1, 1, 3) * settings.rotation_degrees)
    common = rng.uniform(-math.log(settings.scaling), math.log(settings.scaling))
    turn = rotation(angles, ((0, 1), (1, 2), (0, 2)))
    matrix = turn * np.exp(common + rng.uniform(-math.log(settings.stretch), math.log(settings.stretch), 3))
    if flip:
        matrix[:, 2] *= -1
    # from the middle of the canvas, z, y, x
    mm = [(torch.arange(size, dtype=torch.float32) - (size - 1) / 2) * canvas.spacing_mm for size in canvas.shape]
    points = torch.stack(torch.meshgrid(*mm, indexing="ij"))
    places = torch.einsum("ij,jzyx->izyx", torch.tensor(matrix, dtype=torch.float32), points)
    coarse = [max(2, round(size * canvas.spacing_mm / settings.elastic_control_mm)) for size in canvas.shape]
    moves = torch.randn((1, 3, *coarse), generator=noise) * float(rng.uniform(0, settings.elastic_mm))
    places += functional.interpolate(moves, canvas.shape, mode="trilinear", align_corners=True)[0]
    middle = (np.array(chosen.centres_mm[0]) + np.array(chosen.centres_mm[1])) / 2
    spacing = np.array(chosen.spacing_mm)
    # the canvas's middle shows a point up to shift_mm from that between the hippocampi; the border is one voxel
    start = middle + rng.uniform(-1, 1, 3) * settings.shift_mm + spacing
    size = np.array(shape) * spacing
    scaled = places + torch.tensor(start, dtype=torch.float32)[:, None, None, None]
    scaled = scaled * torch.tensor(2 / size, dtype=torch.float32)[:, None, None, None] - 1
    return scaled.flip(0).permute(1, 2, 3, 0)[None]


def _field_of_view(target: Tensor, settings: HeadSynthesis, canvas: HeadCanvas, rng: np.random.Generator) -> Tensor:
    """(z, y, x) bool: the imaged box."""
    keep = torch.ones(canvas.shape, dtype=torch.bool)
    kind = rng.random()
    places = torch.nonzero(target > 0)
    for axis, size in enumerate(canvas.shape):
        low, high = 0.0, float(size)
        if kind < settings.p_lobes and len(places):
            margin = rng.uniform(*settings.lobe_margin_mm, 2) / canvas.spacing_mm
            low = float(places[:, axis].min()) - margin[0]
            high = float(places[:, axis].max()) + 1 + margin[1]
        elif kind < settings.p_lobes + settings.p_crop and rng.random() < 0.6:
            cut = rng.uniform(0, settings.crop_share, 2) * rng.integers(0, 2, 2)
            low, high = cut[0] * size, (1 - cut[1]) * size
        index = torch.arange(size)
        lines = [1, 1, 1]
        lines[axis] = size
        keep &= ((index >= round(low)) & (index < round(high))).reshape(lines)
    return keep


def _acquired(
    image: Tensor,
    inside: Tensor,
    settings: HeadSynthesis,
    canvas: HeadCanvas,
    rng: np.random.Generator,
    noise: torch.Generator,
) -> Tensor:
    """Sharpness, thick slices, bias field, noise and gamma."""
    if rng.random() < 0.5:  # what two interpolations have smoothed
        smooth = functional.avg_pool3d(image[None, None], 3, 1, 1)[0, 0]
        image = image + float(rng.uniform(0, 0.8)) * (image - smooth) * inside
    if rng.random() < settings.p_thick:
        axis = int(rng.integers(3))
        coarse = list(canvas.shape)
        coarse[axis] = max(2, round(coarse[axis] * canvas.spacing_mm / float(rng.uniform(*settings.thick_mm))))
        small = functional.interpolate(image[None, None], coarse, mode="trilinear", align_corners=False)
        image = functional.interpolate(small, canvas.shape, mode="trilinear", align_corners=False)[0, 0]
    field = torch.randn((1, 1, 4, 4, 4), generator=noise) * float(rng.uniform(0, settings.bias_field))
    image = image * torch.exp(functional.interpolate(field, canvas.shape, mode="trilinear", align_corners=True)[0, 0])
    image = image + float(rng.uniform(0, settings.noise)) * torch.randn(image.shape, generator=noise)
    image = image.clamp(min=0)
    high = (image * inside).amax()
    return (image / high.clamp(min=1e-6)).clamp(max=1).pow(float(np.exp(rng.normal(0, settings.gamma))))


def _normalised(image: Tensor, share: Tensor, settings: HeadSynthesis, rng: np.random.Generator) -> Tensor:
    """Clipped and z-scored over the voxels that are mostly there; zeros are averaged in at the edges, as in a scan."""
    inside = image[share > 0.5]
    gain, offset = float(rng.uniform(*settings.gain)), float(rng.uniform(-1, 1) * settings.offset)
    if inside.numel() < LEAST_VOXELS:
        return torch.zeros_like(image)
    low, high = torch.quantile(inside[:: max(1, inside.numel() // 20000)], torch.tensor(CLIP_PERCENTILES) / 100)
    clipped = inside.clamp(low, high)
    scaled = (image.clamp(low, high) - clipped.mean()) / clipped.std().clamp(min=1e-6)
    return (scaled * gain + offset) * share
