"""The whole plan from a fingerprint and a machine, each decision with its reason."""

import math
from dataclasses import dataclass
from typing import Literal

import msgspec

from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.methods import default_rates
from hippopt.artifacts.plan import (
    PLANNED_ADAPTER,
    AdapterSettings,
    AugmentationSettings,
    NetworkSettings,
    NormalisationSettings,
    Plan,
    ScheduleSettings,
)
from hippopt.artifacts.sides import SideClasses, side_classes
from hippopt.artifacts.triples import Voxels
from hippopt.errors import PlanError
from hippopt.imaging.straightening import TILT_DEGREES, tilt_degrees
from hippopt.networks.memory import training_bytes
from hippopt.networks.unetr import SIZES
from hippopt.planning import space
from hippopt.planning.folds import make_folds
from hippopt.planning.geometry import one_handed
from hippopt.planning.locating import plan_locator

FULL_PATCH = (48, 64, 48)  # around a hippocampus at 1 mm
FEW_CASES = 50  # up to which a base and augmentation must stand in for variety


@dataclass(frozen=True)
class Machine:
    """What the plan is made for."""

    kind: Literal["cpu", "cuda"]
    memory_gb: float


def decide(
    fingerprint: Fingerprint,
    machine: Machine,
    seed: int = 0,
    network: NetworkSettings | None = None,
    token_size: int | None = None,
) -> Plan:
    """The plan.

    `network` overrides the size chosen for the machine, `token_size` the network's. Raises PlanError when nothing fits
    the memory.
    """
    reasons: dict[str, str] = {}
    spacing, reasons["target_spacing_mm"] = space.target_spacing(fingerprint)
    crop, region, reasons["crop"], reasons["normalisation"] = space.crop_rule(fingerprint)
    chosen, reasons["network"] = _network(fingerprint, machine)
    if network is not None:
        chosen, reasons["network"] = network, "set by the user"
    reasons["network.token_size"] = (
        "16, the paper's, for which the shipped base is made: tokens of 8 could not be told from it on crops around a"
        " hippocampus (docs/experiments.md)"
    )
    if token_size is not None:
        chosen, reasons["network.token_size"] = (
            msgspec.structs.replace(chosen, token_size=token_size),
            "set by the user",
        )
    channels, classes = len(fingerprint.channel_names), len(fingerprint.labels)
    budget = machine.memory_gb * 1e9

    def needed(patch: Voxels, batch: int) -> int:
        return training_bytes(chosen, channels, classes, patch, batch)

    try:
        patch, reasons["patch_size"] = space.patch_size(
            fingerprint, spacing, crop, lambda size: needed(size, 2) <= budget, chosen.token_size
        )
    except space.NothingFitsError as error:
        raise PlanError(
            f"memory: {error} of {machine.memory_gb:.1f} GB; raise --memory-gb, or --set network.size=small"
        ) from None
    shapes = [space.prepared_shape(case, spacing, crop) for case in fingerprint.cases]
    batch, reasons["batch_size"] = space.batch_size(
        shapes, patch, machine.kind == "cpu", lambda n: needed(patch, n), budget
    )
    names = tuple(sorted(fingerprint.labels, key=fingerprint.labels.__getitem__))
    sides = side_classes(names, fingerprint.sides)
    augmentation, reasons["augmentation"] = _augmentation(fingerprint, sides)
    folds, reasons["folds"] = make_folds(fingerprint, seed)
    adapter, schedule = _adapter(reasons), _schedule(reasons, len(fingerprint.cases), patch)
    reasons["foreground_oversampling"] = (
        "nnU-Net's share: a third of the patches is centred on a labelled voxel, so that no class starves"
    )
    locator, reasons["locator"] = plan_locator(fingerprint, shapes, spacing, patch)
    if locator is not None:
        reasons["foreground_oversampling"] = (
            "as nnU-Net's, of the patches that do not lie around a region (locator.patches_elsewhere)"
        )
    parts, reasons["part_borders"] = _part_borders(locator is not None, fingerprint)
    centre, reasons["centre_window"] = space.centre_window(fingerprint, spacing, crop, patch, parts)
    mirror, reasons["mirror_sides"] = _mirror_sides(locator is not None, sides, len(names) - 1)
    reasons["straighten_degrees"] = _straighten(fingerprint)
    reasons["seed"] = "keys the folds, the initial weights and every batch"
    return Plan(
        dataset=fingerprint.dataset,
        fingerprint_hash=fingerprint.dataset_hash,
        channel_names=fingerprint.channel_names,
        labels=fingerprint.labels,
        sides=fingerprint.sides,
        target_spacing_mm=spacing,
        crop=crop,
        normalisation=NormalisationSettings(scheme="zscore", region=region, clip_percentiles=(0.5, 99.5)),
        largest_scan_mm=_largest_scan(fingerprint, crop),
        patch_size=patch,
        batch_size=batch,
        foreground_oversampling=1 / 3,
        network=chosen,
        adapter=adapter,
        augmentation=augmentation,
        schedule=schedule,
        seed=seed,
        folds=folds,
        reasons=reasons,
        locator=locator,
        mirror_sides=mirror,
        part_borders=parts,
        centre_window=centre,
        side_classes=sides,
        straighten_degrees=TILT_DEGREES,
    )


def _network(fingerprint: Fingerprint, machine: Machine) -> tuple[NetworkSettings, str]:
    """The size for which a base ships; where none does, what the machine can train."""
    if len(fingerprint.channel_names) == 1:
        return (
            SIZES["small"],
            (
                "`small`: a base of this size ships, and a base buys more than size: pre-trained for as many steps, the"
                " paper's UNETR (`base`), ten times as large, was no better on unseen label maps (docs/experiments.md)"
            ),
        )
    if machine.kind == "cuda":
        return SIZES["base"], "`base`: the paper's UNETR; a GPU is there, and no base ships for several channels"
    return (
        SIZES["small"],
        "`small`: no GPU here, and the paper's UNETR (`base`) takes several times longer a step on a CPU",
    )


def _largest_scan(fingerprint: Fingerprint, crop: str) -> tuple[float, float, float]:
    sizes = [
        (
            case.nonzero_box.size_mm
            if crop == "nonzero"
            else tuple(count * step for count, step in zip(case.ras_shape, case.ras_spacing_mm, strict=True))
        )
        for case in fingerprint.cases
    ]
    z, y, x = (round(max(size[axis] for size in sizes), 2) for axis in range(3))
    return (z, y, x)


def _mirror_sides(located: bool, sides: SideClasses | None, labels: int) -> tuple[bool, str]:
    """Whether the network knows one side only, and sees the other mirrored."""
    if not located or sides is None or not sides.complete or 2 * len(sides.twins) != labels:
        return False, "only where scans are located and each label has a side and a twin"
    return (
        True,
        (
            "half the classes and twice the scans of one side, which windows around located regions tell apart: after"
            " as many steps it was better (docs/experiments.md); flips along x are then not made"
        ),
    )


def _straighten(fingerprint: Fingerprint) -> str:
    """Why scans are straightened, and how many of these are."""
    tilts = [tilt_degrees(case.grid) for case in fingerprint.cases]
    tilted = sum(tilt > TILT_DEGREES for tilt in tilts)
    found = (
        f"{tilted} of {len(tilts)} training scans (up to {max(tilts):.0f} degrees)"
        if tilted
        else "none of the training scans"
    )
    return (
        "scans tilted further than this against the body's axes are resampled through their true axes, masks come back"
        f" on their own: {found}; up to it, augmentation turns them further"
    )


def _part_borders(located: bool, fingerprint: Fingerprint) -> tuple[bool, str]:
    """Whether the borders between labels are looked for as planes."""
    if located or fingerprint.sides or len(fingerprint.labels) < 3 or not fingerprint.ordered_axes:
        return (
            False,
            "only for labels that follow each other along an axis, without sides, in scans that are not located",
        )
    return (
        True,
        (
            f"labels are ordered along {', '.join(fingerprint.ordered_axes)}: where planes part them, the"
            " cross-sections of the whole structure tell where better than a network that has seen few cases"
            " (docs/experiments.md)"
        ),
    )


def _augmentation(fingerprint: Fingerprint, sides: SideClasses | None) -> tuple[AugmentationSettings, str]:
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


def _adapter(reasons: dict[str, str]) -> AdapterSettings:
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


def _schedule(reasons: dict[str, str], cases: int, patch: Voxels) -> ScheduleSettings:
    few = cases <= FEW_CASES
    small = min(2.0, math.prod(FULL_PATCH) / math.prod(patch))
    steps = 3000 if few else round(4000 * max(1.0, small))
    reasons["schedule"] = (
        "AdamW, since transformers train badly under plain SGD; from random weights 2e-3 learns much faster than 5e-4;"
        " from a base 3e-3 is better than 1e-3 for every method in as many steps, and 6e-3 is no better"
        " (docs/experiments.md)"
    )
    reasons["schedule.steps"] = (
        f"{cases} cases: from a base half of the steps that random weights need, so that five folds take two cores half"
        " an hour (docs/experiments.md)"
        if few
        else (
            "nnU-Net is within .005 of its best for the hippocampus after some 30 of 1000 epochs; more for small"
            " patches, whose steps are cheaper"
        )
    )
    return ScheduleSettings(
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
