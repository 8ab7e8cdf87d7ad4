"""Segment one prepared scan: the mask in its own grid, its rows of
volumes.tsv, and what else is wanted. Nothing is written.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hippopt.artifacts.calibration import Calibration
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.postprocessing import structures
from hippopt.artifacts.properties import CaseProperties
from hippopt.imaging.arrays import Image, Probabilities, StoredMask, Values, value_dtype
from hippopt.imaging.mask_parts import keep_largest_parts
from hippopt.imaging.postprocessing import postprocess
from hippopt.imaging.preparation import own_parts, place_in_scan, restored_slabs
from hippopt.imaging.straightening import Part
from hippopt.inference.calibration import predicted_dice
from hippopt.inference.flags import CONSTANT, SEEN, UNLIKE
from hippopt.inference.loading import LoadedScan
from hippopt.inference.locating import Located
from hippopt.inference.part_borders import place_borders
from hippopt.inference.region_windows import Ensemble, LocatedProbabilities, segment_located
from hippopt.inference.signals import FLIPPED_NETWORKS, SignalCollector, Signals, normalised_entropy, signal_flips
from hippopt.inference.volumes import Standards, Sureness, VolumeRow, contrast_warning, volume_rows
from hippopt.inference.windows import predict_probabilities

ENTROPY_DIGITS = 4  # of the uncertainty map: what is certain becomes 0, and the file small


@dataclass(frozen=True)
class Wanted:
    """What else than the mask."""

    probabilities: bool = False
    uncertainty: bool = False


@dataclass(frozen=True)
class Segmentation:
    """Arrays lie in the scan's own grid, on the file's axes. mask: (Z, Y, X) label values; rows: one per label.

    uncertainty: (Z, Y, X) float32, entropy of the mean probabilities over its largest value; probabilities: (L, Z, Y,
    X). Both None where they are not wanted, or nothing can be found since the scan is constant.
    """

    mask: StoredMask
    rows: list[VolumeRow]
    warnings: list[str]
    uncertainty: Values | None = None
    probabilities: Probabilities | None = None


def segment(loaded: LoadedScan, ensemble: Ensemble, standards: Standards, wanted: Wanted) -> Segmentation:
    """Segment one prepared scan. Nothing is written.

    Args:
        loaded: the scan, image (C, Z, Y, X) on RAS axes at the plan's spacing, and the way back to its own grid.
        ensemble: the networks, their plan, and how they look at a scan.
        standards: what the mask is judged by.
        wanted: which maps are wanted besides the mask.

    Returns:
        The mask (Z, Y, X) in the scan's own grid with label values, rows of volumes.tsv (mm3), warnings, and the maps
        that were wanted.

    Raises:
        Interrupted: a signal came in the middle of a scan that would have taken long, where the ensemble's
            `windows.watch` looks for one.
        torch.OutOfMemoryError: one window alone does not fit the memory of the GPU.
    """
    plan = ensemble.plan
    name, scan, properties = loaded.files.id, loaded.scan, loaded.properties
    dtype = value_dtype(max(plan.label_values))
    values = np.array(plan.label_values, dtype)
    sureness, notes, flags = Sureness(), list[str](), [CONSTANT] if loaded.empty else []
    flags += [SEEN] if loaded.image_hash in standards.seen else []
    parts: Iterable[Part] = ()
    if loaded.located is not None:
        seen, sureness = _located(loaded, loaded.located, ensemble, standards.calibration)
        properties, parts = seen.properties, [((slice(None),) * 3, seen.probabilities)]
        flags += seen.flags
        notes += [f"{name}: {warning}" for warning in seen.warnings]
    elif not loaded.empty:
        found, sureness = _looked_at(loaded.image, ensemble, standards.calibration)
        found = place_borders(found, ensemble.borders, plan.class_names, plan.target_spacing_mm)
        parts = restored_slabs(found, properties)
    properties, parts = own_parts(parts, properties, len(values))
    cropped = np.zeros(properties.crop_shape, dtype)
    entropy = np.zeros(properties.crop_shape, np.float32) if wanted.uncertainty and not loaded.empty else None
    probabilities = None
    if wanted.probabilities and not loaded.empty:
        probabilities = np.zeros((len(values), *properties.crop_shape), np.float32)
        probabilities[0] = 1
    for where, part in parts:
        cropped[where] = values[part.argmax(0)]
        if entropy is not None:
            entropy[where] = np.round(normalised_entropy(part), ENTROPY_DIGITS)
        if probabilities is not None:
            probabilities[(slice(None), *where)] = part
    if plan.one_part:
        keep_largest_parts(cropped)
    mask = place_in_scan(cropped, properties)
    mask = postprocess(mask, ensemble.postprocessing, structures(plan.labels, plan.sides), scan.grid.spacing_mm)
    warning = contrast_warning(name, mask, scan, standards.contrast)
    flags += [UNLIKE] if warning else []
    notes += [warning] if warning else []
    return Segmentation(
        mask, volume_rows(name, mask, scan, plan, standards, sureness, flags), notes,
        None if entropy is None else place_in_scan(entropy, properties),
        None if probabilities is None else _placed(probabilities, properties),
    )  # fmt: skip


def _looked_at(image: Image, ensemble: Ensemble, calibration: Calibration | None) -> tuple[Probabilities, Sureness]:
    """Mean probabilities (L, Z, Y, X), and how sure the networks are of them.

    Only a calibration is worth extra flips.
    """
    flips = signal_flips(ensemble.plan.flip_axes) if calibration and "flip_dice" in calibration.signals else ()
    collector = SignalCollector(_labels(ensemble.plan), flips)
    shown = replace(ensemble.windows, also_shown=flips, shown_networks=FLIPPED_NETWORKS)
    found = predict_probabilities(ensemble.models, image, shown, ensemble.device, collector.look)
    return found, _sureness(collector, found, ensemble, calibration)


def _located(
    loaded: LoadedScan, located: Located, ensemble: Ensemble, calibration: Calibration | None
) -> tuple[LocatedProbabilities, Sureness]:
    """As `_looked_at`, in windows around what was located; no flips are shown there, nor were they in validation."""
    collector = SignalCollector(_labels(ensemble.plan), ())
    seen = segment_located(ensemble, located, loaded.image, loaded.properties, collector.look)
    return seen, _sureness(collector, seen.mean, ensemble, calibration)


def _labels(plan: Plan) -> dict[str, int]:
    return {label: index for index, label in enumerate(plan.class_names) if index}


def _sureness(
    collector: SignalCollector, mean: Probabilities, ensemble: Ensemble, calibration: Calibration | None
) -> Sureness:
    judged = collector.signals()[: ensemble.judged]  # a calibration knows the networks of its own run only
    dice = _mean_dice(calibration, judged, _labels(ensemble.plan)) if calibration else {}
    return Sureness(dice, collector.agreement(mean))


def _mean_dice(
    calibration: Calibration, signals: Sequence[dict[str, Signals]], labels: Collection[str]
) -> dict[str, float]:
    """Mean over the networks of the Dice that each one's own signals predict, by label."""
    means = {}
    for label in labels:
        each = [predicted_dice(calibration, label, found.get(label)) for found in signals]
        known = [value for value in each if value is not None]
        if known:
            means[label] = float(np.mean(known))
    return means


def _placed(probabilities: Probabilities, properties: CaseProperties) -> Probabilities:
    """(L, Z, Y, X) in the scan's full grid; beyond the crop all is background."""
    full = place_in_scan(probabilities, properties)
    outside = place_in_scan(np.ones(probabilities.shape[1:], bool), properties) == 0
    full[0][outside] = 1
    return full
