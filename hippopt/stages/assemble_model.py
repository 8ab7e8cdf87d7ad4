"""Stage: a run that predicts with a base as it is and a locator, without any training on scans."""

import copy
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hippopt import __version__
from hippopt.artifacts.codec import content_hash, write_bytes, write_json
from hippopt.artifacts.cohort import Cohort, Spread
from hippopt.artifacts.plan import CLIP_PERCENTILES, NormalisationSettings, Plan
from hippopt.artifacts.weights import AdapterCard, AsBase, BaseCard
from hippopt.batches.head_maps import HeadMaps
from hippopt.imaging.arrays import Numbers
from hippopt.inference.cohort import asymmetry_percent
from hippopt.networks.base_files import is_shipped
from hippopt.networks.base_weights import load_base
from hippopt.networks.heads import similar_classes
from hippopt.networks.locator import LocatorTraining, write_locator
from hippopt.networks.tensor_files import save_tensors, tensors_sha256
from hippopt.networks.tuning import tune
from hippopt.networks.unetr import build_unetr
from hippopt.workspace import Workspace

FOLD = "full-data"
# on twenty crops of task 4 three views are .006 better than one, and views mirrored besides no better
# (docs/experiments.md)
SHIFTS = ((0, 0, 0), (3, 3, 3), (-3, -3, -3))
# MALC 2012 is sharper than what a base has seen (docs/experiments.md, "The model that ships, on finer voxels")
SMOOTH_VOXELS = 0.6


@dataclass(frozen=True)
class ModelParts:
    """What a model is put together of. base_file: its bytes are kept where hippopt does not ship it."""

    plan: Plan
    base: tuple[Mapping[str, torch.Tensor], BaseCard]
    base_file: Path
    locator: nn.Module
    locator_seconds: float
    maps: HeadMaps
    seed: int


def assemble_model(workspace: Workspace, run: str, parts: ModelParts) -> AdapterCard:
    """Write plan, adapter, locator and cohort of a run under results/.

    Args:
        workspace: where the run goes; the caller has made sure that it may be written.
        run: its name.
        parts: plan, base, locator and maps. The base's classes mean those of the plan, which the caller has checked.

    Returns:
        The card of the run's only fold.

    Raises:
        WeightsError: the base's weights do not fit its own card's network.
        OutputError: a file cannot be written.
    """
    plan, (state, card) = parts.plan, parts.base
    folder = workspace.fold(plan.dataset, run, FOLD)
    folder.path.mkdir(parents=True, exist_ok=True)
    if not is_shipped(card.sha256):
        kept = workspace.base(card.sha256)
        if not kept.exists():
            write_bytes(kept, parts.base_file.read_bytes())
        write_json(kept.with_suffix(".json"), card)
    write_json(workspace.run_plan(plan.dataset, run), plan)
    model = build_unetr(card.in_channels, card.out_channels, plan.patch_size, card.network)
    load_base(model, state, card.patch_size, plan.patch_size, card.name)
    tuned = tune(model, "decoder", card.network, plan.adapter, ())
    tensors = tuned.adapter_tensors()
    assert card.class_names is not None
    adapter = AdapterCard(
        method="decoder",
        run=run,
        fold=FOLD,
        plan_hash=content_hash(plan),
        base_sha256=card.sha256,
        base_name=card.name,
        network=card.network,
        in_channels=card.in_channels,
        out_channels=card.out_channels,
        patch_size=plan.patch_size,
        rank=None,
        core=None,
        balance=None,
        stacks=tuned.stacks,
        remade=(),
        trained_parameters={},
        seen_images=card.seen_images or (),
        checkpoint="last",
        step=0,
        sha256=tensors_sha256(tensors),
        initial_sha256=None,
        dtype="float32",
        versions={
            "hippopt": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "monai")},
        },
        settings={"also_trained": list(plan.adapter.also_trained), "label_values": list(plan.label_values)},
        as_base=AsBase(
            classes=tuple(tuple(own) for own in similar_classes(card.class_names, plan.network_classes)),
            normalisation=NormalisationSettings(scheme="zscore", region="nonzero", clip_percentiles=CLIP_PERCENTILES),
            shifts=SHIFTS,
            smooth_voxels=SMOOTH_VOXELS,
            centred=True,  # as training has it (docs/experiments.md, "A second look from the middle")
        ),
    )
    save_tensors(folder.adapter, tensors)
    made = LocatorTraining(FOLD, parts.seed, (), parts.locator_seconds)
    locator = copy.deepcopy(parts.locator).half()  # as bases are stored: half the size, for what is to be shipped
    write_locator(folder.locator, folder.locator_card, locator, plan, made)
    write_json(workspace.run_cohort(plan.dataset, run), cohort_of_maps(parts.maps, plan))
    write_json(folder.adapter_card, adapter)
    return adapter


def cohort_of_maps(maps: HeadMaps, plan: Plan) -> Cohort:
    """How large the hippocampi of the maps are, by the plan's two labels."""
    volumes = np.array([found.volumes_mm3 for found in maps.maps])
    ((left, right),) = plan.class_sides.pairs
    names = (plan.class_names[left], plan.class_names[right])
    asymmetry = [asymmetry_percent(*pair) or 0.0 for pair in volumes.tolist()]
    return Cohort(
        fingerprint_hash=plan.fingerprint_hash,
        volumes={name: _spread(volumes[:, index]) for index, name in enumerate(names)},
        parts=dict.fromkeys(names, 1),
        asymmetry={names[0]: _spread(np.array(asymmetry))},
    )


def _spread(values: Numbers) -> Spread:
    first, median, third = (round(float(value), 3) for value in np.percentile(values, (25, 50, 75)))
    return Spread(scans=len(values), first_quartile=first, median=median, third_quartile=third)
