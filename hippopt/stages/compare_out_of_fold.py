"""Stage: score runs, their ensembles and post-processing on validation cases, by networks that had not seen them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hippopt.artifacts.dataset import Case, Dataset
from hippopt.artifacts.part_borders import PartBorders
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.postprocessing import Postprocessing, structures
from hippopt.artifacts.properties import CacheEntry
from hippopt.artifacts.weights import BaseCard
from hippopt.batches.patches import TrainingCase
from hippopt.console import Console
from hippopt.errors import ImageError, Interrupted, WeightsError
from hippopt.files.image_io import mask_ending
from hippopt.files.label_reading import label_on_grid, read_label
from hippopt.files.scan import Scan
from hippopt.imaging.arrays import LabelMask, Probabilities, StoredMask
from hippopt.imaging.postprocessing import postprocess
from hippopt.imaging.preparation import mask_of_parts, restore_mask
from hippopt.inference.locating import locate_prepared
from hippopt.inference.part_borders import learned_borders, place_borders
from hippopt.inference.region_windows import Ensemble, segment_located
from hippopt.inference.windows import WindowSettings, predict_probabilities
from hippopt.networks.locator import read_locator
from hippopt.networks.restoring import read_card, restore
from hippopt.result_folders import FoldFolder
from hippopt.scoring.metrics import score_case
from hippopt.scoring.tables import ScoredCase
from hippopt.stop_signals import StopSignals

Together = tuple[str, ...]  # runs that predict together
Base = tuple[Mapping[str, torch.Tensor], BaseCard]


@dataclass(frozen=True)
class FoldToScore:
    """One fold of all compared runs. cases: as preprocessed; folders: by run."""

    cases: Sequence[tuple[TrainingCase, CacheEntry]]
    folders: Mapping[str, FoldFolder]


@dataclass(frozen=True)
class ComparisonInputs:
    """What is compared. plans: of each run, which prepare scans alike; bases: by sha256, of those the runs began from.

    together: single runs, whose masks lie in their folds already, and ensembles, which are predicted anew.
    """

    dataset: Dataset
    plans: Mapping[str, Plan]
    bases: Mapping[str, Base]
    together: Sequence[Together]
    postprocessing: Sequence[Postprocessing]
    device: torch.device

    @property
    def plan(self) -> Plan:
        """Of the first run: what it says of scans and classes holds for all."""
        return next(iter(self.plans.values()))


@dataclass(frozen=True)
class _Network:
    model: nn.Module
    borders: tuple[PartBorders, ...]
    locator: nn.Module | None


Scores = dict[tuple[Together, Postprocessing], list[ScoredCase]]


def compare_out_of_fold(
    inputs: ComparisonInputs, folds: Sequence[FoldToScore], console: Console, signals: StopSignals
) -> Scores:
    """Score every candidate with every post-processing on every validation case.

    Args:
        inputs: runs, candidates, device.
        folds: validation cases, and where each run's fold lies.
        console: shows a bar.
        signals: a stop signal ends the work between two cases.

    Returns:
        (runs together, post-processing) -> scores, one per case, in the same order.

    Raises:
        ImageError: a scan, label or mask cannot be read, or was changed.
        WeightsError: a fold's weights are damaged.
        Interrupted: after a signal.
    """
    raw = {case.id: case for case in inputs.dataset.cases}
    scores: Scores = {(runs, each): [] for runs in inputs.together for each in inputs.postprocessing}
    work = [(fold, number) for fold in folds for number in range(len(fold.cases))]
    networks: dict[str, _Network] = {}
    for fold, number in console.track(work, "compare", len(work)):
        if signals.number is not None:
            raise Interrupted("stopped by a signal; nothing was written, start it again", 128 + signals.number)
        if number == 0:
            networks = _open(inputs, fold)
        case, entry = fold.cases[number]
        label = _reference(raw[case.id], entry, inputs)
        for runs, mask in _masks(inputs, fold, networks, (case, entry), label):
            _score(scores, runs, mask, raw[case.id], label, inputs)
    return scores


def _open(inputs: ComparisonInputs, fold: FoldToScore) -> dict[str, _Network]:
    """The fold's networks of the runs that predict with others."""
    needed = {run for runs in inputs.together if len(runs) > 1 for run in runs}
    found = {}
    for run, folder in fold.folders.items():
        if run not in needed:
            continue
        plan, card = inputs.plans[run], read_card(folder.adapter_card)
        base = inputs.bases.get(card.base_sha256) if card.base_sha256 else None
        tuned = restore(card, folder.adapter, folder.initial_factors, base, plan)
        tuned.adaptation.merge()
        locator = read_locator(folder.locator, folder.locator_card, plan)[0] if plan.locator else None
        found[run] = _Network(tuned.model.to(inputs.device).eval(), tuple(learned_borders([card])), locator)
    return found


def _masks(
    inputs: ComparisonInputs,
    fold: FoldToScore,
    networks: Mapping[str, _Network],
    case: tuple[TrainingCase, CacheEntry],
    label: Scan,
) -> Sequence[tuple[Together, StoredMask]]:
    """(runs together, mask in the scan's own grid) of one case."""
    probabilities: dict[str, Probabilities] = {}
    found: list[tuple[Together, StoredMask]] = []
    for runs in inputs.together:
        if len(runs) == 1:
            path = fold.folders[runs[0]].validation / (case[0].id + mask_ending(label.path))
            if not path.exists():
                raise WeightsError(f"{path}: the mask of the validation is gone; validate the fold anew by training it")
            found.append((runs, read_label(path).array))
        elif inputs.plan.locator is not None:
            found.append((runs, _located([networks[run] for run in runs], inputs, case)))
        else:
            for run in runs:
                if run not in probabilities:
                    image = np.asarray(case[0].image)
                    probabilities[run] = predict_probabilities(
                        [networks[run].model], image, _windows(inputs.plan), inputs.device
                    )
            mean = np.asarray(np.mean([probabilities[run] for run in runs], axis=0, dtype=np.float32))
            borders = [border for run in runs for border in networks[run].borders]
            mean = place_borders(mean, borders, inputs.plan.class_names, inputs.plan.target_spacing_mm)
            found.append((runs, restore_mask(mean, case[1].properties, inputs.plan.label_values)))
    return found


def _windows(plan: Plan) -> WindowSettings:
    return WindowSettings(plan.patch_size, len(plan.network_classes), swap=plan.swapped_classes)


def _located(
    networks: Sequence[_Network], inputs: ComparisonInputs, case: tuple[TrainingCase, CacheEntry]
) -> StoredMask:
    """By the first run's locator, as prediction does it."""
    plan, (training, entry) = inputs.plan, case
    locator = networks[0].locator
    assert locator is not None
    located = locate_prepared(locator, training.image, entry.properties, plan)
    ensemble = Ensemble([each.model for each in networks], plan, _windows(plan), inputs.device)
    found = segment_located(ensemble, located, np.asarray(training.image), entry.properties)
    return mask_of_parts([((slice(None),) * 3, found.probabilities)], found.properties, plan.label_values)


def _reference(case: Case, entry: CacheEntry, inputs: ComparisonInputs) -> Scan:
    label = read_label(Path(case.label))
    return label_on_grid(label, entry.properties.grid) or label


def _score(scores: Scores, runs: Together, mask: StoredMask, case: Case, label: Scan, inputs: ComparisonInputs) -> None:
    """Add the scores of one mask with every post-processing."""
    if mask.shape != label.array.shape:
        raise ImageError(
            f"{label.path}: changed since preprocessing; run `hippopt_plan {inputs.plan.dataset} --overwrite`"
        )
    foreground = {name: value for name, value in inputs.plan.labels.items() if value}
    groups = structures(inputs.plan.labels, inputs.plan.sides)
    reference: LabelMask = label.array.astype(np.int32)
    plain: ScoredCase | None = None
    for settings in inputs.postprocessing:
        tidy = postprocess(mask, settings, groups, label.grid.spacing_mm)
        if plain is not None and np.array_equal(tidy, mask):
            scores[(runs, settings)].append(plain)
            continue
        found = ScoredCase(case.id, case.subject, tuple(score_case(tidy, reference, label.grid.spacing_mm, foreground)))
        if settings.nothing:
            plain = found
        scores[(runs, settings)].append(found)
