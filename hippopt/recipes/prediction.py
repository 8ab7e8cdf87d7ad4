"""Predict with a run: find its folds, check that they belong together, restore and merge them, segment the scans."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from hippopt import __version__
from hippopt.artifacts.codec import write_json
from hippopt.artifacts.distinct_paths import overwritten, written_twice
from hippopt.artifacts.fold_names import fit_number
from hippopt.artifacts.part_borders import PartBorders
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.weights import AdapterCard
from hippopt.artifacts.writable_folder import check_writable, longest_name
from hippopt.console import Console, counted
from hippopt.errors import OutputError, StaleArtifactError, UsageError, WeightsError
from hippopt.files.scan_listing import ScanFiles, list_scans
from hippopt.inference.journal import Part
from hippopt.inference.label_tables import write_label_tables
from hippopt.inference.outcomes import PROBABILITIES, UNCERTAINTY, map_path, mask_path
from hippopt.inference.part_borders import learned_borders
from hippopt.inference.segmentation import Wanted
from hippopt.inference.volumes import Standards
from hippopt.inference.windows import WindowSettings, flip_combinations
from hippopt.jobs.array_tasks import part_number
from hippopt.networks.convolution import quicken
from hippopt.networks.device import choose_device
from hippopt.networks.lean_import import import_monai
from hippopt.networks.locator import read_locator
from hippopt.networks.restoring import read_card, restore
from hippopt.recipes.parts import LIST_KEYS, deal, known_identity, merge_study, open_list
from hippopt.recipes.standards import load_standards, with_head_sizes
from hippopt.stages.adopt_base import load_known_base
from hippopt.stages.predict import PredictionSettings, predict
from hippopt.workspace import PROVENANCE, Workspace


@dataclass(frozen=True)
class PredictionRequest:
    """Holds what the user asked of hippopt_predict; None stands for all folds, or the only run.

    Each field is an option of the command.
    """

    source: Path = field(metadata={"option": "-i"})
    output: Path = field(metadata={"option": "-o"})
    folds: tuple[str, ...] | None = None
    run: str | None = None
    tta: bool = False
    save_probabilities: bool = False
    save_uncertainty: bool = False
    overwrite: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint: Literal["last", "best"] = "last"
    volume: int | None = None
    parts: int | None = None  # of how many, where the scans are dealt out
    part: int | None = None  # from 1
    verify: bool = False
    head_size: Path | None = None


@dataclass(frozen=True)
class Batch:
    """Scans to segment in this process. part: of a study in parts; dealt: what prediction.json says of their list."""

    scans: Sequence[ScanFiles]
    part: Part | None = None
    dealt: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class OpenRun:
    """The networks of a run in memory, and all that segmenting with them takes."""

    name: str
    folds: tuple[str, ...]
    plan: Plan
    models: list[nn.Module]
    windows: WindowSettings
    standards: Standards
    device: torch.device
    locators: tuple[nn.Module, ...] = ()
    locators_sha256: tuple[str, ...] = ()
    borders: tuple[PartBorders, ...] = ()


def check_output(source: Path, output: Path) -> None:
    """Raises OutputError, before anything is computed, when the output cannot be written or is the input."""
    if os.path.realpath(output) == os.path.realpath(source if source.is_dir() else source.parent):
        raise OutputError(f"-o {output}: the same folder as the input; choose another, so that no scan is overwritten")
    check_writable(output, f"-o {output}")


def check_outputs(scans: Sequence[ScanFiles], request: PredictionRequest) -> list[ScanFiles]:
    """The scans, with a fault where their outputs' names are too long for the disk.

    Raises OutputError where a mask or map would replace a file that is read, or another one.
    """
    kinds = [
        kind
        for kind, wanted in ((PROBABILITIES, request.save_probabilities), (UNCERTAINTY, request.save_uncertainty))
        if wanted
    ]
    outputs = {
        files.id: [mask_path(files, request.output), *(map_path(files, kind, request.output) for kind in kinds)]
        for files in scans
    }
    every = [path for paths in outputs.values() for path in paths]
    found = overwritten(every, [path for files in scans for path in files.channels])
    if found is not None:
        raise OutputError(
            f"-o {request.output}: {found[0].name} would be written over {found[1]}, which is read; choose another"
            " folder"
        )
    twice = written_twice(every)
    if twice is not None:
        raise OutputError(
            f"-o {request.output}: {twice.name} would be the mask of one scan and a map of another; rename one of the"
            " scans"
        )
    most = longest_name(request.output)
    return [
        (
            replace(
                files,
                fault=(
                    f"{name}: longer than the {most} bytes that a file's name may have in {request.output}; rename the"
                    " scan"
                ),
            )
            if not files.fault and (name := _too_long(outputs[files.id], most))
            else files
        )
        for files in scans
    ]


def _too_long(paths: Sequence[Path], most: int) -> str:
    """The first name that is too long, shortened for people; empty where there is none."""
    name = next((path.name for path in paths if len(os.fsencode(path.name)) > most), "")
    return f"{name[:40]}...{name[-30:]}" if name else ""


def choose_run(workspace: Workspace, dataset: str, run: str | None) -> str:
    """The run asked for, or the only one with finished folds that no comparison trained. Raises UsageError."""
    runs = workspace.runs(dataset)
    if run is None and len(runs) > 1:  # what a comparison trained is there to be compared
        compared = workspace.compared_runs(dataset)
        runs = [name for name in runs if name not in compared] or runs
    if run is not None:
        if run not in runs:
            raise UsageError(
                f"--run {run}: no finished fold in {workspace.run(dataset, run)} (runs: {', '.join(runs) or 'none'})"
            )
        return run
    if len(runs) == 1:
        return runs[0]
    if not runs:
        raise UsageError(f"{dataset}: nothing is trained yet; run `hippopt_train {dataset[11:]} 0` first")
    raise UsageError(f"{dataset}: several runs; choose one with --run: {', '.join(runs)}")


def choose_folds(
    workspace: Workspace, dataset: str, run: str, asked: tuple[str, ...] | None, expected: int, console: Console
) -> list[str]:
    """Folds to ensemble: those asked for, else all that are finished, the numbered ones where there are such.

    Raises UsageError for one that was asked for and is missing.
    """
    there = workspace.trained_folds(dataset, run)
    if asked is not None:
        missing = [fold for fold in asked if fold not in there]
        if missing:
            raise UsageError(f"--folds {' '.join(missing)}: not trained in run {run} (there: {' '.join(there)})")
        return list(dict.fromkeys(asked))
    numbered = [fold for fold in there if fold.isdigit()]
    if numbered and len(numbered) < expected:
        console.warn(
            f"run {run}: {len(numbered)} of {expected} folds are trained; predicting with fold {' '.join(numbered)}"
        )
    fits = [fold for fold in there if fit_number(fold)]
    if numbered and fits:
        console.say(f"run {run}: predicting with the folds; for what was trained on all cases, -f {' '.join(fits)}")
    return numbered or there


def load_models(
    workspace: Workspace,
    dataset: str,
    run: str,
    folds: list[str],
    plan: Plan,
    device: torch.device,
    checkpoint: str = "last",
) -> list[nn.Module]:
    """The merged networks of the folds. Raises WeightsError or StaleArtifactError."""
    models: list[nn.Module] = []
    cards: list[AdapterCard] = []
    base = None
    for fold in folds:
        folder = workspace.fold(dataset, run, fold)
        best = checkpoint == "best"
        card = read_card(folder.best_adapter_card if best else folder.adapter_card)
        cards.append(card)
        if card.plan_hash != cards[0].plan_hash:
            raise StaleArtifactError(
                f"{folder.path}: fold {fold} was trained with plan {card.plan_hash[:12]}, fold {cards[0].fold} with "
                f"{cards[0].plan_hash[:12]}; train them with one plan"
            )
        if card.base_sha256 is not None and (base is None or base[1].sha256 != card.base_sha256):
            base = load_known_base(card.base_sha256, workspace)
        adapter = folder.best_adapter if best else folder.adapter
        tuned = restore(card, adapter, folder.initial_factors, base if card.base_sha256 else None, plan)
        tuned.adaptation.merge()
        models.append(quicken(tuned.model.to(device).eval()))
    return models


def load_locators(
    workspace: Workspace, dataset: str, run: str, folds: list[str], plan: Plan
) -> tuple[tuple[nn.Module, ...], list[str]]:
    """(the folds' locators, the sha256 of each); none for a plan of crops.

    Raises WeightsError or StaleArtifactError.
    """
    if plan.locator is None:
        return (), []
    folders = [workspace.fold(dataset, run, fold) for fold in folds]
    found = [read_locator(folder.locator, folder.locator_card, plan) for folder in folders]
    return tuple(model for model, _ in found), [card.sha256 for _, card in found]


def open_run(
    workspace: Workspace,
    dataset: str,
    run: str,
    plan: Plan,
    folds: list[str],
    device: torch.device,
    checkpoint: str,
    tta: bool,
    console: Console,
) -> OpenRun:
    """Raises WeightsError or StaleArtifactError."""
    models = load_models(workspace, dataset, run, folds, plan, device, checkpoint)
    if not models:
        raise WeightsError(f"run {run}: no fold to predict with")
    best = checkpoint == "best"
    if best:
        console.warn(
            "the best checkpoint was chosen on its fold's validation cases (of full-data on training cases): figures on"
            " those are optimistic, and no Dice is predicted"
        )
    flips = flip_combinations(plan.flip_axes) if tta else ((),)
    windows = WindowSettings(
        plan.patch_size, len(plan.network_classes), flips, plan.swapped_classes, centre=plan.centre_window
    )
    locators, sha256 = load_locators(workspace, dataset, run, folds, plan)
    cards = [read_card(workspace.fold(dataset, run, fold).adapter_card) for fold in folds]
    if len({(card.settings.get("steps"), card.settings.get("minutes"), card.base_sha256) for card in cards}) > 1:
        each = ", ".join(f"{fold}: {card.step}" for fold, card in zip(folds, cards, strict=True))
        console.warn(
            f"run {run}: its folds were trained for other numbers of steps or from other bases (steps of {each});"
            " choose with -f"
        )
    standards = load_standards(workspace, dataset, run, plan, cards, console, calibrated=not best)
    return OpenRun(
        run, tuple(folds), plan, models, windows, standards, device, locators, tuple(sha256), learned_borders(cards)
    )


def merge_scans(workspace: Workspace, dataset: str, request: PredictionRequest, console: Console) -> int:
    """Join the tables of the parts. Returns how many scans are missing. Raises HippoptError's kinds."""
    run = choose_run(workspace, dataset, request.run)
    folds = choose_folds(
        workspace, dataset, run, request.folds, len(load_plan(workspace.run_plan(dataset, run)).folds), console
    )
    check_output(request.source, request.output)
    check_identity(request, run_identity(workspace, dataset, run, folds, request))
    return merge_study(workspace, dataset, run, folds, request, console)


def predict_scans(workspace: Workspace, dataset: str, request: PredictionRequest, console: Console) -> int:
    """Segment the scans. Returns the number of failures. Raises HippoptError's kinds before anything is computed."""
    if request.volume is not None and request.volume < 0:
        raise UsageError(f"--volume {request.volume}: volumes count from 0")
    run = choose_run(workspace, dataset, request.run)
    plan = load_plan(workspace.run_plan(dataset, run))
    scans, notes = list_scans(request.source, plan.channel_names)
    check_output(request.source, request.output)
    scans = check_outputs(scans, request)
    for note in notes:
        console.warn(note)
    batch = Batch(scans)
    if request.parts is not None:
        part = (part_number(request.parts, request.part, os.environ), request.parts)
        listed = open_list(request.source, request.output, scans, request.parts, console)
        batch = Batch(
            deal(listed.scans, part),
            part,
            {"parts": request.parts, "scans": len(listed.scans), "scans_sha256": listed.sha256},
        )
        console.say(f"part {part[0]} of {part[1]}: {counted(len(batch.scans), 'scan')}")
    if not batch.scans:
        return 0
    return segment_batch(workspace, dataset, run, batch, request, console)


def segment_batch(
    workspace: Workspace, dataset: str, run: str, batch: "Batch", request: PredictionRequest, console: Console
) -> int:
    """Segment scans that are listed.

    Returns the number of failures. Raises HippoptError's kinds before anything is computed.
    """
    plan, scans, part = load_plan(workspace.run_plan(dataset, run)), batch.scans, batch.part
    folds = choose_folds(workspace, dataset, run, request.folds, len(plan.folds), console)
    device, note = choose_device(request.device)
    import_monai()
    opened = open_run(workspace, dataset, run, plan, folds, device, request.checkpoint, request.tta, console)
    console.say(f"run {run}, fold {' '.join(folds)}, {note}: {counted(len(scans), 'scan')}")
    standards = with_head_sizes(opened.standards, request.head_size, batch.scans, console)
    identity = run_identity(workspace, dataset, run, folds, request) | (
        {"locators_sha256": list(opened.locators_sha256)} if opened.locators else {}
    )
    old = check_identity(request, identity)
    known = {key: old[key] for key in LIST_KEYS if key in old}
    dealt = batch.dealt or known
    if old != {**identity, **dealt}:
        write_json(request.output / PROVENANCE, {**identity, **dealt})
    write_label_tables(plan.labels, request.output)
    job = PredictionSettings(
        output=request.output,
        windows=opened.windows,
        wanted=Wanted(request.save_probabilities, request.save_uncertainty),
        overwrite=request.overwrite,
        volume=request.volume,
        standards=standards,
        locators=opened.locators,
        borders=opened.borders,
        source=request.source if request.source.is_dir() else request.source.parent,
        part=part,
        verify=request.verify,
    )
    done, kept, failed = predict(scans, opened.models, plan, job, device, console)
    console.say(f"segmented {done}, kept {kept}, failed {failed}: {request.output}")
    console.result(
        dataset=dataset, run=run, folds=list(folds), output=request.output, segmented=done, kept=kept, failed=failed
    )
    if kept:
        console.say("kept masks were there already; --overwrite segments them anew")
    if failed and part is None:
        console.warn(f"{failed} scans failed, each with its reason in {request.output / 'failures.tsv'}")
    elif failed:
        console.warn(
            f"{failed} scans failed, for the reasons above; --merge lists them in {request.output / 'failures.tsv'}"
        )
    return failed


def run_identity(
    workspace: Workspace, dataset: str, run: str, folds: list[str], request: PredictionRequest
) -> dict[str, Any]:
    """What made the masks of an output folder."""
    best = request.checkpoint == "best"
    folders = [workspace.fold(dataset, run, fold) for fold in folds]
    cards = [read_card(folder.best_adapter_card if best else folder.adapter_card) for folder in folders]
    return {
        "dataset": dataset,
        "run": run,
        "folds": folds,
        "checkpoint": request.checkpoint,
        "tta": request.tta,
        "volume": request.volume,
        "plan_hash": cards[0].plan_hash,
        "base_sha256": cards[0].base_sha256,
        "adapters_sha256": [card.sha256 for card in cards],
        "hippopt": __version__,
    }


def check_identity(request: PredictionRequest, identity: dict[str, Any]) -> dict[str, Any]:
    """What made the masks that are there; nothing where none are.

    Raises OutputError where masks would be kept that another run, other folds or other settings made.
    """
    if request.overwrite:
        return {}
    old = known_identity(request.output)
    if old is None:
        return {}
    changed = [
        f"{key} {old.get(key)} -> {value}"
        for key, value in identity.items()
        if key != "hippopt" and old.get(key) != value
    ]
    if changed:
        raise OutputError(
            f"{request.output}: its masks were made otherwise ({'; '.join(changed)}); choose another -o, or add"
            " --overwrite"
        )
    return old
