"""Pre-train a base: on a planned data set, or on scans made from label maps."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from hippopt.artifacts.recorded_command import recorded_command
from hippopt.artifacts.weights import BaseCard
from hippopt.batches.augmentation import open_batches
from hippopt.batches.label_maps import ANTERIOR, POSTERIOR, read_label_maps, read_table
from hippopt.batches.synthesis import Synthesiser, synthetic_batch
from hippopt.console import Console, SilentConsole, counted
from hippopt.networks.device import choose_device
from hippopt.planned_dataset import load_planned_dataset
from hippopt.recipes.training_inputs import check_cache, load_unchanged, training_cases
from hippopt.reporting.contours import Panel, plot_contours
from hippopt.stages.pretrain import check_pretraining, pretrain
from hippopt.stop_signals import StopSignals
from hippopt.training.lock import fold_lock
from hippopt.training.precision import use_bfloat16
from hippopt.training.pretraining import PretrainInputs, PretrainRequest
from hippopt.training.pretraining_sources import (
    SourceRequest,
    all_seen,
    asked_network,
    begun_from,
    start_of,
    synthesis_of,
    synthetic_inputs,
)
from hippopt.training.processes import join_processes
from hippopt.training.quick_validation import region_windows, windows_around
from hippopt.workspace import Workspace

PREVIEW_BATCHES = 8


def pretrain_base(
    workspace: Workspace, source: SourceRequest, request: PretrainRequest, console: Console
) -> tuple[Path, BaseCard] | None:
    """(file, card) of the base.

    Under torchrun every process calls this, and all but the first get None. Raises HippoptError's kinds.
    """
    folder = workspace.pretraining(request.name)
    check_pretraining(request, folder)
    device, note = choose_device(source.device)
    with StopSignals() as signals:
        if source.label_maps:
            inputs = synthetic_inputs(source, request, device, console)
        else:
            inputs = _dataset_inputs(workspace, source, request, device)
        group = join_processes(device.type)
        try:
            if group.first:
                precision = "bfloat16" if inputs.autocast else "float32"
                console.say(
                    f"pre-training {request.name}: {note}, {precision}, {inputs.network.size} network, {group.size}"
                    f" process{'es' if group.size > 1 else ''}"
                )
                with fold_lock(folder.lock) as stale:
                    if stale:
                        console.warn(f"{folder.lock}: left by a process that is gone; taken over")
                    card = pretrain(request, inputs, folder, group, console, signals)
            else:
                pretrain(request, inputs, folder, group, SilentConsole(), signals)
                return None
        finally:
            group.leave()
    return folder.base, card


def preview(source: SourceRequest, seed: int, path: Path, console: Console) -> None:
    """Draw a sheet of scans as `pretrain_base` would make them: hippocampus in blue, its neighbours in orange.

    Raises DatasetError, OutputError.
    """
    assert source.label_maps
    maps = read_label_maps(source.label_maps, read_table(source.label_table), console)
    made = Synthesiser(maps, synthesis_of(source), torch.device("cpu"))
    panels = []
    for index in range(PREVIEW_BATCHES):
        batch = synthetic_batch(made, 2, seed, index)
        for image, label, name in zip(batch["image"], batch["label"], batch["cases"], strict=True):
            classes = label[0].numpy()
            target = np.where((classes == ANTERIOR) | (classes == POSTERIOR), classes, 0)
            panels.append(Panel(name, image[0].numpy(), target, np.where(target > 0, 0, classes)))
    plot_contours(panels, path, "synthetic scans", "halves of the hippocampus", "its neighbours")


def _dataset_inputs(
    workspace: Workspace, source: SourceRequest, request: PretrainRequest, device: torch.device
) -> PretrainInputs:
    name = workspace.resolve(source.dataset)
    planned = load_planned_dataset(workspace, name)
    plan, fingerprint = planned.plan, planned.fingerprint
    load_unchanged(workspace, name, fingerprint)
    check_cache(planned)
    start = start_of(source)
    plan = msgspec.structs.replace(
        plan, network=asked_network(source, start[1].network if start else plan.network, plan.patch_size)
    )
    validation = plan.folds[0].val if plan.folds else ()
    train = [case.id for case in fingerprint.cases if case.id not in set(validation)]
    hashes = {case.id: case.image_hash for case in fingerprint.cases}
    card = BaseCard(
        name=request.name,
        sha256="",
        network=plan.network,
        in_channels=len(plan.channel_names),
        out_channels=len(plan.network_classes),
        patch_size=plan.patch_size,
        spacing_mm=plan.target_spacing_mm,
        normalisation=plan.normalisation,
        label_values=tuple(range(len(plan.network_classes))) if plan.mirror_sides else plan.label_values,
        seen_images=all_seen([hashes[case] for case in train], start),
        licence=source.licence,
        attribution=source.attribution,
        origin=f"{counted(len(train), 'case')} of {name}; fold 0's validation cases were not trained on"
        + begun_from(start),
        channel_names=plan.channel_names,
        class_names=plan.network_classes,
        command=recorded_command("hippopt_pretrain"),
    )
    cases = training_cases(planned, train)
    shown = training_cases(planned, validation or train)

    @contextlib.contextmanager
    def batches(first: int, step: int) -> Iterator[Iterator[dict[str, Any]]]:
        with open_batches(cases, plan, request.seed, first, source.workers, step) as opened:
            yield opened

    return PretrainInputs(
        card=card,
        batches=batches,
        batch_size=plan.batch_size,
        windows=region_windows(shown, plan) if plan.locator else windows_around(shown, plan.patch_size),
        schedule=plan.schedule,
        start=start,
        device=device,
        autocast=use_bfloat16(device, plan.patch_size, plan.network)[0],
    )
