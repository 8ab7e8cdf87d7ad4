"""What a plan decides of training: augmentation, low-rank factors, steps and rates, each with its reason."""

import math
from typing import Literal

import msgspec

from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.methods import default_rates
from hippopt.artifacts.plan import PLANNED_ADAPTER, AdapterSettings, AugmentationSettings, ScheduleSettings
from hippopt.artifacts.sides import SideClasses
from hippopt.artifacts.triples import Voxels
from hippopt.console import counted
from hippopt.planning.geometry import one_handed

FULL_PATCH = (48, 64, 48)  # around a hippocampus at 1 mm
FEW_CASES = 50  # up to which a base and augmentation must stand in for variety
# of plans under which nothing is drawn: each range is what leaves a scan as it is
NO_AUGMENTATION = AugmentationSettings(
    p_rotation=0.0,
    rotation_degrees=0.0,
    p_scaling=0.0,
    scaling=(1.0, 1.0),
    p_noise=0.0,
    noise_variance=(0.0, 0.0),
    p_blur=0.0,
    blur_sigma=(0.0, 0.0),
    p_brightness=0.0,
    brightness=(1.0, 1.0),
    p_contrast=0.0,
    contrast=(1.0, 1.0),
    p_low_resolution=0.0,
    low_resolution=(1.0, 1.0),
    p_gamma=0.0,
    p_inverted_gamma=0.0,
    gamma=(1.0, 1.0),
    flip_axes=(),
)


def decide_augmentation(fingerprint: Fingerprint, sides: SideClasses | None) -> tuple[AugmentationSettings, str]:
    """nnU-Net's probabilities and ranges; flips by the geometry of the labels."""
    flips: tuple[Literal["x"], ...]
    if sides is None and one_handed(fingerprint.cases, [label for label, value in fingerprint.labels.items() if value]):
        flips = ()
        why = (
            "no flip along x: all scans show the structure of one handedness, and a network that need not know its"
            " mirror image is better (docs/experiments.md); to segment scans of the other side too, hippopt_plan --set"
            " augmentation.flip_axes=x"
        )
    elif sides is None:
        flips, why = ("x",), "flips along x only: a mirrored hippocampus is the other side's"
    elif sides.complete:
        flips, why = ("x",), "flips along x with left and right labels swapped"
    else:
        flips, why = (), "no flip along x: a label has a side, but no twin on the other side to swap with"
    if fingerprint.ordered_axes:
        why += f"; labels are ordered along {', '.join(fingerprint.ordered_axes)}"
    why += "; none along y or z: on RAS axes an anatomy upside down or back to front never comes"
    settings = AugmentationSettings(
        p_rotation=0.2,
        rotation_degrees=30.0,
        p_scaling=0.2,
        scaling=(0.7, 1.4),
        p_noise=0.1,
        noise_variance=(0.0, 0.1),
        p_blur=0.2,
        blur_sigma=(0.5, 1.0),
        p_brightness=0.15,
        brightness=(0.75, 1.25),
        p_contrast=0.15,
        contrast=(0.75, 1.25),
        p_low_resolution=0.25,
        low_resolution=(0.5, 1.0),
        p_gamma=0.3,
        p_inverted_gamma=0.1,
        gamma=(0.7, 1.5),
        flip_axes=flips,
    )
    if len(fingerprint.cases) > FEW_CASES:
        return settings, f"nnU-Net's, of proven use; {why}"
    settings = msgspec.structs.replace(
        settings,
        p_rotation=0.7,
        rotation_degrees=20.0,
        p_scaling=0.7,
        scaling=(0.8, 1.25),
        p_elastic=0.5,
        elastic_scale=(0.08, 0.25),
        elastic_voxels=(1.0, 4.0),
    )
    return (
        settings,
        (
            f"nnU-Net's for intensities; in space more often but less far, and elastic, since {FEW_CASES} cases or"
            f" fewer show few shapes; {why}"
        ),
    )


def decide_adapter(reasons: dict[str, str]) -> AdapterSettings:
    """The settings of low-rank factors, the same for every data set. reasons: takes why."""
    reasons["adapter.rank"] = (
        "ranks 1, 4 and 16 gave the same Dice with ten cases, and lora-pt, decoder and full cannot be told apart"
        " (docs/experiments.md); 4 leaves room for more cases; the paper's is 1"
    )
    reasons["adapter.stacks"] = "all three, as in the paper"
    reasons["adapter.core"] = (
        "diagonal: the paper's words are singular values and vectors; the two forms are the same at rank 1"
    )
    reasons["adapter.balance"] = (
        "sqrt(S) is shared into both sides, so that one learning rate serves all factors under AdamW; a start, not a"
        " finding"
    )
    reasons["adapter.factor_rate"] = (
        "a tenth: each number of a factor moves many weights of all layers at once, and at the decoder's rate of 3e-3"
        " training came apart (rank 16 with ten cases, rank 4 with 166); from .03 to .3 the Dice is the same"
        " (docs/experiments.md)"
    )
    reasons["adapter.s_rate"] = (
        "1: with balance, S has entries like those of U and V; without it, S is tens of times larger and wants more"
    )
    reasons["adapter.attention"] = "one stack of 48, as in the paper"
    reasons["adapter.also_trained"] = (
        "the decoder as in the paper, and the head, which is made for the labels at hand; norms and convolutional"
        " encoders too, since those of the shipped base have seen synthetic scans only: with them half of the steps are"
        " enough (docs/experiments.md)"
    )
    return PLANNED_ADAPTER


def decide_schedule(reasons: dict[str, str], cases: int, patch: Voxels) -> ScheduleSettings:
    """Steps and rates by the number of cases and the patch. reasons: takes why."""
    few = cases <= FEW_CASES
    small = min(2.0, math.prod(FULL_PATCH) / math.prod(patch))
    steps = 3000 if few else round(4000 * max(1.0, small))
    reasons["schedule"] = (
        "AdamW, since transformers train badly under plain SGD; from random weights 2e-3 learns much faster than 5e-4;"
        " from a base 3e-3 is better than 1e-3 for every method in as many steps, and 6e-3 is no better"
        " (docs/experiments.md)"
    )
    reasons["schedule.steps"] = (
        f"{counted(cases, 'case')}: from a base half of the steps that random weights need, so that five folds take two"
        " cores half an hour"
        + ("; one case alone is better trained for 300 (--steps 300)" if cases == 1 else "")
        + " (docs/experiments.md)"
        if few
        else (
            "nnU-Net is within .005 of its best for the hippocampus after some 30 of 1000 epochs; more for small"
            " patches, whose steps are cheaper"
        )
    )
    share = 0.5 if cases <= 2 else 0.0
    reasons["schedule.base_share_of_one_scan"] = (
        "the stored weights are a mean of the base's and the trained ones; the base's share is this, divided by the"
        " number of cases, since one or two show few of the shapes that the base knows: .042 of Dice gained with one,"
        " .010 with two (docs/methods.md); 0 leaves it out"
        if share
        else "no average with the base: from five cases on it buys nothing (docs/experiments.md)"
    )
    return ScheduleSettings(
        base_share_of_one_scan=share,
        steps=steps,
        steps_on_base=1500 if few else None,
        full_rate_on_base=3e-3,
        steps_per_epoch=100,
        learning_rate=default_rates(),
        warmup_steps=50,
        weight_decay=0.01,
        poly_exponent=0.9,
        gradient_clip=1.0,
    )
