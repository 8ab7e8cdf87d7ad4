"""Stage 6: validate a trained fold on whole cases, in the scan's own grid, with the files that prediction will use."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hippopt.artifacts.codec import remove_leftovers
from hippopt.artifacts.dataset import Dataset
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.properties import CacheEntry
from hippopt.artifacts.weights import BaseCard
from hippopt.batches.patches import TrainingCase
from hippopt.console import Console, counted
from hippopt.errors import ImageError
from hippopt.files.image_io import mask_ending, write_mask
from hippopt.files.label_reading import label_on_grid, read_label
from hippopt.imaging.arrays import StoredMask
from hippopt.imaging.preparation import mask_of_parts, restore_mask
from hippopt.inference.locating import locate_prepared
from hippopt.inference.part_borders import learned_borders, place_borders
from hippopt.inference.region_windows import Ensemble, segment_located
from hippopt.inference.signal_table import ScoredSignals, write_signals
from hippopt.inference.signals import SignalCollector, signal_flips
from hippopt.inference.windows import Look, WindowSettings, predict_probabilities
from hippopt.networks.locator import read_locator
from hippopt.networks.restoring import read_card, restore
from hippopt.reporting.scores import say_summary
from hippopt.result_folders import FoldFolder
from hippopt.scoring.metrics import score_case
from hippopt.scoring.tables import ScoredCase, case_table, summarise, write_csv, write_json
from hippopt.stop_signals import StopSignals


@dataclass(frozen=True)
class ValidationInputs:
    """What a fold is validated on, and with.

    dataset: gives the raw labels that the masks are scored against, in their own grids. cases: the validation cases as
    preprocessed. base: tensors and card of the base; None where the fold began from random weights.
    """

    plan: Plan
    dataset: Dataset
    cases: list[tuple[TrainingCase, CacheEntry]]
    base: tuple[Mapping[str, torch.Tensor], BaseCard] | None
    device: torch.device


def validate_fold(inputs: ValidationInputs, folder: FoldFolder, console: Console, stop: StopSignals) -> float:
    """Validate a fold on whole cases: write masks, `metrics.csv`, `signals.csv` and `summary.json` of its last
    checkpoint.

    The caller holds the fold's lock.

    Args:
        inputs: plan, data set, cases, base and device.
        folder: the fold's folder.
        console: progress goes here.
        stop: a stop signal ends the work between two cases.

    Returns:
        The mean foreground Dice.

    Raises:
        Interrupted: after a signal.
    """
    plan, dataset, cases = inputs.plan, inputs.dataset, inputs.cases
    remove_leftovers(folder.validation)
    card = read_card(folder.adapter_card)
    tuned = restore(card, folder.adapter, folder.initial_factors, inputs.base, plan)
    tuned.adaptation.merge()
    model = tuned.model.to(inputs.device)
    raw = {case.id: case for case in dataset.cases}
    flips = signal_flips(plan.flip_axes)
    settings = WindowSettings(
        plan.patch_size, len(plan.network_classes), swap=plan.swapped_classes, also_shown=flips, shown_networks=1
    )
    ensemble = Ensemble([model], plan, settings, inputs.device)
    locator = read_locator(folder.locator, folder.locator_card, plan)[0] if plan.locator else None
    foreground = {name: value for name, value in plan.labels.items() if value}
    classes = {name: index for index, name in enumerate(plan.class_names) if index}
    learned = learned_borders([card])
    scored, signal_rows = [], []
    for case, entry in console.track(cases, "validate", len(cases)):
        stop.stop_if_asked("in validation")
        collector = SignalCollector(classes, flips)
        if locator is not None:
            mask, doubts = _locate_and_segment(ensemble, locator, case, entry, collector.look)
            for doubt in doubts:
                console.warn(f"{case.id}: {doubt}")
        else:
            probabilities = predict_probabilities(
                [model], np.asarray(case.image), settings, inputs.device, collector.look
            )
            probabilities = place_borders(probabilities, learned, plan.class_names, plan.target_spacing_mm)
            mask = restore_mask(probabilities, entry.properties, plan.label_values)
        label = read_label(Path(raw[case.id].label))
        label = label_on_grid(label, entry.properties.grid) or label
        if label.array.shape != mask.shape:
            raise ImageError(
                f"{label.path}: changed since preprocessing; run `hippopt_plan {plan.dataset} --overwrite`"
            )
        write_mask(folder.validation / (case.id + mask_ending(label.path)), mask, label)
        scores = score_case(mask, label.array.astype(np.int32), label.grid.spacing_mm, foreground)
        own = collector.signals()[0]
        signal_rows += [
            ScoredSignals(
                case.id,
                score.label,
                score.dice,
                score.volume_predicted_mm3,
                score.volume_reference_mm3,
                own[score.label],
            )
            for score in scores
            if score.label in own and min(score.volume_predicted_mm3, score.volume_reference_mm3) > 0
        ]
        scored.append(ScoredCase(case.id, raw[case.id].subject, tuple(scores)))
    table = case_table(scored)
    write_csv(folder.metrics, table)
    write_signals(folder.signals, signal_rows)
    about = {
        "checkpoint": "last",
        "step": card.step,
        "best_checkpoint": (
            f"step {card.settings.get('best_step')}, chosen on these validation cases: figures from it are optimistic"
        ),
    }
    summary = summarise(table)
    write_json(folder.summary, summary, about)
    console.say(f"validation of the last checkpoint, {counted(len(cases), 'whole case')}, each in its own grid:")
    return say_summary(summary, console)


def _locate_and_segment(
    ensemble: Ensemble, locator: nn.Module, case: TrainingCase, entry: CacheEntry, look: Look
) -> tuple[StoredMask, tuple[str, ...]]:
    """(the mask in the scan's own grid, what is odd about it), as prediction makes it."""
    located = locate_prepared(locator, case.image, entry.properties, ensemble.plan)
    found = segment_located(ensemble, located, np.asarray(case.image), entry.properties, look)
    return (
        mask_of_parts([((slice(None),) * 3, found.probabilities)], found.properties, ensemble.plan.label_values),
        found.warnings,
    )
