"""The plan of a model that is made from label maps alone: both hippocampi in T1 scans of whole heads and brains."""

from collections.abc import Sequence

import numpy as np

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.methods import default_rates
from hippopt.artifacts.plan import (
    CLIP_PERCENTILES,
    PLANNED_ADAPTER,
    LocatorSettings,
    NormalisationSettings,
    Plan,
    ScheduleSettings,
)
from hippopt.artifacts.sides import side_classes
from hippopt.artifacts.weights import BaseCard
from hippopt.imaging.straightening import TILT_DEGREES
from hippopt.planning.locating import APART, COARSEST_MM, LARGER, SMALLER
from hippopt.planning.training_decisions import NO_AUGMENTATION

LABELS = {"background": 0, "hippocampus_left": 1, "hippocampus_right": 2}
SIDES = {"hippocampus_left": "left", "hippocampus_right": "right"}
LARGEST_MM = (320.0, 320.0, 320.0)  # of a head with its neck: nothing smaller is worth a warning
# of the base's own voxel size: a base is .004 to .014 better on people's scans that it sees somewhat larger than they
# are (docs/experiments.md, "The model that ships, on finer voxels")
FINER = 0.88
CHANNELS = (16, 32, 64, 64)  # wider than for one lab's scans: these have any contrast and field of view


def ready_plan(
    dataset: str,
    card: BaseCard,
    volumes_mm3: Sequence[float],
    offsets_mm: Sequence[Sequence[float]],
    steps: int,
    seed: int,
) -> Plan:
    """The plan of a model whose network is a base as it is.

    volumes_mm3: of every hippocampus of the maps; offsets_mm: from the left one's centre to the right one's (z, y, x).
    steps: of the locator.
    """
    import msgspec

    apart = np.linalg.norm(np.asarray(offsets_mm), axis=1)
    middle = np.median(np.asarray(offsets_mm), 0)
    names = tuple(LABELS)
    locator = LocatorSettings(
        spacing_mm=COARSEST_MM,
        channels=CHANNELS,
        steps=steps,
        batch_size=4,
        learning_rate=4e-3,
        regions=2,
        margin_mm=4.0,
        volume_mm3=(round(min(volumes_mm3) / SMALLER, 1), round(max(volumes_mm3) * LARGER, 1)),
        apart_mm=(round(APART[0] * float(apart.min()), 1), round(APART[1] * float(apart.max()), 1)),
        offset_mm=(round(float(middle[0]), 1), round(float(middle[1]), 1), round(float(middle[2]), 1)),
        jitter_mm=6.0,
        patches_elsewhere=0.2,
        everywhere_patches=8.0,
    )
    sides = side_classes(names, SIDES)  # type: ignore[arg-type]
    return Plan(
        dataset=dataset,
        fingerprint_hash=content_hash(["label maps", card.label_maps or {}]),
        channel_names=("T1",),
        labels=LABELS,
        sides=SIDES,  # type: ignore[arg-type]
        target_spacing_mm=_finer(card.spacing_mm or (1.0, 1.0, 1.0)),
        crop="nonzero",
        normalisation=NormalisationSettings(scheme="zscore", region="nonzero", clip_percentiles=CLIP_PERCENTILES),
        largest_scan_mm=LARGEST_MM,
        patch_size=card.patch_size,
        batch_size=2,
        foreground_oversampling=1 / 3,
        network=card.network,
        adapter=msgspec.structs.replace(PLANNED_ADAPTER, also_trained=("head",)),
        augmentation=NO_AUGMENTATION,  # nothing trains on scans under this plan
        schedule=_schedule(),
        seed=seed,
        folds=(),
        reasons={
            "adapter.also_trained": "the head alone, as the base has it: its classes that mean one label are added up",
            "crop": "what is zero around a stripped brain tells nothing",
            "folds": "none: no scan was trained on",
            "labels": "the hippocampus of either side",
            "locator": "trained on synthetic heads, since the base has seen its surroundings only",
            "locator.everywhere_patches": "small crops alone: far from a hippocampus the base has seen nothing",
            "mirror_sides": "the base has seen either side mirrored, and does not tell them apart; the locator does",
            "one_part": "a hippocampus is one piece, and a base that has seen no scan finds specks beside it",
            "normalisation": "zeros are background: of a stripped brain, or of a scanner that masks the air",
            "target_spacing_mm": f"{FINER} of the base's own, where people's scans are outlined better",
            "straighten_degrees": "heads are tilted in training too, but less than a tilted field of view may be",
        },
        locator=locator,
        mirror_sides=True,
        side_classes=sides,
        straighten_degrees=TILT_DEGREES,
        one_part=True,
    )


def _finer(spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    z, y, x = (round(FINER * step, 3) for step in spacing_mm)
    return (z, y, x)


def _schedule() -> ScheduleSettings:
    return ScheduleSettings(
        steps=1,
        steps_per_epoch=1,
        learning_rate=default_rates(),
        warmup_steps=0,
        weight_decay=0.0,
        poly_exponent=0.9,
        gradient_clip=1.0,
    )
