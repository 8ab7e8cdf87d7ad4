"""Stage: what a model that has seen no label judges masks by, from synthetic scans of maps that no training saw: a
predicted Dice, and the usual contrast.
"""

import math

import msgspec
import numpy as np
import torch

from hippopt.artifacts.calibration import Calibration
from hippopt.artifacts.model_file import UsualContrast
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.regions import LEFT
from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.artifacts.weights import AdapterCard
from hippopt.batches.label_maps import ANTERIOR, POSTERIOR, LabelMaps
from hippopt.batches.synthesis import Synthesiser, synthetic_batch
from hippopt.console import Console
from hippopt.imaging.mask_parts import dice
from hippopt.inference.calibration import fit_calibration
from hippopt.inference.contrast import contrast_around
from hippopt.inference.region_windows import Ensemble, window_probabilities
from hippopt.inference.signal_table import SignalTable
from hippopt.inference.signals import SIGNALS, SignalCollector

SCANS, SEED = 60, 2**31 + 1  # of crops, which are half of the whole scans that they stand for
ON = "synthetic scans of label maps that no training saw, not on people's"

AROUND_MM = 10.0  # wide enough for white matter on every side, too narrow for skull and air
CONTRASTS = 60  # stripped scans of T1-like contrast, without what a bad scanner adds
# maps with wide ventricles reach 0 and beyond; an inverted scan of an ordinary brain lies above all of them
SHARE, MARGIN = (5, 95), 0.15


def contrast_on_maps(maps: LabelMaps, synthesis: SynthesisSettings, plan: Plan) -> UsualContrast:
    """The contrasts of T1-like scans made from maps, the middle nine tenths of them, widened by MARGIN on each side."""
    settings = msgspec.structs.replace(
        _full_windows(synthesis, plan),
        share_t1=1.0,
        p_strip=1.0,
        p_low_resolution=0.0,
        bias_field=0.0,
        gamma=0.0,
    )
    made = Synthesiser(maps, settings, torch.device("cpu"))
    found = []
    for index in range(CONTRASTS):
        batch = synthetic_batch(made, 1, SEED, index)
        label = batch["label"][0, 0].numpy()
        truth = ((label == ANTERIOR) | (label == POSTERIOR)).astype(np.uint8)
        value = contrast_around(batch["image"][0, 0].numpy(), truth, plan.target_spacing_mm, AROUND_MM)
        found += [value] if value is not None else []
    low, high = np.percentile(found, SHARE)
    return UsualContrast(
        fingerprint_hash=plan.fingerprint_hash,
        low=round(float(low) - MARGIN, 3),
        high=round(float(high) + MARGIN, 3),
        around_mm=AROUND_MM,
    )


def calibrate_on_maps(
    ensemble: Ensemble, maps: LabelMaps, synthesis: SynthesisSettings, card: AdapterCard, console: Console
) -> Calibration | None:
    """Fit a model's predicted Dice on synthetic scans of maps, each map being a fold of its own.

    Args:
        ensemble: the network, its plan and how it looks at a scan.
        maps: that neither the network nor the locator has seen.
        synthesis: how the base's own scans were made; here the windows are full.
        card: of the network.
        console: shows a bar.

    Returns:
        What tells a mask's Dice from the networks' own signals; None where too few maps are held out, or too few of
        their scans segmented.

    Raises:
        ValueError: the plan has not exactly one label of the left side and its twin of the right.
    """
    plan = ensemble.plan
    made = Synthesiser(maps, _full_windows(synthesis, plan), torch.device("cpu"))
    ((left, right),) = plan.class_sides.pairs
    names = (plan.class_names[left], plan.class_names[right])
    rows: list[tuple[str, str, list[float], float, float]] = []
    for index in console.track(range(SCANS), "calibrate on synthetic scans", SCANS):
        batch = synthetic_batch(made, 1, SEED, index)
        image, label = batch["image"][0].numpy(), batch["label"][0, 0].numpy()
        truth = (label == ANTERIOR) | (label == POSTERIOR)
        # a crop has no side: it is shown as a left window, whose second label stays empty as in one of a whole scan
        collector = SignalCollector({names[0]: left}, ())
        found = window_probabilities(
            ensemble.models, image, LEFT, plan, ensemble.windows, ensemble.device, collector.look
        )
        mask = found.argmax(0) == left
        own = collector.signals()[0].get(names[0])
        if own is None or not truth.any() or not mask.any():
            continue
        signals = [float(getattr(own, name)) for name in SIGNALS]
        rows.append((str(batch["cases"][0]), str(index), signals, dice(mask, truth), truth.sum() / mask.sum()))
    table = SignalTable(
        cases=np.array([row[1] for row in rows for _ in names], str),
        folds=np.array([row[0] for row in rows for _ in names], str),
        labels=np.array([name for _ in rows for name in names], str),
        values=np.array([row[2] for row in rows for _ in names], float).reshape(-1, len(SIGNALS)),
        dice=np.array([row[3] for row in rows for _ in names], float),
        log_ratio=np.array([math.log(row[4]) for row in rows for _ in names], float),
    )
    found_fit = fit_calibration(table, card.plan_hash, {card.fold: card.sha256})
    if found_fit is None:
        console.say("too few maps are held out, or too few scans of them segmented: no predicted Dice")
        return None
    console.say(
        f"predicted Dice on {len(rows)} {ON}: mean Dice {np.mean([row[3] for row in rows]):.3f}; {found_fit.verdict}"
    )
    return msgspec.structs.replace(found_fit, on=ON)


def _full_windows(synthesis: SynthesisSettings, plan: Plan) -> SynthesisSettings:
    """How the base's own scans were made, but on the plan's windows and voxels, which they fill."""
    return msgspec.structs.replace(
        synthesis, patch_size=plan.patch_size, spacing_mm=plan.target_spacing_mm, p_field_of_view=0.0
    )
