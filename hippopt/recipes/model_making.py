"""Make a model for those who have no labels: a base as it is, and a locator trained on synthetic whole heads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hippopt.artifacts.codec import write_json
from hippopt.artifacts.model_card import ModelCard
from hippopt.artifacts.model_file import RUN_NAME
from hippopt.artifacts.plan_rules import check_plan
from hippopt.artifacts.recorded_command import recorded_command
from hippopt.artifacts.synthesis import HeadSynthesis
from hippopt.artifacts.weights import BaseCard
from hippopt.artifacts.writable_folder import check_writable
from hippopt.batches.head_maps import HeadMaps, read_head_maps
from hippopt.batches.label_maps import TARGET, read_map_files, read_table
from hippopt.console import Console, SilentConsole
from hippopt.errors import OutputError, UsageError, WeightsError
from hippopt.networks.base_files import base_file, is_shipped, read_base
from hippopt.networks.device import bfloat16_pays
from hippopt.networks.heads import similar_classes
from hippopt.networks.tensor_files import file_sha256
from hippopt.planning.ready_model import ready_plan
from hippopt.recipes.chosen_run import chosen_run
from hippopt.recipes.model_files import export_run
from hippopt.recipes.open_run import open_run
from hippopt.stages.assemble_model import ModelParts, assemble_model
from hippopt.stages.calibrate_on_maps import calibrate_on_maps, contrast_on_maps
from hippopt.stages.export_model import ExportRequest, check_target
from hippopt.stages.train_head_locator import head_locator
from hippopt.stop_signals import StopSignals
from hippopt.training.head_locator import HeadLocatorInputs
from hippopt.workspace import Workspace

DATASET = "Dataset900_WholeHead"
SCANS = "T1-weighted scans of whole heads and brains, any orientation, spacing and field of view, skull-stripped or not"


@dataclass(frozen=True)
class MakingRequest:
    """What the user asked of hippopt_make_model.

    label_maps: folders; base: a file or a shipped one's name; steps: of the locator; hold_out: maps of each folder that
    it is not trained on; output: the model file.
    """

    label_maps: tuple[Path, ...]
    base: Path
    name: str
    output: Path
    label_table: Path | None = None
    hold_out: int = 2
    steps: int = 1200
    seed: int = 0
    resume: bool = False
    overwrite: bool = False


def make_model(workspace: Workspace, request: MakingRequest, console: Console) -> ModelCard:
    """Train the locator, put the model together as a run of the workspace, and write it as a file with a card.

    A locator that is trained already with these settings is taken as it is, so that a model on another base is made in
    a moment. Raises HippoptError's kinds in one line, most of them before anything is computed.
    """
    if not RUN_NAME.fullmatch(request.name):
        raise UsageError(f"--name {request.name!r}: letters, digits, - and _ only")
    export = ExportRequest(request.output, overwrite=request.overwrite)
    check_target(export)
    check_writable(request.output.absolute().parent, f"-o {request.output}")
    if workspace.trained_folds(DATASET, request.name) and not request.overwrite:
        raise OutputError(
            f"{workspace.run(DATASET, request.name)}: this model is made already; choose another --name, or replace it"
            " with --overwrite, which keeps a finished locator of the same settings"
        )
    path = base_file(request.base)
    base = read_base(path)
    _check_meaning(base[1], path)
    maps = read_head_maps(request.label_maps, read_table(request.label_table), console)
    least = min(maps.sizes)
    if not 0 < request.hold_out < least:
        raise UsageError(f"--hold-out {request.hold_out}: from 1 to {least - 1}, since the smallest folder has {least}")
    plan = ready_plan(
        DATASET,
        base[1],
        [volume for found in maps.maps for volume in found.volumes_mm3],
        [np.subtract(found.centres_mm[1], found.centres_mm[0]).tolist() for found in maps.maps],
        request.steps,
        request.seed,
    )
    check_plan(plan, f"{request.name}'s plan")
    trained, unseen = maps.split(request.hold_out)
    inputs = HeadLocatorInputs(trained, unseen, HeadSynthesis(), plan, request.seed, bfloat16_pays(torch.device("cpu")))
    with StopSignals() as signals:
        locator, seconds = head_locator(
            inputs, workspace.head_locator(request.name), request.resume, request.overwrite, console, signals
        )
    assemble_model(workspace, request.name, ModelParts(plan, base, path, locator, seconds, trained, request.seed))
    calibrate(workspace, request, base[1], unseen, console)
    shipped = is_shipped(base[1].sha256)
    export_run(
        workspace,
        DATASET,
        request.name,
        ExportRequest(request.output, include_base=not shipped, overwrite=request.overwrite),
        console,
    )
    card = _card(request, base[1], trained, plan.labels)
    write_json(request.output.with_suffix(".json"), card)
    console.say(
        f"{request.output}: {request.output.stat().st_size / 1e6:.1f} MB,"
        f" {'names its base, which ships with hippopt' if shipped else 'holds its base'}; locator trained in"
        f" {seconds / 60:.0f} min"
    )
    return card


def calibrate(workspace: Workspace, request: MakingRequest, base: BaseCard, unseen: HeadMaps, console: Console) -> None:
    """Find the usual contrast, and fit predicted Dice, on scans made from the maps that no training saw, where the base
    says how scans are made.
    """
    if base.synthesis is None:
        console.say("the base says nothing of how its scans were made: no predicted Dice, no usual contrast")
        return
    chosen = chosen_run(workspace, DATASET, request.name, None, console)
    opened = open_run(chosen, torch.device("cpu"), "last", False, SilentConsole())
    maps = read_map_files(
        [found.path for found in unseen.maps], (len(unseen.maps),), read_table(request.label_table), console
    )
    write_json(
        workspace.run_contrast(DATASET, request.name), contrast_on_maps(maps, base.synthesis, opened.ensemble.plan)
    )
    made = calibrate_on_maps(opened.ensemble, maps, base.synthesis, chosen.cards()[0], console)
    if made is not None:
        write_json(workspace.run_calibration(DATASET, request.name), made)


def _check_meaning(card: BaseCard, path: Path) -> None:
    """Raises WeightsError where a base cannot predict hippocampi as it is."""
    names = card.class_names
    if names is None or card.in_channels != 1 or not similar_classes(names, ("background", TARGET))[1]:
        raise WeightsError(
            f"{path}: a base without a class that is called {TARGET}, or with several channels; give one made by"
            " hippopt_pretrain --synthetic"
        )


def _card(request: MakingRequest, base: BaseCard, maps: HeadMaps, labels: dict[str, int]) -> ModelCard:
    return ModelCard(
        name=request.name,
        sha256=file_sha256(request.output),
        labels=labels,
        scans=SCANS,
        made_from=f"images generated from label maps, no scan: the locator from {len(maps.maps)} maps; the network,"
        f" base {base.name}, from {base.origin}",
        licence=base.licence,
        attribution=base.attribution,
        base=base.name,
        base_sha256=base.sha256,
        command=recorded_command("hippopt_make_model"),
    )
