"""What training takes in, and whether it belongs together: raw data, fingerprint, plan and preprocessed cases."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from hippopt.artifacts.codec import parse_json
from hippopt.artifacts.dataset import Dataset, load_dataset
from hippopt.artifacts.fingerprint import CaseFingerprint, Fingerprint
from hippopt.artifacts.plan_edits import plan_changes
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.properties import CacheEntry
from hippopt.artifacts.sides import sides_of_names
from hippopt.batches.cache import CachePaths, cache_key, cached_entry
from hippopt.batches.patches import TrainingCase, file_state
from hippopt.errors import DatasetError, StaleArtifactError, TrainingError
from hippopt.networks.base_files import known_base_file
from hippopt.networks.restoring import read_card
from hippopt.planned_dataset import PlannedDataset
from hippopt.result_folders import FoldFolder
from hippopt.sources.survey import same_stamps, survey_case
from hippopt.stages.extract_fingerprint import dataset_hash
from hippopt.training.fold import FoldInputs, FoldRequest
from hippopt.training.request import TrainingRequest
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class FoldJob:
    """One fold to train and validate. `entries`: the records of its validation cases."""

    request: FoldRequest
    inputs: FoldInputs
    folder: FoldFolder
    entries: list[CacheEntry]


def load_unchanged(workspace: Workspace, name: str, fingerprint: Fingerprint) -> Dataset:
    """The raw data set. Raises StaleArtifactError where it is not what the fingerprint saw.

    Only files whose size or time changed are read again: a copied workspace stays valid.
    """
    dataset = load_dataset(workspace.dataset_folder(name))
    seen = {case.id: case for case in fingerprint.cases}
    contents, faults = {}, []
    for case in dataset.cases:
        known: CaseFingerprint | None = seen.get(case.id)
        if known is None or not same_stamps(case, known):
            survey = survey_case(case, dataset)
            faults += survey.faults
            known = survey.fingerprint
        if known is not None:
            contents[case.id] = (known.image_hash, known.label_hash)
    if faults:
        raise DatasetError("\n".join(faults))
    found = dataset_hash(_as_planned(dataset, fingerprint), contents)
    if fingerprint.dataset != name or found != fingerprint.dataset_hash:
        changed = [
            case
            for case, hashes in contents.items()
            if case not in seen or hashes != (seen[case].image_hash, seen[case].label_hash)
        ]
        changed += sorted(set(seen) - set(contents))
        which = f" ({', '.join(changed[:3])}{', ...' if len(changed) > 3 else ''})" if changed else " (dataset.json)"
        raise StaleArtifactError(
            f"{workspace.fingerprint(name)}: taken of {fingerprint.dataset} with hash {fingerprint.dataset_hash[:12]},"
            f" but {name} now has {found[:12]}{which}; restore the data, or run `hippopt_plan {name}` first"
            " (it keeps what it decided where it can, and says where --overwrite is needed)"
        )
    return dataset


def _as_planned(dataset: Dataset, fingerprint: Fingerprint) -> Dataset:
    """The data set without sides that an earlier hippopt did not
    read from the same names: its plans and runs stay valid.
    """
    named = sides_of_names(dataset.labels)
    more = {label: side for label, side in dataset.sides.items() if label not in fingerprint.sides}
    if any(named.get(label) != side for label, side in more.items()):
        return dataset
    return msgspec.structs.replace(
        dataset, sides={label: side for label, side in dataset.sides.items() if label not in more}
    )


def check_cache(planned: PlannedDataset) -> dict[str, CacheEntry]:
    """The record of every case.

    Raises StaleArtifactError when one is missing or was made with other decisions or data.
    """
    plan, dataset = planned.plan, planned.name
    folder = planned.workspace.preprocessed(dataset)
    entries = {}
    for case in planned.fingerprint.cases:
        entry = cached_entry(folder, case.id)
        if entry is None:
            raise StaleArtifactError(f"{folder / case.id}.npy: not preprocessed; run `hippopt_plan {dataset}`")
        if entry.key != cache_key(plan, case):
            raise StaleArtifactError(
                f"{folder / case.id}.json: made with key {entry.key[:12]}, the plan asks for"
                f" {cache_key(plan, case)[:12]}; run `hippopt_plan {dataset} --overwrite`"
            )
        entries[case.id] = entry
    return entries


def training_cases(planned: PlannedDataset, cases: Sequence[str]) -> list[TrainingCase]:
    """The preprocessed arrays of the cases."""
    paths = [CachePaths(planned.workspace.preprocessed(planned.name), case) for case in cases]
    return [
        TrainingCase(case, path.image, path.label, (file_state(path.image), file_state(path.label)))
        for case, path in zip(cases, paths, strict=True)
    ]


def check_run_plan(planned: PlannedDataset, run: str, folds: Sequence[str], request: TrainingRequest) -> None:
    """All folds of a run share one plan. Raises TrainingError, with the differences, where it is another one.

    Finished folds bind the plan unless they are trained anew now; begun ones unless `allow_change` is given.
    """
    path = planned.workspace.run_plan(planned.name, run)
    if not path.exists():
        return
    changes = plan_changes(load_plan(path), planned.plan)
    if not changes:
        return
    shown = "; ".join(changes[:5]) + (f"; and {len(changes) - 5} more" if len(changes) > 5 else "")
    trained = planned.workspace.trained_folds(planned.name, run)
    bound = [fold for fold in trained if not (request.overwrite and fold in folds)]
    if bound:
        raise TrainingError(
            f"{path}: fold {' '.join(bound)} of run {run} was trained with another plan ({shown}); keep runs apart with"
            " --name, or train all its folds anew with --overwrite"
        )
    if request.resume and not request.allow_change:
        raise TrainingError(
            f"{path}: the plan changed since run {run} began ({shown}); restore it, or add --allow-change"
        )


def base_of_run(workspace: Workspace, dataset: str, run: str) -> str | None:
    """The file of the base that all folds of a run were begun from, so that a later fold takes the same one; None where
    there is no such base.

    A later hippopt ships other bases: what is chosen where nothing is asked then differs from what the run has.
    """
    found: set[str | None] = {
        read_card(workspace.fold(dataset, run, fold).adapter_card).base_sha256
        for fold in workspace.trained_folds(dataset, run)
    }
    for fold in workspace.begun_folds(dataset, run):
        settings = workspace.fold(dataset, run, fold).run_settings
        data = parse_json(settings.read_bytes(), settings) if settings.exists() else {}
        found.add(data.get("base_sha256") if isinstance(data, dict) else None)
    sha256 = found.pop() if len(found) == 1 else None
    path = known_base_file(sha256, workspace.base(sha256)) if sha256 else None
    return str(path) if path and path.exists() else None
