"""Move whole models: export a run with its base, or what hippopt_best chose; install either where its base is in the
file, in the workspace, or given.
"""

import hashlib
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from hippopt.artifacts.case_tables import missing_path
from hippopt.artifacts.checked_zip import holds
from hippopt.artifacts.codec import load_record, record_bytes, write_json
from hippopt.artifacts.model_file import DATASET_NAME, FIGURES, RUN_NAME, Figure, ModelManifest, OutOfFold
from hippopt.artifacts.model_set import SET_MANIFEST
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.writable_folder import check_writable
from hippopt.console import Console, SilentConsole
from hippopt.errors import OutputError, UsageError, WeightsError
from hippopt.inference.request import PredictionRequest
from hippopt.networks.model_archive import ModelFile, Tensors, open_model
from hippopt.networks.tensor_files import parse_state
from hippopt.recipes.chosen_run import ChosenRun, chosen_run, read_best
from hippopt.recipes.prediction import predict_scans
from hippopt.recipes.ready_models import model_file, shipped_models
from hippopt.recipes.standards import judging_records
from hippopt.scoring.tables import read_case_table, summarise
from hippopt.stages.adopt_base import kept_bytes, load_known_base
from hippopt.stages.export_model import ExportRequest, check_target, export_model
from hippopt.stages.install_model import check_place, install_model
from hippopt.stages.model_set import join_models, take_apart
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class InstallRequest:
    """name: of the run here, its own where it is None; base: a file of the base, for a model file without it."""

    source: Path
    name: str | None = None
    base: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Installed:
    """What a file brought. runs: their names here; manifests: of each, in the same order."""

    dataset: str
    runs: tuple[str, ...]
    manifests: tuple[ModelManifest, ...]


def export_chosen(
    workspace: Workspace, dataset: str, run: str | None, request: ExportRequest, console: Console
) -> tuple[ModelManifest, ...]:
    """Write the file of a run, or of what hippopt_best chose: several runs, or one with its post-processing.

    Returns:
        The manifest of each run.

    Raises:
        HippoptError: one of its kinds, before FILE is written.
    """
    check_target(request)
    chosen = chosen_run(workspace, dataset, run, None, console)
    if chosen.plain or chosen.best is None:
        return (export_run(workspace, dataset, chosen.name, request, console),)
    check_writable(request.target.parent, str(request.target.parent))
    manifests: list[ModelManifest] = []
    with tempfile.TemporaryDirectory(dir=request.target.parent, prefix=".hippopt-export-") as folder:
        files: dict[str, Path] = {}
        for own in chosen.together:
            files[own.name] = Path(folder) / f"{own.name}.zip"
            sha256 = own.cards()[0].base_sha256
            there = any(known.base is not None and known.base.sha256 == sha256 for known in manifests)
            wanted = replace(request, target=files[own.name], include_base=request.include_base and not there)
            manifests.append(export_run(workspace, dataset, own.name, wanted, console))
        join_models(request.target, files, chosen.best, console)
    return tuple(manifests)


def export_run(workspace: Workspace, dataset: str, run: str, request: ExportRequest, console: Console) -> ModelManifest:
    """Write the model file of a run. Raises HippoptError's kinds, before anything is written."""
    check_target(request)
    if not DATASET_NAME.fullmatch(dataset) or not RUN_NAME.fullmatch(run):
        raise OutputError(
            f"{workspace.run(dataset, run)}: a model's names have letters, digits, - and _ only; rename the folder"
        )
    plan = load_plan(workspace.run_plan(dataset, run))
    folds = workspace.trained_folds(dataset, run)
    numbered = [fold for fold in folds if fold.isdigit()]
    if numbered and len(numbered) < len(plan.folds):
        console.warn(
            f"run {run}: {len(numbered)} of {len(plan.folds)} folds are trained; the model is fold {' '.join(folds)}"
        )
    chosen = ChosenRun(workspace, dataset, run, plan, tuple(folds))
    cards = chosen.cards()
    sha256 = cards[0].base_sha256
    base = load_known_base(sha256, workspace) if sha256 else None
    judged_by = judging_records(chosen, cards, console)
    if "contrast.json" not in judged_by and any(card.seen_images for card in cards):
        console.warn(
            "the training scans' fingerprint is gone: where this model is installed, no scan unlike them will be"
            " warned of"
        )
    figures = _figures(workspace, dataset, run, plan)
    if figures is not None:
        judged_by = {**judged_by, FIGURES: figures}
        console.say(figures.text)
    return export_model(workspace, dataset, run, base, judged_by, request, console)


def install_file(workspace: Workspace, request: InstallRequest, console: Console) -> Installed:
    """Install the run of a model file, or the runs and the choice of one that hippopt_best stands behind.

    Raises HippoptError's kinds; of a single run before anything is written.
    """
    request = replace(request, source=model_file(str(request.source)))
    if not holds(request.source, SET_MANIFEST):
        manifest, run = _install_run(workspace, request, console)
        return Installed(manifest.dataset, (run,), (manifest,))
    with tempfile.TemporaryDirectory() as folder:
        best, files = take_apart(request.source, Path(folder))
        names = {run: _name_here(run, request.name, len(files)) for run in files}
        chosen = best.renamed(names)
        path = workspace.best(best.dataset)
        if path.exists() and path.read_bytes() != record_bytes(chosen) and not request.overwrite:
            raise OutputError(f"{path}: another choice is there already; replace it with --overwrite, or move it away")
        for run, file in files.items():
            with open_model(file) as model:
                if (model.manifest.dataset, model.manifest.run) != (best.dataset, run):
                    raise WeightsError(f"{request.source}: its run {run} is another one inside; export it anew")
            check_place(workspace, best.dataset, names[run], request.overwrite)
        manifests = []
        for run, file in files.items():
            own = InstallRequest(file, names[run], _base_for(workspace, file, request), request.overwrite)
            manifest, _ = _install_run(workspace, own, console)
            manifests.append(manifest)
        write_json(path, chosen)
        read_best(workspace, best.dataset)
        return Installed(best.dataset, tuple(names.values()), tuple(manifests))


def _name_here(run: str, asked: str | None, count: int) -> str:
    """The name of a run once it is installed: the one asked for, which several share as a beginning."""
    return run if asked is None else asked if count == 1 else f"{asked}-{run}"


def _base_for(workspace: Workspace, file: Path, request: InstallRequest) -> Path | None:
    """--base, for a run that has its base neither in the file nor, since the run before it, in the workspace."""
    with open_model(file) as model:
        entry = model.manifest.base
        needs = entry is not None and not entry.included and not workspace.base(entry.sha256).exists()
    return request.base if needs else None


def _install_run(workspace: Workspace, request: InstallRequest, console: Console) -> tuple[ModelManifest, str]:
    """(manifest, name of the run here). Raises HippoptError's kinds, before anything is written."""
    with open_model(request.source) as model:
        run = model.manifest.run if request.name is None else request.name
        check_place(workspace, model.manifest.dataset, run, request.overwrite)
        check_writable(workspace.run(model.manifest.dataset, run).parent)
        base, data = _outside_base(model, workspace, request)
        install_model(model, workspace, run, request.overwrite, base, data, console)
        return model.manifest, run


def predict_from_file(model: Path, base: Path | None, request: PredictionRequest, console: Console) -> int:
    """Segment scans with a model file, which is checked whole and unpacked to a temporary folder: the masks are those
    of the installed run or runs.

    Returns the number of failures. Raises HippoptError's kinds; UsageError where a run is asked for besides.
    """
    if request.run is not None:
        raise UsageError(f"--run {request.run}: a model file predicts as a whole; leave --run out")
    model = model_file(str(model))
    if not model.is_file():
        ships = f"; or a name: {', '.join(path.stem for path in shipped_models())}" if shipped_models() else ""
        raise UsageError(
            f"--model {missing_path(model)}{ships}"
            if not model.exists()
            else f"--model {model}: not a file; give one of hippopt_export{ships}"
        )
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        found = install_file(workspace, InstallRequest(model, base=base), SilentConsole())
        for run in found.runs:
            say_figures(workspace, found.dataset, run, console)
        return predict_scans(workspace, found.dataset, request, console)


def say_figures(workspace: Workspace, dataset: str, run: str, console: Console) -> None:
    """Say what an installed run reached out of fold where it was trained, if its file told."""
    path = workspace.run_figures(dataset, run)
    if path.exists():
        console.say(load_record(path, OutOfFold, "hippopt_install").text)


def _figures(workspace: Workspace, dataset: str, run: str, plan: Plan) -> OutOfFold | None:
    """What the validated folds of a run reached, or what its model file said of them."""
    kept = workspace.run_figures(dataset, run)
    if kept.exists():
        return load_record(kept, OutOfFold, "hippopt_install")
    folders = [workspace.fold(dataset, run, str(number)) for number in range(len(plan.folds))]
    tables = [
        read_case_table(folder.metrics) for folder in folders if folder.summary.exists() and folder.metrics.exists()
    ]
    if not tables:
        return None
    table = pd.concat(tables, ignore_index=True)
    rows = summarise(table).set_index(["label", "metric"])

    def value(label: str, metric: str, name: str) -> float | None:
        found = float(rows.loc[(label, metric), name])
        return found if math.isfinite(found) else None

    return OutOfFold(
        folds=len(tables),
        of=len(plan.folds),
        cases=int(table.case.nunique()),
        subjects=int(table.subject.nunique()),
        figures=tuple(
            Figure(
                label=str(label),
                dice=value(label, "dice", "mean"),
                dice_low=value(label, "dice", "ci95_low"),
                dice_high=value(label, "dice", "ci95_high"),
                hd95_mm=value(label, "hd95_mm", "mean"),
                nsd_1mm=value(label, "nsd_1mm", "mean"),
            )
            for label in dict.fromkeys(table.label)
        ),
    )


def _outside_base(
    model: ModelFile, workspace: Workspace, request: InstallRequest
) -> tuple[Tensors | None, bytes | None]:
    """(tensors, bytes to keep where the workspace has no such base yet) of the base that a model file only names."""
    entry = model.manifest.base
    if entry is None or entry.included:
        if request.base is not None:
            brings = "was trained from random weights" if entry is None else "brings its base"
            raise UsageError(f"--base {request.base}: {request.source} {brings}; leave --base out")
        return None, None
    if request.base is None:
        try:
            return load_known_base(entry.sha256, workspace)[0], None
        except WeightsError as error:
            raise WeightsError(
                f"{request.source}: made without its base {entry.name}, and {str(error).partition('; ')[0]}; give that"
                " base with --base FILE (from Python base=FILE), or have the model exported with it"
            ) from None
    data = kept_bytes(request.base)
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        raise WeightsError(
            f"--base {request.base}: its sha256 is {found[:12]}, the model needs {entry.name}, {entry.sha256[:12]};"
            " give that"
        )
    return parse_state(data, request.base), data
