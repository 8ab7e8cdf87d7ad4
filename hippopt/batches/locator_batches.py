"""Batches for the locator: coarse whole images, turned, scaled,
moved, cropped and recoloured as strongly as other scans might be.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional

from hippopt.imaging.rotations import rotation

ROTATION_DEGREES, SCALING, STRETCH, SHIFT = 20.0, 1.25, 1.08, 0.2  # SHIFT: share of the canvas
FILLED = 0.4  # share of a coarse voxel: under one half, since a structure is only a few of them thick
P_CROP, CROP_SHARE = 0.5, 0.4  # of an axis, cut off at each end at most
P_HEAD, SKULL_VOXELS, SCALP_VOXELS = 0.3, 2, 3  # a made-up head around a skull-stripped brain


@dataclass(frozen=True)
class CoarseCase:
    """image: (C, z, y, x) float32; regions: (1 + regions, z, y, x)
    float32 shares of each voxel, the background first; pad: (C,).
    """

    image: torch.Tensor
    regions: torch.Tensor
    pad: torch.Tensor


@dataclass(frozen=True)
class LocatorAugmentation:
    """canvas: (z, y, x) of a batch. swap: order of the regions after a flip along x, None where flips are not made.
    heads: whether the scans have no skull, so that one is made up for some."""

    canvas: tuple[int, int, int]
    swap: tuple[int, ...] | None
    heads: bool


def canvas_of(cases: Sequence[CoarseCase], multiple: int) -> tuple[int, int, int]:
    """Large enough for each case, in multiples of what the locator needs."""
    largest = np.max([case.image.shape[1:] for case in cases], 0)
    z, y, x = (max(2 * multiple, int(-(-size // multiple) * multiple)) for size in largest)
    return (z, y, x)


def locator_batch(
    cases: Sequence[CoarseCase], settings: LocatorAugmentation, batch: int, seed: int, index: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(images (B, C, *canvas), regions (B, 1 + regions, *canvas), 1 where a
    region fills a voxel by FILLED): a function of (seed, index).
    """
    rng = np.random.default_rng([seed, index])
    pairs = [_sample(cases[int(rng.integers(len(cases)))], settings, rng) for _ in range(batch)]
    return torch.stack([image for image, _ in pairs]), torch.stack([regions for _, regions in pairs])


def _sample(
    case: CoarseCase, settings: LocatorAugmentation, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    flip = settings.swap is not None and rng.random() < 0.5
    grid = _grid(case, settings.canvas, flip, rng)
    pad = case.pad[:, None, None, None]
    image = functional.grid_sample((case.image - pad)[None], grid, align_corners=False)[0] + pad
    regions = functional.grid_sample(case.regions[None, 1:], grid, align_corners=False)[0]
    if flip and settings.swap is not None:
        regions = regions[[index - 1 for index in settings.swap[1:]]]
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    brain = (image != pad).any(0)
    if settings.heads and rng.random() < P_HEAD:
        image = _with_head(image, brain, rng, noise)
    image = _recoloured(image, pad, rng, noise)
    if rng.random() < P_CROP:
        keep = _crop(settings.canvas, rng)
        image, regions = torch.where(keep, image, pad), regions * keep
    filled = (regions >= FILLED) & (regions == regions.amax(0, keepdim=True))
    return image, torch.cat([~filled.any(0, keepdim=True), filled]).float()


def _grid(case: CoarseCase, canvas: tuple[int, int, int], flip: bool, rng: np.random.Generator) -> torch.Tensor:
    """Where each voxel of the canvas is read from: (1, *canvas, 3), as grid_sample takes it."""
    angles = np.deg2rad(rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES, 3))
    scale = np.exp(rng.uniform(-np.log(SCALING), np.log(SCALING)) + rng.uniform(-np.log(STRETCH), np.log(STRETCH), 3))
    matrix = rotation(angles, ((0, 1), (1, 2), (0, 2))) * scale  # in voxels, axes x, y, z
    if flip:
        matrix[0] *= -1
    size_in, size_out = np.array(case.image.shape[:0:-1], float), np.array(canvas[::-1], float)
    shift = rng.uniform(-SHIFT, SHIFT, 3)
    theta = np.concatenate([matrix * size_out / size_in[:, None], shift[:, None] * 2], 1)
    return functional.affine_grid(torch.from_numpy(theta).float()[None], [1, 1, *canvas], align_corners=False)


def _crop(canvas: tuple[int, int, int], rng: np.random.Generator) -> torch.Tensor:
    """True inside a box that lacks up to CROP_SHARE of every second axis, on one of its ends or on both."""
    keep = torch.ones(canvas, dtype=torch.bool)
    for axis, size in enumerate(canvas):
        low, high = rng.uniform(0, CROP_SHARE, 2) * rng.integers(0, 2, 2)
        if rng.random() < 0.5:
            continue
        index = torch.arange(size)
        shape = [1, 1, 1]
        shape[axis] = size
        keep &= ((index >= low * size) & (index < (1 - high) * size)).reshape(shape)
    return keep


def _recoloured(
    image: torch.Tensor, pad: torch.Tensor, rng: np.random.Generator, noise: torch.Generator
) -> torch.Tensor:
    """Gain, offset, a smooth field, noise and blur; what is beyond the image stays."""
    inside = image != pad
    if rng.random() < 0.3:
        image = functional.avg_pool3d(image[None], 3, 1, 1, count_include_pad=False)[0]
    field = torch.randn((1, len(image), 4, 4, 4), generator=noise) * float(rng.uniform(0, 0.3))
    field = functional.interpolate(field, image.shape[1:], mode="trilinear", align_corners=True)[0]
    image = image * float(rng.uniform(0.6, 1.5)) * torch.exp(field) + float(rng.uniform(-0.5, 0.5))
    image = image + float(rng.uniform(0, 0.35)) * torch.randn(image.shape, generator=noise)
    return torch.where(inside, image, pad)


def _with_head(
    image: torch.Tensor, brain: torch.Tensor, rng: np.random.Generator, noise: torch.Generator
) -> torch.Tensor:
    """A dark skull and a bright, uneven scalp around the brain, and tissue below it."""

    def grown(mask: torch.Tensor, voxels: int) -> torch.Tensor:
        return functional.max_pool3d(mask[None, None].float(), 2 * voxels + 1, 1, voxels)[0, 0] > 0

    skull = grown(brain, int(rng.integers(1, SKULL_VOXELS + 1)))
    scalp = grown(skull, int(rng.integers(1, SCALP_VOXELS + 1)))
    coarse = torch.randn((1, 1, *(max(2, size // 4) for size in brain.shape)), generator=noise)
    texture = functional.interpolate(coarse, brain.shape, mode="trilinear", align_corners=True)[0, 0]
    rows = torch.arange(brain.shape[0])[:, None, None]
    filled = torch.where(brain.any(0), brain.float().argmax(0), torch.full(brain.shape[1:], -1))
    neck = (rows < filled[None] + int(rng.integers(0, 4))) & (texture > -0.5)
    around = (scalp | neck) & ~brain
    bright = float(rng.uniform(-0.5, 2.5)) + float(rng.uniform(0.2, 1.0)) * texture
    dark = float(rng.uniform(-2.5, -0.5)) + 0.2 * texture
    made = torch.where(skull & ~brain, dark, bright)
    # with the skull in it, the mean and spread over the non-zero voxels are others: the brain's own values move
    gain, offset = float(rng.uniform(0.5, 1.0)), float(rng.uniform(-0.2, 0.8))
    return torch.where(brain, image * gain + offset, torch.where(around, made, image))
