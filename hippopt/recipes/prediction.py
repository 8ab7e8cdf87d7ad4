"""Predict with a run, or with what hippopt_best chose: list the scans, check that masks which are there are of the same
networks, segment the rest.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hippopt import __version__
from hippopt.artifacts.codec import write_json
from hippopt.artifacts.plan_rules import load_plan
from hippopt.console import Console, counted
from hippopt.errors import OutputError, UsageError
from hippopt.files.scan_listing import ScanFiles, list_scans
from hippopt.inference.journal import Part
from hippopt.inference.label_tables import write_label_tables
from hippopt.inference.outcomes import made_nothing, masks_of_others, remove_masks
from hippopt.inference.output_checks import check_output, check_outputs
from hippopt.inference.request import PredictionRequest
from hippopt.inference.segmentation import Wanted
from hippopt.jobs.array_tasks import part_number
from hippopt.networks.device import choose_device
from hippopt.networks.restoring import read_card
from hippopt.recipes.chosen_run import ChosenRun, choose_run, chosen_run
from hippopt.recipes.open_run import open_run
from hippopt.recipes.parts import LIST_KEYS, deal, known_identity, merge_study, open_list, some
from hippopt.recipes.standards import with_head_sizes
from hippopt.stages.predict import PredictionSettings, predict
from hippopt.workspace import PROVENANCE, Workspace

HASHES = {  # of prediction.json -> what it means that one differs
    "plan_hash": "by another plan",
    "base_sha256": "from another base",
    "adapters_sha256": "by other networks of this name",
    "locators_sha256": "by other locators of this name",
}
CHOSEN = ("runs", "postprocessing")  # of prediction.json, only where hippopt_best chose such


@dataclass(frozen=True)
class Batch:
    """Scans to segment in this process. part: of a study in parts; dealt: what prediction.json says of their list."""

    scans: Sequence[ScanFiles]
    part: Part | None = None
    dealt: Mapping[str, Any] | None = None


def merge_scans(workspace: Workspace, dataset: str, request: PredictionRequest, console: Console) -> int:
    """Join the tables of the parts. Returns how many scans are missing. Raises HippoptError's kinds."""
    chosen = chosen_run(workspace, dataset, request.run, request.folds, console)
    check_output(request.source, request.output)
    check_identity(request, run_identity(chosen, request))
    return merge_study(chosen, request, console)


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
    return segment_batch(chosen_run(workspace, dataset, request.run, request.folds, console), batch, request, console)


def segment_batch(chosen: ChosenRun, batch: Batch, request: PredictionRequest, console: Console) -> int:
    """Segment scans that are listed.

    Returns the number of failures. Raises HippoptError's kinds before anything is computed.
    """
    plan, scans, part = chosen.plan, batch.scans, batch.part
    device, note = choose_device(request.device)
    opened = open_run(chosen, device, request.checkpoint, request.tta, console)
    console.say(f"{chosen.text}, {note}: {counted(len(scans), 'scan')}")
    standards = with_head_sizes(opened.standards, request.head_size, batch.scans, console)
    identity = run_identity(chosen, request) | (
        {"locators_sha256": list(opened.locators_sha256)} if opened.locators else {}
    )
    old = check_identity(request, identity)
    if request.overwrite and _made_otherwise(request, identity):
        _refuse_mixing(request, identity, scans)
        remove_masks(scans, request.output)  # the same command without --overwrite must not take them for its own
    known = {key: old[key] for key in LIST_KEYS if key in old}
    dealt = batch.dealt or known
    if old != {**identity, **dealt}:
        write_json(request.output / PROVENANCE, {**identity, **dealt})
    write_label_tables(plan.labels, request.output)
    job = PredictionSettings(
        output=request.output,
        wanted=Wanted(request.save_probabilities, request.save_uncertainty),
        overwrite=request.overwrite,
        volume=request.volume,
        standards=standards,
        locators=opened.locators,
        source=request.source if request.source.is_dir() else request.source.parent,
        part=part,
        verify=request.verify,
    )
    done, kept, failed = predict(scans, opened.ensemble, job, console)
    bids = any(files.target for files in scans)
    console.say(f"segmented {done}, kept {kept}, failed {failed}: {request.output.parent if bids else request.output}")
    console.result(
        dataset=chosen.dataset,
        run=chosen.name,
        folds=list(chosen.folds),
        output=request.output,
        segmented=done,
        kept=kept,
        failed=failed,
        **chosen.identity,
    )
    if kept:
        console.say("kept masks were there already; --overwrite segments them anew")
    if failed and part is None:
        console.warn(f"{counted(failed, 'scan')} failed, each with its reason in {request.output / 'failures.tsv'}")
    elif failed:
        who, folder = ("group", request.output.parent) if bids else ("--merge", request.output)
        console.warn(
            f"{counted(failed, 'scan')} failed, for the reasons above; {who} lists them in {folder / 'failures.tsv'}"
        )
    return failed


def run_identity(chosen: ChosenRun, request: PredictionRequest) -> dict[str, Any]:
    """What made the masks of an output folder."""
    best = request.checkpoint == "best"
    folders = [folder for run in chosen.together for folder in run.folders]
    cards = [read_card(folder.best_adapter_card if best else folder.adapter_card) for folder in folders]
    return {
        "dataset": chosen.dataset,
        "run": chosen.name,
        "folds": list(chosen.folds),
        "checkpoint": request.checkpoint,
        "tta": request.tta,
        "volume": request.volume,
        "plan_hash": cards[0].plan_hash,
        "base_sha256": cards[0].base_sha256,
        "adapters_sha256": [card.sha256 for card in cards],
        "hippopt": __version__,
        **chosen.identity,
    }


def check_identity(request: PredictionRequest, identity: dict[str, Any]) -> dict[str, Any]:
    """What made the masks that are there; nothing where none are.

    Raises OutputError where masks would be kept that another run, other folds or other settings made.
    """
    if request.overwrite:
        return {}
    old = known_identity(request.output)
    if old is None or ("parts" not in old and made_nothing(request.output)):
        return {}
    changed = _changes(old, identity)
    if changed:
        raise OutputError(
            f"{request.output}: its masks were made otherwise ({changed}); choose another output folder, or add"
            " --overwrite, for all scans at once"
        )
    return old


def _changes(old: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    """What made the masks that are there -> what would make them now; empty where both are the same. Hashes are named
    only where nothing else differs, and in words.
    """
    keys = dict.fromkeys((*identity, *(key for key in CHOSEN if key in old)))
    changed = [key for key in keys if key != "hippopt" and old.get(key) != identity.get(key)]
    told = [f"{key} {old.get(key)} -> {identity.get(key)}" for key in changed if key not in HASHES]
    return "; ".join(told or [HASHES[key] for key in changed])


def _made_otherwise(request: PredictionRequest, identity: Mapping[str, Any]) -> str:
    """What differs where the masks that are there were made by something else; empty where nobody can tell."""
    try:
        old = known_identity(request.output) or {}
    except OutputError:  # damaged: --overwrite is the remedy that it names
        old = {}
    return _changes(old, identity) if old else ""


def _refuse_mixing(request: PredictionRequest, identity: Mapping[str, Any], scans: Sequence[ScanFiles]) -> None:
    """Raises OutputError where masks of other scans lie there: one part of a study, one participant, or a folder of
    other scans would put masks of two networks beside each other, and nobody could tell them apart later.
    """
    others = masks_of_others(scans, request.output)
    if others:
        raise OutputError(
            f"{request.output}: {counted(len(others), 'mask')} of other scans ({some([path.name for path in others])})"
            f" were made otherwise ({_made_otherwise(request, identity)}); --overwrite would mix them with the new"
            " ones; choose another output folder, or remove these masks"
        )
