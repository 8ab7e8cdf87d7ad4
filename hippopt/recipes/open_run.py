"""The networks of a run, restored and merged in memory, with all that segmenting with them takes."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from hippopt.artifacts.best import prediction_hash
from hippopt.artifacts.weights import AdapterCard
from hippopt.console import Console
from hippopt.errors import StaleArtifactError, WeightsError
from hippopt.inference.part_borders import learned_borders
from hippopt.inference.region_windows import Ensemble
from hippopt.inference.volumes import Standards
from hippopt.inference.windows import WindowSettings, flip_combinations
from hippopt.networks.as_base import as_planned
from hippopt.networks.convolution import quicken
from hippopt.networks.locator import read_locator
from hippopt.networks.restoring import read_card, restore
from hippopt.recipes.chosen_run import ChosenRun
from hippopt.recipes.standards import load_standards
from hippopt.stages.adopt_base import load_known_base


@dataclass(frozen=True)
class OpenRun:
    """The networks of a run, and of those that predict together with it, in memory; and all that segmenting with them
    takes. locators: of the first run.
    """

    chosen: ChosenRun
    ensemble: Ensemble
    standards: Standards
    locators: tuple[nn.Module, ...] = ()
    locators_sha256: tuple[str, ...] = ()


def load_models(chosen: ChosenRun, device: torch.device, checkpoint: str = "last") -> list[nn.Module]:
    """The merged networks of the folds. Raises WeightsError or StaleArtifactError."""
    models: list[nn.Module] = []
    cards: list[AdapterCard] = []
    base = None
    for fold, folder in zip(chosen.folds, chosen.folders, strict=True):
        best = checkpoint == "best"
        card = read_card(folder.best_adapter_card if best else folder.adapter_card)
        cards.append(card)
        if card.plan_hash != cards[0].plan_hash:
            raise StaleArtifactError(
                f"{folder.path}: fold {fold} was trained with plan {card.plan_hash[:12]}, fold {cards[0].fold} with "
                f"{cards[0].plan_hash[:12]}; train them with one plan"
            )
        if card.base_sha256 is not None and (base is None or base[1].sha256 != card.base_sha256):
            base = load_known_base(card.base_sha256, chosen.workspace)
        adapter = folder.best_adapter if best else folder.adapter
        tuned = restore(card, adapter, folder.initial_factors, base if card.base_sha256 else None, chosen.plan)
        tuned.adaptation.merge()
        models.append(as_planned(quicken(tuned.model.to(device).eval()), card.as_base))
    return models


def load_locators(chosen: ChosenRun) -> tuple[tuple[nn.Module, ...], list[str]]:
    """(the folds' locators, the sha256 of each); none for a plan of crops.

    Raises WeightsError or StaleArtifactError.
    """
    if chosen.plan.locator is None:
        return (), []
    found = [read_locator(folder.locator, folder.locator_card, chosen.plan) for folder in chosen.folders]
    return tuple(model for model, _ in found), [card.sha256 for _, card in found]


def open_run(chosen: ChosenRun, device: torch.device, checkpoint: str, tta: bool, console: Console) -> OpenRun:
    """Load the networks of the chosen folds, and the standards that judge their masks: those of the first run.

    Raises WeightsError or StaleArtifactError.
    """
    plan, best = chosen.plan, checkpoint == "best"
    models: list[nn.Module] = []
    cards: list[AdapterCard] = []
    for run in chosen.together:
        if prediction_hash(run.plan) != prediction_hash(plan):
            raise StaleArtifactError(
                f"run {run.name}: its plan prepares scans otherwise than that of run {chosen.name}, so their networks"
                " cannot predict together; choose anew with hippopt_best, or name one with --run"
            )
        models += load_models(run, device, checkpoint)
        cards += _cards(run, console)
    if not models:
        raise WeightsError(f"run {chosen.name}: no fold to predict with")
    if best:
        console.warn(
            "the best checkpoint was chosen on its fold's validation cases (of full-data on training cases): figures on"
            " those are optimistic, and no Dice is predicted"
        )
    flips = flip_combinations(plan.flip_axes) if tta else ((),)
    windows = WindowSettings(
        plan.patch_size, len(plan.network_classes), flips, plan.swapped_classes, centre=plan.centre_window
    )
    locators, sha256 = load_locators(chosen)
    judged = len(chosen.folds)
    standards = load_standards(chosen, cards[:judged], console, calibrated=not best)
    seen = standards.seen | {image for card in cards for image in card.seen_images}
    ensemble = Ensemble(models, plan, windows, device, learned_borders(cards), judged, chosen.postprocessing)
    return OpenRun(chosen, ensemble, replace(standards, seen=seen), locators, tuple(sha256))


def _cards(chosen: ChosenRun, console: Console) -> list[AdapterCard]:
    """Of one run; says where its folds were not trained alike."""
    cards = chosen.cards()
    if len({(card.settings.get("steps"), card.settings.get("minutes"), card.base_sha256) for card in cards}) > 1:
        each = ", ".join(f"{fold}: {card.step}" for fold, card in zip(chosen.folds, cards, strict=True))
        console.warn(
            f"run {chosen.name}: its folds were trained for other numbers of steps or from other bases (steps of"
            f" {each}); choose with -f"
        )
    return cards
