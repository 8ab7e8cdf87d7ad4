"""The whole plan from a fingerprint and a machine, each decision with its reason."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import (
    CLIP_PERCENTILES,
    NetworkSettings,
    NormalisationSettings,
    Plan,
)
from hippopt.artifacts.sides import SideClasses, side_classes
from hippopt.artifacts.triples import Voxels
from hippopt.errors import PlanError
from hippopt.imaging.straightening import TILT_DEGREES, tilt_degrees
from hippopt.networks.memory import training_bytes
from hippopt.networks.unetr import SIZES
from hippopt.planning import space
from hippopt.planning.folds import make_folds
from hippopt.planning.locating import plan_locator
from hippopt.planning.training_decisions import decide_adapter, decide_augmentation, decide_schedule


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
    augmentation, reasons["augmentation"] = decide_augmentation(fingerprint, sides)
    folds, reasons["folds"] = make_folds(fingerprint, seed)
    adapter, schedule = decide_adapter(reasons), decide_schedule(reasons, len(fingerprint.cases), patch)
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
        normalisation=NormalisationSettings(scheme="zscore", region=region, clip_percentiles=CLIP_PERCENTILES),
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
