"""Stage: a run and what prediction with it needs, as one file that hippopt_install checks and unpacks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from hippopt import __version__
from hippopt.artifacts.codec import Record, canonical_json
from hippopt.artifacts.methods import METHODS
from hippopt.artifacts.model_file import BASE_CARD, BASE_WEIGHTS, MANIFEST, RUN, BaseEntry, Member, ModelManifest
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.weights import AdapterCard, BaseCard
from hippopt.artifacts.written_zip import write_zip
from hippopt.console import Console
from hippopt.errors import OutputError
from hippopt.networks.base_files import known_base_file
from hippopt.networks.initial_factors import load_factors
from hippopt.networks.locator import read_locator
from hippopt.networks.restoring import read_card
from hippopt.networks.tensor_files import check_space, read_state
from hippopt.networks.whole_model import AdapterParts, check_model
from hippopt.result_folders import FoldFolder
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class ExportRequest:
    """What goes into the file. with_best: the checkpoints of the best step too, which were chosen on
    validation cases.
    """

    target: Path
    include_base: bool = True
    with_best: bool = False
    overwrite: bool = False


def check_target(request: ExportRequest) -> None:
    """Raises OutputError where a file is there already, or none can be written."""
    path = request.target
    if path.is_dir():
        raise OutputError(f"{path}: a folder; give the name of a file")
    if path.exists() and not request.overwrite:
        raise OutputError(f"{path}: is there already; choose another name, or replace it with --overwrite")


def export_model(
    workspace: Workspace,
    dataset: str,
    run: str,
    base: tuple[Mapping[str, torch.Tensor], BaseCard] | None,
    judged_by: Mapping[str, Record],
    request: ExportRequest,
    console: Console,
) -> ModelManifest:
    """Write the file of a model. Everything is restored once before, as prediction would.

    Args:
        workspace: where the run lies.
        dataset: the data set's full name, `DatasetNNN_Name`.
        run: the run's name.
        base: tensors and card of the base; None where the run began from random weights.
        judged_by: file name, of `OPTIONAL` in artifacts/model_file.py, to the record that prediction judges masks by.
        request: where the file goes, and what goes into it.
        console: shows a bar.

    Returns:
        The manifest: data set, run, folds, base, and every member with its size in bytes and its sha256.

    Raises:
        PlanError: the run's plan cannot be read, or breaks a rule.
        StaleArtifactError: a fold or its locator was trained with another plan.
        WeightsError: a fold, its locator, the initial factors or the base are missing, damaged, or not of one model.
        OutputError: a file is there and `overwrite` is not given, or it cannot be written.
    """
    check_target(request)
    plan = load_plan(workspace.run_plan(dataset, run))
    folders = [workspace.fold(dataset, run, fold) for fold in workspace.trained_folds(dataset, run)]
    cards = [read_card(folder.adapter_card) for folder in folders]
    decomposed = METHODS[cards[0].method].decomposes
    initial = load_factors(workspace.initial_factors(dataset, run))[0] if decomposed else None
    check_model(plan, base, initial, _adapters(folders, request.with_best, console))
    entry = BaseEntry(name=base[1].name, sha256=base[1].sha256, included=request.include_base) if base else None
    parts: dict[str, Path | bytes] = {f"{RUN}plan.json": workspace.run_plan(dataset, run)}
    parts |= {f"{RUN}{name}": canonical_json(record) for name, record in judged_by.items()}
    if decomposed:
        parts[f"{RUN}initial.safetensors"] = workspace.initial_factors(dataset, run)
    for folder in folders:
        pairs = _files(folder, request.with_best)
        if plan.locator is not None:
            read_locator(folder.locator, folder.locator_card, plan)
            pairs.append((folder.locator, folder.locator_card))
        for weights, card in pairs:
            parts |= {f"{RUN}{folder.path.name}/{path.name}": path for path in (weights, card)}
    if base is not None:
        parts[BASE_CARD] = canonical_json(base[1])
        if request.include_base:
            parts[BASE_WEIGHTS] = known_base_file(base[1].sha256, workspace.base(base[1].sha256))
    about = ModelManifest(
        hippopt=__version__,
        dataset=dataset,
        run=run,
        method=cards[0].method,
        folds=tuple(folder.path.name for folder in folders),
        base=entry,
        members=(),
    )
    check_space(
        request.target, sum(len(part) if isinstance(part, bytes) else part.stat().st_size for part in parts.values())
    )

    def manifest(members: tuple[Member, ...]) -> ModelManifest:
        return msgspec.structs.replace(about, members=members)

    return write_zip(request.target, parts, (MANIFEST, manifest), console)


def _files(folder: FoldFolder, with_best: bool) -> list[tuple[Path, Path]]:
    """(weights, card) of the last checkpoint and, where it is wanted and there, of the best."""
    best = with_best and folder.best_adapter_card.exists()
    return [(folder.adapter, folder.adapter_card), *([(folder.best_adapter, folder.best_adapter_card)] if best else [])]


def _adapters(folders: list[FoldFolder], with_best: bool, console: Console) -> Iterator[AdapterParts]:
    pairs = [pair for folder in folders for pair in _files(folder, with_best)]
    for weights, path in console.track(pairs, "check", len(pairs)):
        card: AdapterCard = read_card(path)
        yield AdapterParts(weights, card, read_state(weights))
