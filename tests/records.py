"""Records made by hand: grids, fingerprints and plans whose numbers a test chooses. All triples are (Z, Y, X)."""

import math
from typing import Any

import msgspec
import numpy as np

from hippopt.artifacts.fingerprint import Box, CaseFingerprint, ChannelStatistics, Fingerprint, LabelStatistics
from hippopt.artifacts.grid import Grid, affine_rows
from hippopt.artifacts.plan import (
    AdapterSettings,
    Fold,
    NetworkSettings,
    NormalisationSettings,
    Plan,
    ScheduleSettings,
)
from hippopt.artifacts.sides import Side
from hippopt.artifacts.triples import Spacing, Voxels
from hippopt.inference.volumes import COLUMNS, VolumeRow
from hippopt.planning.geometry import geometric_sides, ordered_axes
from hippopt.planning.training_decisions import NO_AUGMENTATION

LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
TINY_NETWORK = NetworkSettings(size="tiny", hidden_size=48, mlp_dim=96, num_heads=3, feature_size=4)


def grid_of_code(
    code: str, shape: Voxels, spacing_mm: Spacing = (1.0, 1.0, 1.0), origin: Spacing = (0.0, 0.0, 0.0)
) -> Grid:
    """A grid whose file axes (x, y, z) point as the letters say. Shape and spacing are of the file's axes, reversed."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, letter in enumerate(code):
        world, sign = LETTERS[letter]
        affine[world, column] = sign * spacing_mm[2 - column]
    affine[:3, 3] = origin
    return Grid(shape=shape, affine=affine_rows(affine))


def box(start: Voxels, size: Voxels, spacing_mm: Spacing = (1.0, 1.0, 1.0)) -> Box:
    """A box with its size in mm."""
    z, y, x = (count * step for count, step in zip(size, spacing_mm, strict=True))
    return Box(start=start, size=size, size_mm=(z, y, x))


def case_of_boxes(
    name: str,
    boxes: dict[str, tuple[Voxels, Voxels] | None],
    shape: Voxels = (40, 56, 40),
    spacing_mm: Spacing = (1.0, 1.0, 1.0),
    subject: str | None = None,
    nonzero: tuple[Voxels, Voxels] | None = None,
    nonzero_fraction: float = 1.0,
) -> CaseFingerprint:
    """A case on RAS axes whose labels fill boxes of (start, size); None for a label that is absent."""
    labels = {}
    for label, found in boxes.items():
        if found is None:
            labels[label] = LabelStatistics(voxels=0, volume_mm3=0.0, centroid_mm=None, box=None, components=0)
            continue
        start, size = found
        z, y, x = (
            (first + (count - 1) / 2 - (total - 1) / 2) * step
            for first, count, total, step in zip(start, size, shape, spacing_mm, strict=True)
        )
        voxels = math.prod(size)
        labels[label] = LabelStatistics(
            voxels=voxels,
            volume_mm3=voxels * math.prod(spacing_mm),
            centroid_mm=(z, y, x),
            box=box(start, size, spacing_mm),
            components=1,
        )
    spans = [found for found in boxes.values() if found is not None]
    low = [min(start[axis] for start, _ in spans) for axis in range(3)] if spans else []
    high = [max(start[axis] + size[axis] for start, size in spans) for axis in range(3)] if spans else []
    foreground = (
        box((low[0], low[1], low[2]), (high[0] - low[0], high[1] - low[1], high[2] - low[2]), spacing_mm)
        if spans
        else None
    )
    statistics = ChannelStatistics(
        mean=100.0, std=20.0, minimum=0.0, maximum=200.0, percentile_00_5=10.0, percentile_99_5=190.0,
        foreground_mean=120.0, foreground_std=9.0,
    )  # fmt: skip
    return CaseFingerprint(
        id=name,
        subject=subject or name,
        grid=grid_of_code("RAS", shape, spacing_mm),
        orientation="RAS",
        ras_shape=shape,
        ras_spacing_mm=spacing_mm,
        nonzero_box=box(*(nonzero or ((0, 0, 0), shape)), spacing_mm),
        nonzero_fraction=nonzero_fraction,
        foreground_box=foreground,
        channels=(statistics,),
        labels=labels,
        image_hash=f"image {name}",
        label_hash=f"label {name}",
        files=(),
        notes=(),
    )


def fingerprint_of(
    cases: list[CaseFingerprint], sides: dict[str, Side] | None = None, duplicates: tuple[tuple[str, ...], ...] = ()
) -> Fingerprint:
    """The fingerprint of cases with the same labels; order and geometric sides follow from their boxes."""
    names = list(cases[0].labels)
    return Fingerprint(
        dataset="Dataset004_Hippocampus",
        dataset_hash="0123456789abcdef",
        channel_names=("T1",),
        labels={"background": 0, **{name: value for value, name in enumerate(names, 1)}},
        sides=sides or {},
        geometric_sides=geometric_sides(cases, names),
        ordered_axes=ordered_axes(cases, names),
        median_spacing_mm=(1.0, 1.0, 1.0),
        median_shape=(1, 1, 1),
        orientations={"RAS": len(cases)},
        duplicates=duplicates,
        warnings=(),
        cases=tuple(cases),
    )


# one hippocampus per scan, its anterior part (+y) before its posterior one: 22 x 42 x 24 mm
FRONT_AND_BACK: dict[str, tuple[Voxels, Voxels] | None] = {
    "anterior": ((9, 28, 8), (20, 21, 24)),
    "posterior": ((9, 7, 8), (22, 21, 24)),
}


def front_and_back(count: int = 10, shape: Voxels = (40, 56, 40)) -> Fingerprint:
    """A data set like the Decathlon's hippocampi: 1 mm, two labels ordered along y, no sides."""
    return fingerprint_of([case_of_boxes(f"case_{number:02d}", FRONT_AND_BACK, shape) for number in range(count)])


def small_plan(**changes: Any) -> Plan:
    """A sound plan for the tiny network without augmentation but for a flip along x; `changes` replace its
    decisions. The ranges are nnU-Net's, for tests that set a probability.
    """
    plan = Plan(
        dataset="Dataset004_Hippocampus",
        fingerprint_hash="0123456789abcdef",
        channel_names=("T1",),
        labels={"background": 0, "anterior": 1, "posterior": 2},
        sides={},
        target_spacing_mm=(1.0, 1.0, 1.0),
        crop="none",
        normalisation=NormalisationSettings(scheme="zscore", region="image", clip_percentiles=(0.5, 99.5)),
        largest_scan_mm=(40.0, 56.0, 40.0),
        patch_size=(16, 32, 16),
        batch_size=2,
        foreground_oversampling=1 / 3,
        network=TINY_NETWORK,
        adapter=AdapterSettings(
            rank=2,
            stacks=("attention", "mlp_up", "mlp_down"),
            core="diagonal",
            balance=True,
            also_trained=("decoder", "out."),
        ),
        augmentation=msgspec.structs.replace(
            NO_AUGMENTATION,
            rotation_degrees=30.0,
            scaling=(0.7, 1.4),
            noise_variance=(0.0, 0.1),
            blur_sigma=(0.5, 1.0),
            brightness=(0.75, 1.25),
            contrast=(0.75, 1.25),
            low_resolution=(0.5, 1.0),
            gamma=(0.7, 1.5),
            flip_axes=("x",),
        ),
        schedule=ScheduleSettings(
            steps=100,
            steps_per_epoch=10,
            learning_rate={"lora-pt": 1e-3, "decoder": 1e-3, "full": 5e-4},
            warmup_steps=5,
            weight_decay=0.01,
            poly_exponent=0.9,
            gradient_clip=1.0,
        ),
        seed=0,
        folds=(Fold(train=("case_00", "case_01"), val=("case_02",)),),
        reasons={},
    )
    return msgspec.structs.replace(plan, **changes)


def changed(record: Any, **changes: Any) -> Any:
    """The record with other values under the keys; a dotted key is written with two underscores."""
    direct: dict[str, Any] = {}
    for key, value in changes.items():
        first, _, rest = key.partition("__")
        direct[first] = changed(direct.get(first, getattr(record, first)), **{rest: value}) if rest else value
    return msgspec.structs.replace(record, **direct)


def volume_row(**known: Any) -> VolumeRow:
    """A row of volumes.tsv; what is not given is empty, or not known."""
    blank = {
        "scan": "scan",
        "label": "front",
        "value": 1,
        "side": "",
        "voxels": 0,
        "components": 0,
        "head_size_of": "-",
    }
    return VolumeRow(**dict.fromkeys(name for name in COLUMNS if name != "flag") | blank | known)
