"""Train and validate folds: adopt the base, check what belongs together, run the stages for each fold in turn."""

import time
from dataclasses import dataclass
from typing import Literal

import msgspec

from hippopt.artifacts.codec import content_hash, write_json
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import Plan, check_plan, load_plan
from hippopt.artifacts.properties import CacheEntry
from hippopt.artifacts.weights import Method
from hippopt.console import Console
from hippopt.errors import StaleArtifactError, TrainingError
from hippopt.imaging.patches import TrainingCase
from hippopt.networks.device import bfloat16_pays, choose_device
from hippopt.networks.tensor_files import read_state
from hippopt.stages.adopt_base import adopt_base
from hippopt.stages.preprocess import CachePaths, cache_key, cached_entry
from hippopt.stages.train_fold import FoldInputs, FoldRequest, fold_cases, train_fold
from hippopt.stages.validate_fold import validate_fold
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class TrainingRequest:
    """What the user asked of hippopt_train; None stands for the plan's or the machine's choice."""

    method: Method
    base: str | None = None
    rank: int | None = None
    name: str = ""
    steps: int | None = None
    minutes: float | None = None
    resume: bool = False
    overwrite: bool = False
    allow_seen: bool = False
    allow_change: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int | None = None
    seed: int | None = None


def run_name(method: str, rank: int, name: str) -> str:
    """Method, rank where there is one, and the user's own name."""
    return "-".join(part for part in (method, f"r{rank}" if method == "lora-pt" else "", name) if part)


def train_folds(
    workspace: Workspace, dataset_name: str, plan: Plan, fingerprint: Fingerprint, folds: list[str], request: TrainingRequest,
    console: Console, started: float,
) -> dict[str, float]:  # fmt: skip
    """Mean foreground Dice of each fold that has validation cases. Raises HippoptError's kinds in one line."""
    if request.rank is not None:
        plan = msgspec.structs.replace(plan, adapter=msgspec.structs.replace(plan.adapter, rank=request.rank))
        check_plan(plan, workspace.plan(dataset_name))
    run = run_name(request.method, plan.adapter.rank, request.name)
    device, note = choose_device(request.device)
    autocast = bfloat16_pays(device)
    base = None
    if request.base is not None:
        path, card = adopt_base(request.base, plan, workspace, console)
        base = (read_state(path), card)
    _keep_plan(workspace, dataset_name, run, plan, request)
    dataset = load_dataset(workspace.dataset_folder(dataset_name))
    entries = _check_cache(workspace, dataset_name, plan, fingerprint)
    console.say(f"run {run}: {note}, {'bfloat16' if autocast else 'float32'}, {plan.network.size} network")
    workers = request.workers if request.workers is not None else _default_workers(device.type)
    dice: dict[str, float] = {}
    for fold in folds:
        folder = workspace.fold(dataset_name, run, fold)
        train_ids, val_ids = fold_cases(plan, fingerprint, fold)
        train, val = ([_training_case(workspace, dataset_name, case) for case in ids] for ids in (train_ids, val_ids))
        inputs = FoldInputs(plan, fingerprint, train, val, base, device, autocast)
        job = FoldRequest(
            run=run, fold=fold, method=request.method, seed=plan.seed if request.seed is None else request.seed, steps=request.steps,
            minutes=request.minutes, workers=workers, resume=request.resume, overwrite=request.overwrite,
            allow_seen=request.allow_seen, allow_change=request.allow_change,
        )  # fmt: skip
        train_fold(job, inputs, folder, console, started)
        if val:
            dice[fold] = validate_fold(plan, dataset, [(case, entries[case.id]) for case in val], base, folder, device, console)
        console.say(f"fold {fold} done in {(time.perf_counter() - started) / 60:.1f} min: {folder.path}")
        started = time.perf_counter()
    if len(dice) > 1:
        console.say(f"out-of-fold Dice over {len(dice)} folds: {sum(dice.values()) / len(dice):.4f}")
    return dice


def _training_case(workspace: Workspace, dataset: str, case: str) -> TrainingCase:
    paths = CachePaths(workspace.preprocessed(dataset), case)
    return TrainingCase(case, paths.image, paths.label)


def _default_workers(device: str) -> int:
    """On a CPU, training itself wants all cores; beside a GPU, up to eight processes."""
    import os

    return 0 if device == "cpu" else max(1, min(8, (os.cpu_count() or 2) - 1))


def _keep_plan(workspace: Workspace, dataset: str, run: str, plan: Plan, request: TrainingRequest) -> None:
    """All folds of a run share one plan, kept beside them."""
    path = workspace.run_plan(dataset, run)
    if path.exists() and content_hash(load_plan(path)) != content_hash(plan) and not request.allow_change:
        if any(path.parent.glob("*/adapter.json")) and not request.overwrite:
            raise TrainingError(f"{path}: run {run} has folds of another plan; keep runs apart with --name, or add --overwrite")
        if request.resume:
            raise TrainingError(f"{path}: the plan changed since run {run} began; restore it, or add --allow-change")
    write_json(path, plan)


def _check_cache(workspace: Workspace, dataset: str, plan: Plan, fingerprint: Fingerprint) -> dict[str, CacheEntry]:
    """The record of every case. Raises StaleArtifactError when one is missing or was made with other decisions or data."""
    folder = workspace.preprocessed(dataset)
    entries = {}
    for case in fingerprint.cases:
        entry = cached_entry(folder, case.id)
        if entry is None:
            raise StaleArtifactError(f"{folder / case.id}.npy: not preprocessed; run `hippopt_plan {dataset}`")
        if entry.key != cache_key(plan, case):
            raise StaleArtifactError(
                f"{folder / case.id}.json: made with key {entry.key[:12]}, the plan asks for {cache_key(plan, case)[:12]}; "
                f"run `hippopt_plan {dataset} --overwrite`"
            )
        entries[case.id] = entry
    return entries
