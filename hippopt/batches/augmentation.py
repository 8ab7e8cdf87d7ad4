"""Batches of augmented patches: the only importer of batchgenerators and batchgeneratorsv2.

Every batch is a function of (seed, index) alone, whichever process makes it, so a resumed run sees the same batches.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.data_loader import SlimDataLoaderBase
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform

from hippopt.artifacts.plan import AugmentationSettings, Plan
from hippopt.artifacts.triples import Voxels
from hippopt.batches.patches import TrainingCase, cut, draw_start
from hippopt.batches.region_patches import as_network_sees, draw_place
from hippopt.batches.worker_processes import open_workers
from hippopt.imaging.orientation import AXIS_INDEX

ROTATION_MARGIN = 0.15  # share of the patch read beyond it, so that rotated corners hold tissue and not zeros


class MirrorWithSwap(BasicTransform):
    """Mirror each allowed axis with probability 1/2; a mirror along x also swaps the paired classes."""

    def __init__(self, axes: tuple[str, ...], swap_classes: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.axes = axes
        self.swap_classes = swap_classes

    def get_parameters(self, **data: Any) -> dict[str, Any]:
        return {"axes": [axis for axis in self.axes if torch.rand(1).item() < 0.5]}

    def _apply_to_image(self, img: torch.Tensor, **params: Any) -> torch.Tensor:
        return torch.flip(img, [1 + AXIS_INDEX[axis] for axis in params["axes"]]) if params["axes"] else img

    def _apply_to_segmentation(self, segmentation: torch.Tensor, **params: Any) -> torch.Tensor:
        flipped = self._apply_to_image(segmentation, **params)
        return swap_classes(flipped, self.swap_classes) if "x" in params["axes"] else flipped


def swap_classes(label: torch.Tensor, pairs: tuple[tuple[int, int], ...]) -> torch.Tensor:
    """Exchange the two classes of every pair."""
    if not pairs:
        return label
    out = label.clone()
    for first, second in pairs:
        out[label == first], out[label == second] = second, first
    return out


def build_transforms(
    settings: AugmentationSettings, patch: Voxels, flip_axes: tuple[str, ...], swap: tuple[tuple[int, int], ...]
) -> ComposeTransforms:
    """nnU-Net's order of transforms, with the plan's probabilities and ranges."""
    angle = float(np.deg2rad(settings.rotation_degrees))

    def sometimes(transform: BasicTransform, probability: float) -> RandomTransform:
        return RandomTransform(transform, apply_probability=probability)

    contrast = BGContrast(settings.contrast)
    return ComposeTransforms(
        [
            SpatialTransform(
                patch,
                patch_center_dist_from_border=0,
                random_crop=False,
                p_rotation=settings.p_rotation,
                rotation=(-angle, angle),
                p_scaling=settings.p_scaling,
                scaling=settings.scaling,
                p_synchronize_scaling_across_axes=1,
                p_elastic_deform=settings.p_elastic,
                elastic_deform_scale=settings.elastic_scale,
                elastic_deform_magnitude=settings.elastic_voxels,
                bg_style_seg_sampling=False,
                mode_seg="bilinear",
            ),
            sometimes(
                GaussianNoiseTransform(settings.noise_variance, p_per_channel=1, synchronize_channels=True),
                settings.p_noise,
            ),
            sometimes(GaussianBlurTransform(settings.blur_sigma, p_per_channel=0.5), settings.p_blur),
            sometimes(
                MultiplicativeBrightnessTransform(BGContrast(settings.brightness), False, 1), settings.p_brightness
            ),
            sometimes(
                ContrastTransform(contrast, preserve_range=True, synchronize_channels=False, p_per_channel=1),
                settings.p_contrast,
            ),
            sometimes(
                SimulateLowResolutionTransform(settings.low_resolution, False, True, ignore_axes=(), p_per_channel=0.5),
                settings.p_low_resolution,
            ),
            sometimes(GammaTransform(BGContrast(settings.gamma), 1, False, 1, 1), settings.p_inverted_gamma),
            sometimes(GammaTransform(BGContrast(settings.gamma), 0, False, 1, 1), settings.p_gamma),
            MirrorWithSwap(flip_axes, swap),
        ]
    )


class PatchLoader(SlimDataLoaderBase):
    """Endless batches {"image": (B, C, Z, Y, X) float32, "label": (B, 1, Z, Y, X) int16, "cases": ids}.

    Batch `index` depends on (seed, index) only. The indices are first, first + step, ...; of these the k-th of n
    workers makes every n-th, beginning at its k-th.
    """

    def __init__(
        self, cases: list[TrainingCase], plan: Plan, seed: int, first: int, workers: int, step: int = 1
    ) -> None:
        super().__init__(cases, plan.batch_size, max(workers, 1))
        self.plan, self.seed, self.first, self.workers, self.step = plan, seed, first, workers, step
        self.transforms = build_transforms(plan.augmentation, plan.patch_size, plan.flip_axes, plan.swapped_classes)
        self.made = 0

    def generate_train_batch(self) -> dict[str, Any]:
        index = self.first + (self.thread_id + self.made * max(self.workers, 1)) * self.step
        self.made += 1
        return self.batch(index)

    def batch(self, index: int) -> dict[str, Any]:
        """The batch of this index."""
        rng = np.random.default_rng([self.seed, index])
        # the transforms draw from the global generators
        np.random.seed(int(rng.integers(2**32)))  # noqa: NPY002
        torch.manual_seed(int(rng.integers(2**63)))
        patch = self.plan.patch_size
        margin = [int(np.ceil(size * ROTATION_MARGIN)) for size in patch]
        images, labels, ids = [], [], []
        for _ in range(self.plan.batch_size):
            case = self._data[int(rng.integers(len(self._data)))]
            region = None
            if self.plan.locator is not None:
                start, region = draw_place(case, self.plan, rng)
            else:
                start = draw_start(case, patch, rng.random() < self.plan.foreground_oversampling, rng)
            wide_start = (start[0] - margin[0], start[1] - margin[1], start[2] - margin[2])
            wide = (patch[0] + 2 * margin[0], patch[1] + 2 * margin[1], patch[2] + 2 * margin[2])
            image, label = cut(case.image, wide_start, wide), cut(case.label, wide_start, wide).astype(np.int16)
            if region is not None:
                image, label = as_network_sees(image, label, self.plan, region)
            sample = self.transforms(image=torch.from_numpy(image), segmentation=torch.from_numpy(label)[None])
            images.append(sample["image"].float())
            labels.append(sample["segmentation"])
            ids.append(case.id)
        return {"image": torch.stack(images), "label": torch.stack(labels), "cases": ids}


@contextlib.contextmanager
def open_batches(
    cases: list[TrainingCase], plan: Plan, seed: int, first: int, workers: int, step: int = 1
) -> Iterator[Iterator[dict[str, Any]]]:
    """Batches of indices first, first + step, ..., made in this
    process (workers 0) or in worker processes, ended on exit.
    """
    loader = PatchLoader(cases, plan, seed, first, workers, step)
    if workers == 0:
        yield iter(loader)
        return
    with open_workers(loader, workers) as batches:
        yield batches
