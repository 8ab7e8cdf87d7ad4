"""Stage: take the locator of a ready model for a fold, where it finds every training scan of it."""

from collections.abc import Sequence

import numpy as np

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.regions import region_classes
from hippopt.batches.patches import TrainingCase
from hippopt.console import Console
from hippopt.inference.regions import choose_regions
from hippopt.networks.locator import ReadyLocator, coarse_probabilities
from hippopt.training.head_locator import NEAR_MM
from hippopt.training.locator import coarse_case


def take_locator(
    ready: ReadyLocator, cases: Sequence[TrainingCase], plan: Plan, fold: str, console: Console
) -> ReadyLocator | None:
    """Take a ready model's locator for a fold where it serves, and say why or why not.

    Args:
        ready: the locator with its name, the regions that it looks for, and its channels.
        cases: the fold's training cases; images (C, Z, Y, X) and labels (Z, Y, X) as preprocessed.
        plan: gives the labels' regions, the spacing (mm) and the settings of locators.
        fold: its name, for what is said.
        console: the reason goes here.

    Returns:
        The locator where it finds every region of every case; else None, and the fold trains its own.
    """
    fault = locator_fault(ready, cases, plan)
    if fault:
        console.say(f"fold {fold}: a locator is trained, since that of {ready.name} {fault}")
        return None
    console.say(
        f"fold {fold}: the locator of {ready.name} finds both sides in all {len(cases)} training scans, so none is"
        " trained"
    )
    return ready


def locator_fault(ready: ReadyLocator, cases: Sequence[TrainingCase], plan: Plan) -> str:
    """Why a ready model's locator cannot serve a plan, in words; empty where it finds every region of every scan.

    Found is a region whose place is sure and whose middle lies within NEAR_MM of the label's; one that a scan has no
    label of may be found or not.
    """
    assert plan.locator is not None
    names = tuple(region_classes(plan))
    if ready.classes != ("background", *names):
        return "looks for other regions than those of these labels"
    if len(ready.channels) != len(plan.locator.channels):
        return f"has {len(ready.channels)} levels, and the plan's locator.channels has {len(plan.locator.channels)}"
    if len(plan.channel_names) != 1:
        return "sees one channel only"
    for case in cases:
        coarse = coarse_case(case, plan)
        shape = coarse.image.shape[1:]
        z, y, x = (
            count * step for count, step in zip(np.asarray(case.label).shape, plan.target_spacing_mm, strict=True)
        )
        found = choose_regions(
            coarse_probabilities([ready.model], coarse.image.numpy(), plan), names, (z, y, x), plan.locator
        )
        if found.doubts:
            return f"is unsure of {case.id}: {found.doubts[0]}"
        step = np.divide((z, y, x), shape)
        for number, name in enumerate(names, 1):
            share = coarse.regions[number].numpy()
            if share.max() <= 0:
                continue
            places = np.argwhere(share > 0)
            middle = (places.min(0) + places.max(0) + 1) / 2 * step
            region = next((each for each in found.regions if each.name == name), None)
            if region is None:
                return f"misses the {name} side of {case.id}"
            away = float(np.linalg.norm((np.array(region.low) + region.high) / 2 - middle))
            if away > NEAR_MM:
                return f"places the {name} side of {case.id} {away:.0f} mm from its label"
    return ""
