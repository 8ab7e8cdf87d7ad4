"""The locator: a small U-Net on a coarse image of the whole scan, and its files."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hippopt import __version__
from hippopt.artifacts.codec import content_hash, decode, parse_json, write_json
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.regions import region_classes
from hippopt.artifacts.weights import LocatorCard
from hippopt.errors import PlanError, StaleArtifactError, WeightsError
from hippopt.imaging.arrays import Image, Probabilities
from hippopt.networks.tensor_files import read_state, save_tensors, tensors_sha256


@dataclass(frozen=True)
class ReadyLocator:
    """The locator of a ready model. classes: that it tells apart; channels: of its levels."""

    name: str
    model: nn.Module
    classes: tuple[str, ...]
    channels: tuple[int, ...]


def build_locator(plan: Plan, seed: int = 0, channels: tuple[int, ...] | None = None) -> nn.Module:
    """(B, C, z, y, x) -> logits (B, 1 + regions, z, y, x), sizes multiples of `multiple_of(plan)`.

    Random weights from `seed`. channels: in place of the plan's.
    """
    from monai.networks.nets import UNet

    assert plan.locator is not None
    channels = channels or plan.locator.channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(
            spatial_dims=3,
            in_channels=len(plan.channel_names),
            out_channels=1 + len(region_classes(plan)),
            channels=channels,
            strides=(2,) * (len(channels) - 1),
            num_res_units=1,
            norm="INSTANCE",
        )


def multiple_of(plan: Plan) -> int:
    """What the locator's input sizes must be multiples of."""
    assert plan.locator is not None
    return 2 ** (len(plan.locator.channels) - 1)


def pad_value(image: Image, plan: Plan) -> Image:
    """(C, 1, 1, 1): what lies beyond a coarse image (C, z, y, x): 0 where zeros are kept, else the darkest value."""
    if plan.normalisation.region == "nonzero":
        return np.zeros((len(image), 1, 1, 1), np.float32)
    return image.min((1, 2, 3), keepdims=True)


def coarse_probabilities(models: list[nn.Module], image: Image, plan: Plan) -> Probabilities:
    """(1 + regions, z, y, x) float32 of a coarse image (C, z, y, x): mean over the folds' locators."""
    unit = multiple_of(plan)
    sizes = [max(2 * unit, -(-size // unit) * unit) for size in image.shape[1:]]
    before = [(wide - size) // 2 for wide, size in zip(sizes, image.shape[1:], strict=True)]
    padded = np.empty((len(image), *sizes), np.float32)
    padded[:] = pad_value(image, plan)
    inside = tuple(slice(first, first + size) for first, size in zip(before, image.shape[1:], strict=True))
    padded[(slice(None), *inside)] = image
    with torch.inference_mode():
        total = torch.stack(
            [torch.softmax(model(torch.from_numpy(padded)[None]).float(), 1)[0] for model in models]
        ).mean(0)
    return total.numpy()[(slice(None), *inside)]


@dataclass(frozen=True)
class LocatorTraining:
    """How a locator came about. seen_images: content hashes of the scans; seconds: that it took; taken: whose it is."""

    fold: str
    seed: int
    seen_images: tuple[str, ...]
    seconds: float
    taken: ReadyLocator | None = None


def write_locator(weights: Path, card: Path, model: nn.Module, plan: Plan, made: LocatorTraining) -> None:
    """Write the tensors, then the card that makes them count."""
    tensors = dict(model.state_dict())
    save_tensors(weights, tensors)
    about = LocatorCard(
        plan_hash=content_hash(plan),
        fold=made.fold,
        seed=made.seed,
        in_channels=len(plan.channel_names),
        classes=("background", *region_classes(plan)),
        seen_images=tuple(sorted(set(made.seen_images))),
        sha256=tensors_sha256(tensors),
        seconds=round(made.seconds, 1),
        versions={
            "hippopt": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "monai")},
        },
        taken_from=made.taken.name if made.taken else "",
        channels=made.taken.channels if made.taken else None,
    )
    write_json(card, about)


def read_locator(weights: Path, card: Path, plan: Plan) -> tuple[nn.Module, LocatorCard]:
    """The locator of a fold, ready to be used. Raises WeightsError, StaleArtifactError."""
    try:
        text = card.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{card}: the fold's locator cannot be read ({error.strerror}); train the fold anew"
        ) from None
    return restore_locator(text, read_state(weights), plan, weights, card)


def restore_locator(
    text: bytes | str, tensors: Mapping[str, torch.Tensor], plan: Plan, weights: Path, card: Path
) -> tuple[nn.Module, LocatorCard]:
    """`read_locator` on what was read already; the paths are named in errors."""
    try:
        about = decode(parse_json(text, card), LocatorCard, card)
    except PlanError as error:
        raise WeightsError(f"{error}; train the fold anew") from None
    if about.plan_hash != content_hash(plan):
        raise StaleArtifactError(
            f"{weights}: trained with plan {about.plan_hash[:12]}, but the plan beside it has"
            f" {content_hash(plan)[:12]}; restore that plan.json, or train the fold anew"
        )
    if tensors_sha256(tensors) != about.sha256:
        raise WeightsError(f"{weights}: its content does not match its card; copy it anew or train the fold again")
    model = build_locator(plan, channels=about.channels)
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise WeightsError(
            f"{weights}: not a locator of this plan ({str(error).splitlines()[0]}); train the fold anew"
        ) from None
    return model.eval(), about
