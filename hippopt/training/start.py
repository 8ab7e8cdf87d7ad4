"""Checks before a fold is trained: cheap, and before anything is changed."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hippopt.artifacts.codec import parse_json
from hippopt.artifacts.plan import Plan
from hippopt.batches.patches import TrainingCase
from hippopt.errors import PlanError, StaleArtifactError, TrainingError, WeightsError
from hippopt.networks.tensor_files import check_space, tensor_bytes
from hippopt.networks.tuning import Tuned
from hippopt.training.fold import FoldInputs, FoldRequest

Progress = Literal["new", "begun", "trained", "finished"]


def check_progress(request: FoldRequest, progress: Progress, folder: Path) -> None:
    """Raises TrainingError where what was asked does not fit what is there: results are never replaced unasked."""
    if request.resume and progress == "finished":
        raise TrainingError(
            f"{folder}: this fold is finished, nothing is left to resume; it is kept (--overwrite instead of --resume"
            " trains it anew)"
        )
    if request.resume and progress == "new":
        raise TrainingError(f"{folder}: nothing to resume; start without --resume")
    if progress != "new" and not request.resume and not request.overwrite:
        remedy = (
            "--overwrite to train it anew, or --name for a run of its own; where several folds are asked for, --resume"
            " keeps those that are finished"
            if progress == "finished"
            else "--resume to continue it or --overwrite to train it anew"
        )
        raise TrainingError(f"{folder}: this fold is {progress} already; add {remedy}")


def with_earlier_settings(request: FoldRequest, started_with: Path, seed_given: bool) -> FoldRequest:
    """A resumed run's own budget and seed, where the user gave no other."""
    try:
        old = parse_json(started_with.read_bytes(), started_with)
    except (OSError, PlanError):
        return request  # `check_settings` says what is wrong
    if not isinstance(old, dict):
        return request
    if request.steps is None and request.minutes is None:
        steps, minutes = old.get("steps"), old.get("minutes")
        if isinstance(minutes, int | float) and minutes > 0:
            request = replace(request, minutes=float(minutes))
        if isinstance(steps, int) and steps > 0:
            request = replace(request, steps=steps)
    if not seed_given and isinstance(old.get("seed"), int):
        request = replace(request, seed=old["seed"])
    return request


def check_settings(
    started_with: Path, settings: dict[str, Any], otherwise: str = "add --allow-change", later: Collection[str] = ()
) -> None:
    """Raises TrainingError, with the differences, where a run would be resumed with other settings than it began with.

    otherwise: what a user can do who cannot give the old settings. later: settings that earlier versions did not write
    down.
    """
    if not started_with.exists():
        raise TrainingError(
            f"{started_with}: missing, so whether the settings are the same cannot be told; {otherwise}"
        )
    old = parse_json(started_with.read_bytes(), started_with)
    if not isinstance(old, dict):
        raise TrainingError(f"{started_with}: not the settings of a run; restore it, or {otherwise}")
    changed = [
        f"{key} {old.get(key)} -> {new}"
        for key, new in settings.items()
        if old.get(key) != new and (key in old or key not in later)
    ]
    if changed:
        raise TrainingError(
            f"{started_with}: started with other settings ({'; '.join(changed)}); give the old ones, or {otherwise}"
        )


def check_unseen(inputs: FoldInputs) -> None:
    """Raises WeightsError where the weights at the start were trained on validation cases of the fold."""
    seen = inputs.seen_before
    by_id = {case.id: case.image_hash for case in inputs.fingerprint.cases}
    known = [case.id for case in inputs.val if by_id[case.id] in seen]
    if not known:
        return
    words = f"trained on {len(known)} validation cases of this fold ({known[0]}, ...), so its figures would flatter"
    if inputs.earlier is not None:
        card = inputs.earlier.card
        raise WeightsError(
            f"fold {card.fold} of run {card.run} was {words}; restore the folds of that run (hippopt_plan keeps them"
            " where it is not told to --overwrite), train anew without --continue-from, or add --allow-seen"
        )
    name = inputs.base[1].name if inputs.base else ""
    raise WeightsError(f"base {name} was {words}; use another base or fold, or add --allow-seen")


def check_arrays(cases: Sequence[TrainingCase], plan: Plan) -> None:
    """Raises StaleArtifactError where a preprocessed array is damaged. Only headers and lengths are read."""
    for case in cases:
        for path, channels in ((case.image_path, (len(plan.channel_names),)), (case.label_path, ())):
            try:
                array = np.load(path, mmap_mode="r")  # refuses pickles
                sound = (
                    array.ndim == 3 + len(channels)
                    and array.shape[: len(channels)] == channels
                    and array.dtype.kind in "fiu"
                )
            except (OSError, ValueError, EOFError):
                sound = False
            if not sound:
                raise StaleArtifactError(
                    f"{path}: damaged; remove it and run `hippopt_plan {plan.dataset}` to make it again"
                )


def check_disk(tuned: Tuned, folder: Path) -> None:
    """Raises OutputError where the checkpoints will not fit the disk:
    two adapter files, and three resume files while one is replaced.
    """
    adapter = tensor_bytes(tuned.adapter_tensors())
    resume = adapter + 2 * tensor_bytes(tuned.trainable())
    there = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    check_space(folder, 2 * adapter + 3 * resume - there)
