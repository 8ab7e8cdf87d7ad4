"""Synthetic scans from label maps (after SynthSeg, Billot et al. 2023), on the CPU or a GPU.

A sample is drawn first, from a generator keyed by seed and index, and then made from what was drawn: affine and elastic
deformation, an intensity per tissue, texture, partial volume, resolution, bias field, noise, gamma, field of view,
normalisation.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor

from hippopt.artifacts.plan import CLIP_PERCENTILES
from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.batches.label_maps import ANTERIOR, HEAD, POSTERIOR, LabelMap, LabelMaps
from hippopt.batches.patches import JITTER_VOXELS
from hippopt.batches.tissue_intensities import draw_intensities
from hippopt.imaging.arrays import Numbers
from hippopt.imaging.rotations import rotation

TAPS = 2  # of a blur, on either side of its middle
LEAST_SIGMA = 1e-3  # voxels: no blur
QUANTILE_STRIDE = 5  # percentiles of every fifth voxel: the same to a hundredth, much faster


@dataclass(frozen=True)
class SampleDraw:
    """Everything random of one sample but its fields of noise, which come from `noise_seed`."""

    map_index: int
    centre: Numbers  # (3,) voxels of the map
    matrix: Numbers  # (3, 3): mm in the patch -> mm in the map
    elastic_mm: tuple[float, float]
    means: npt.NDArray[np.float32]  # by tissue
    textures: npt.NDArray[np.float32]
    box_start: tuple[int, int, int]
    box_size: tuple[int, int, int]
    strip: bool
    blur_mm: float
    low_resolution: tuple[float, float, float]
    bias: float
    noise: float
    gamma: float
    noise_seed: int


def draw_sample(maps: LabelMaps, settings: SynthesisSettings, rng: np.random.Generator) -> SampleDraw:
    """Draw one sample.

    A hippocampus lies in the field of view, which lies in the patch where prediction will put a scan.
    """
    index = int(rng.integers(len(maps.maps)))
    chosen = maps.maps[index]
    side = int(rng.integers(len(chosen.centres)))
    patch, spacing = np.array(settings.patch_size), np.array(settings.spacing_mm)
    size, start = patch.copy(), np.zeros(3, int)
    if rng.random() < settings.p_field_of_view:
        size = np.maximum(1, np.rint(patch * rng.uniform(*settings.field_of_view, 3))).astype(int)
        middle = (patch - size) // 2
        start = np.clip(middle + rng.integers(-JITTER_VOXELS, JITTER_VOXELS + 1, 3), 0, patch - size)
    room = np.maximum((size * spacing - np.array(chosen.extents_mm[side])) / 2, settings.offset_mm)
    offset = np.clip(rng.normal(0, settings.offset_mm, 3), -room, room)
    matrix = _matrix(settings, rng)
    # the middle of the field of view shows the map's point `centre + offset`
    box_middle = (start + size / 2 - patch / 2) * spacing
    centre = np.array(chosen.centres[side]) + (offset - matrix @ box_middle) / np.array(chosen.spacing_mm)
    means, textures = draw_intensities(maps.tissues, settings, rng)
    low = np.ones(3)
    if rng.random() < settings.p_low_resolution:
        low = np.where(rng.random(3) < 0.5, rng.uniform(*settings.low_resolution, 3), 1.0)
    return SampleDraw(
        map_index=index,
        centre=centre,
        matrix=matrix,
        elastic_mm=(float(rng.uniform(0, settings.elastic_mm[0])), float(rng.uniform(0, settings.elastic_mm[1]))),
        means=means,
        textures=textures,
        box_start=_triple(start),
        box_size=_triple(size),
        strip=bool(rng.random() < settings.p_strip),
        blur_mm=float(rng.uniform(*settings.blur_mm)),
        low_resolution=(float(low[0]), float(low[1]), float(low[2])),
        bias=float(rng.uniform(0, settings.bias_field)),
        noise=float(rng.uniform(0, settings.noise)),
        gamma=float(np.exp(rng.normal(0, settings.gamma))),
        noise_seed=int(rng.integers(2**62)),
    )


def _matrix(settings: SynthesisSettings, rng: np.random.Generator) -> Numbers:
    """Flip along x, shear, scaling and rotation about the three axes."""
    angles = np.deg2rad(rng.uniform(-1, 1, 3) * settings.rotation_degrees)
    turn = rotation(angles, ((1, 2), (0, 2), (0, 1)))
    shear = np.eye(3) + np.triu(rng.uniform(-1, 1, (3, 3)) * settings.shear, 1)
    low, high = settings.scaling
    common = math.exp(rng.uniform(math.log(low), math.log(high)))
    scale = np.diag(1 / (common * np.exp(rng.normal(0, settings.axis_scaling, 3))))
    flip = np.diag([1.0, 1.0, -1.0 if rng.random() < settings.p_flip else 1.0])
    return turn @ shear @ scale @ flip


def _triple(values: npt.NDArray[np.integer[Any]]) -> tuple[int, int, int]:
    return (int(values[0]), int(values[1]), int(values[2]))


@dataclass(frozen=True)
class _DeviceMap:
    """A map's arrays on the device."""

    tissue: Tensor
    around: Tensor
    half: Tensor


class Synthesiser:
    """Makes samples of label maps on a device."""

    def __init__(self, maps: LabelMaps, settings: SynthesisSettings, device: torch.device) -> None:
        self.maps, self.settings, self.device = maps, settings, device
        self._on_device = [
            _DeviceMap(*(torch.from_numpy(a).to(device) for a in (m.tissue, m.around, m.half))) for m in maps.maps
        ]
        patch, spacing = settings.patch_size, settings.spacing_mm
        axes = [(torch.arange(n, device=device) - (n - 1) / 2) * s for n, s in zip(patch, spacing, strict=True)]
        self._points = torch.stack(torch.meshgrid(*axes, indexing="ij"))  # (3, Z, Y, X) mm from the middle of the patch
        self._head = torch.tensor([name.startswith(HEAD) or name == "air" for name in maps.tissues], device=device)

    def make(self, draw: SampleDraw) -> tuple[Tensor, Tensor]:
        """(image (1, Z, Y, X) float32, z-scored; label (1, Z, Y, X) int64, indices into CLASSES)."""
        generator = torch.Generator(self.device).manual_seed(draw.noise_seed)
        chosen, arrays = self.maps.maps[draw.map_index], self._on_device[draw.map_index]
        voxels = self._map_voxels(draw, chosen, generator)
        first = voxels.amin((1, 2, 3)).floor().long().clamp(min=0)
        last = torch.minimum(
            voxels.amax((1, 2, 3)).ceil().long() + 2, torch.tensor(arrays.tissue.shape, device=self.device)
        )
        first = torch.minimum(first, last - 2).clamp(min=0)
        box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        tissue, half = arrays.tissue[box].int(), arrays.half[box].float()
        grid = self._sampling_grid(voxels, first, tissue.shape)
        sampled = functional.grid_sample(
            torch.stack([self._paint(tissue, draw, generator), half.abs(), half])[None], grid, align_corners=True
        )[0]
        around = functional.grid_sample(
            arrays.around[box].float()[None, None], grid, mode="nearest", align_corners=True
        )[0]
        # where the hippocampus fills half of a voxel it takes it, as in a label drawn on this very grid
        hippocampus = torch.where(sampled[2:] >= 0, ANTERIOR, POSTERIOR)
        label = torch.where(sampled[1:2] >= 0.5, hippocampus, around.long())
        image = sampled[:1]
        image = self._acquire(image, draw, generator)
        if draw.strip:
            brain = (~self._head[tissue]).float()  # beyond the map there is none
            image = image * (functional.grid_sample(brain[None, None], grid, align_corners=True)[0] >= 0.5)
        return self._show(image, label, draw)

    def _map_voxels(self, draw: SampleDraw, chosen: LabelMap, generator: torch.Generator) -> Tensor:
        """(3, Z, Y, X): where each voxel of the patch lies in the map, in voxels."""
        matrix = torch.tensor(draw.matrix, dtype=torch.float32, device=self.device)
        mm = torch.einsum("ij,jzyx->izyx", matrix, self._points)
        for amount, control in zip(draw.elastic_mm, self.settings.elastic_control_mm, strict=True):
            mm = mm + amount * self._smooth(3, control, generator)
        spacing = torch.tensor(chosen.spacing_mm, dtype=torch.float32, device=self.device)
        centre = torch.tensor(draw.centre, dtype=torch.float32, device=self.device)
        return mm / spacing[:, None, None, None] + centre[:, None, None, None]

    def _smooth(self, channels: int, control_mm: float, generator: torch.Generator) -> Tensor:
        """(channels, Z, Y, X): standard normal values on a coarse grid, interpolated."""
        patch = self.settings.patch_size
        coarse = [max(2, round(n * s / control_mm) + 1) for n, s in zip(patch, self.settings.spacing_mm, strict=True)]
        values = torch.randn((1, channels, *coarse), generator=generator, device=self.device)
        return functional.interpolate(values, size=patch, mode="trilinear", align_corners=True)[0]

    def _sampling_grid(self, voxels: Tensor, first: Tensor, shape: torch.Size) -> Tensor:
        """(1, Z, Y, X, 3): grid_sample's coordinates, x first, -1 to 1 over the crop."""
        sizes = torch.tensor(shape, dtype=torch.float32, device=self.device)
        scaled = (voxels - first[:, None, None, None]) * (2 / (sizes - 1).clamp(min=1))[:, None, None, None] - 1
        return scaled.flip(0).permute(1, 2, 3, 0)[None]

    def _paint(self, tissue: Tensor, draw: SampleDraw, generator: torch.Generator) -> Tensor:
        """(z, y, x): an intensity per voxel of the map: its tissue's mean, and a fine and a coarse texture."""
        means, textures = (torch.from_numpy(values).to(self.device) for values in (draw.means, draw.textures))
        fine = torch.randn(tissue.shape, generator=generator, device=self.device)
        coarse_shape = [max(1, -(-n // 3)) for n in tissue.shape]
        coarse = torch.randn((1, 1, *coarse_shape), generator=generator, device=self.device)
        coarse = functional.interpolate(coarse, size=tissue.shape, mode="trilinear", align_corners=False)[0, 0]
        return means[tissue] + textures[tissue] * (fine + coarse)

    def _acquire(self, image: Tensor, draw: SampleDraw, generator: torch.Generator) -> Tensor:
        """Resolution, bias field, noise and gamma."""
        image = _blur(image, [draw.blur_mm / s for s in self.settings.spacing_mm])
        if max(draw.low_resolution) > 1:
            patch = self.settings.patch_size
            coarse = [max(1, round(n / factor)) for n, factor in zip(patch, draw.low_resolution, strict=True)]
            small = functional.interpolate(image[None], size=coarse, mode="trilinear", align_corners=False)
            image = functional.interpolate(small, size=patch, mode="trilinear", align_corners=False)[0]
        image = image * torch.exp(draw.bias * self._smooth(1, 40.0, generator))
        image = image + draw.noise * torch.randn(image.shape, generator=generator, device=self.device)
        low, high = image.amin(), image.amax()
        return ((image - low) / (high - low).clamp(min=1e-6)).pow(draw.gamma)

    def _show(self, image: Tensor, label: Tensor, draw: SampleDraw) -> tuple[Tensor, Tensor]:
        """What the network sees: percentiles clipped and z-scored over
        the field of view (without stripped voxels), zeros around it.
        """
        box = (slice(None), *(slice(a, a + n) for a, n in zip(draw.box_start, draw.box_size, strict=True)))
        seen = image[box]
        inside = seen[seen != 0] if draw.strip else seen.flatten()
        if inside.numel() < 2:
            inside = seen.flatten()
        low, high = torch.quantile(inside[::QUANTILE_STRIDE], torch.tensor(CLIP_PERCENTILES, device=self.device) / 100)
        clipped = inside.clamp(low, high)
        scaled = (seen.clamp(low, high) - clipped.mean()) / clipped.std().clamp(min=1e-6)
        if draw.strip:
            scaled = scaled * (seen != 0)
        shown, classes = torch.zeros_like(image), torch.zeros_like(label)
        shown[box], classes[box] = scaled, label[box]
        return shown, classes


def _blur(image: Tensor, sigmas: list[float]) -> Tensor:
    """Smooth (1, Z, Y, X) by a Gaussian of five taps along each axis. Edges keep their brightness: what the kernel
    misses outside is made up for.
    """
    from monai.networks.layers import gaussian_1d, separable_filtering

    kernels = [
        gaussian_1d(torch.tensor(sigma, device=image.device), TAPS / sigma, approx="sampled")
        for sigma in (max(sigma, LEAST_SIGMA) for sigma in sigmas)
    ]
    total, share = separable_filtering(torch.stack([image, torch.ones_like(image)]), kernels)
    return total / share


def synthetic_batches(
    synthesiser: Synthesiser, batch_size: int, seed: int, first: int, step: int = 1
) -> Iterator[dict[str, Any]]:
    """Endless batches {"image": (B, 1, Z, Y, X), "label": (B, 1, Z, Y, X), "cases": map names}: first, first + step,
    ...

    Each is a function of (seed, index) alone.
    """
    index = first
    while True:
        yield synthetic_batch(synthesiser, batch_size, seed, index)
        index += step


def synthetic_batch(synthesiser: Synthesiser, batch_size: int, seed: int, index: int) -> dict[str, Any]:
    """The batch of this index."""
    rng = np.random.default_rng([seed, index])
    draws = [draw_sample(synthesiser.maps, synthesiser.settings, rng) for _ in range(batch_size)]
    made = [synthesiser.make(draw) for draw in draws]
    return {
        "image": torch.stack([image for image, _ in made]),
        "label": torch.stack([label for _, label in made]),
        "cases": [synthesiser.maps.maps[draw.map_index].name for draw in draws],
    }
