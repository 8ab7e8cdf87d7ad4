"""Stage: segment with a base as it is, before any fine-tuning, by what its own classes mean."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from hippopt.artifacts.dataset import Case
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import BaseCard
from hippopt.console import Console
from hippopt.files.image_io import mask_ending, write_mask
from hippopt.files.scan_listing import ScanFiles
from hippopt.imaging.arrays import Probabilities
from hippopt.imaging.preparation import place_in_scan, restored_slabs
from hippopt.inference.loading import load_scan
from hippopt.inference.windows import WindowSettings, predict_probabilities
from hippopt.machine import machine_bytes
from hippopt.networks.base_weights import load_base
from hippopt.networks.heads import similar_classes
from hippopt.networks.unetr import build_unetr


def labels_meant(card: BaseCard, plan: Plan) -> list[list[int]] | None:
    """For each class of the plan the base's classes that mean it, the background first; None where a label has none."""
    if card.class_names is None or card.in_channels != len(plan.channel_names):
        return None
    found = similar_classes(card.class_names, plan.class_names)
    return found if all(found[1:]) else None


def segment_by_base(
    base: tuple[dict[str, torch.Tensor], BaseCard],
    plan: Plan,
    cases: Sequence[Case],
    folder: Path,
    device: torch.device,
    console: Console,
) -> None:
    """Write a mask per case into `folder`; those that are there are kept.

    A voxel belongs to the structure where the base's classes that mean any label are together more likely than all
    others, and to that label whose classes are the most likely there. The base sees scans at its own spacing,
    normalised as its own were, in windows of its own patch size over the whole scan.

    Args:
        base: (tensors, card) of a base whose classes mean all labels (`labels_meant`).
        plan: gives labels, channels and crop.
        cases: scans to segment.
        folder: of the masks.
        device: to compute on.
        console: shows a bar.

    Raises:
        ImageError: a scan cannot be read.
    """
    state, card = base
    meant = labels_meant(card, plan)
    assert meant is not None
    seen = msgspec.structs.replace(
        plan,
        target_spacing_mm=card.spacing_mm or plan.target_spacing_mm,
        normalisation=card.normalisation or plan.normalisation,
        locator=None,
    )
    model = build_unetr(card.in_channels, card.out_channels, card.patch_size, card.network)
    load_base(model, state, card.patch_size, card.patch_size, card.name)
    model.to(device).eval()
    settings = WindowSettings(card.patch_size, card.out_channels)
    for case in console.track(cases, "segment by the base", len(cases)):
        path = folder / (case.id + mask_ending(Path(case.channels[0])))
        if path.exists():
            continue
        loaded = load_scan(
            ScanFiles(case.id, tuple(Path(channel) for channel in case.channels)), seen, None, machine_bytes()
        )
        values = np.zeros(loaded.properties.crop_shape, np.uint16)
        if not loaded.empty:
            probabilities = predict_probabilities([model], loaded.image, settings, device)
            for where, part in restored_slabs(merged(probabilities, meant), loaded.properties):
                values[where] = labelled(part, plan.label_values)
        write_mask(path, place_in_scan(values, loaded.properties), loaded.scan)


def merged(probabilities: Probabilities, meant: Sequence[Sequence[int]]) -> Probabilities:
    """(base's classes, Z, Y, X) -> (1 + labels, Z, Y, X): of any label, then of each."""
    structure = sorted({index for sources in meant[1:] for index in sources})
    return np.stack([probabilities[structure].sum(0), *(probabilities[list(sources)].sum(0) for sources in meant[1:])])


def labelled(found: Probabilities, label_values: Sequence[int]) -> npt.NDArray[np.uint16]:
    """(Z, Y, X), of `merged`: the value of the likeliest label where any label is likelier than none, else 0."""
    values = np.array(label_values, dtype=np.uint16)
    return np.where(found[0] > 0.5, values[1:][found[1:].argmax(0)], values[0])
