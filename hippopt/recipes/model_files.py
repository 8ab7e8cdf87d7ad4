"""Move whole models: export a run with its base, install one where its base is in the file, in the
workspace, or given.
"""

import hashlib
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from hippopt.artifacts.case_tables import missing_path
from hippopt.artifacts.codec import load_record
from hippopt.artifacts.model_file import DATASET_NAME, FIGURES, RUN_NAME, Figure, ModelManifest, OutOfFold
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.writable_folder import check_writable
from hippopt.console import Console, SilentConsole
from hippopt.errors import OutputError, UsageError, WeightsError
from hippopt.inference.request import PredictionRequest
from hippopt.networks.model_archive import ModelFile, Tensors, open_model
from hippopt.networks.tensor_files import parse_state
from hippopt.recipes.chosen_run import ChosenRun, choose_run
from hippopt.recipes.prediction import predict_scans
from hippopt.recipes.ready_models import model_file, shipped_models
from hippopt.recipes.standards import judging_records
from hippopt.scoring.tables import read_case_table, summarise
from hippopt.stages.adopt_base import kept_bytes, load_known_base
from hippopt.stages.export_model import ExportRequest, check_target, export_model
from hippopt.stages.install_model import check_place, install_model
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class InstallRequest:
    """name: of the run here, its own where it is None; base: a file of the base, for a model file without it."""

    source: Path
    name: str | None = None
    base: Path | None = None
    overwrite: bool = False


def export_run(
    workspace: Workspace, dataset: str, run: str | None, request: ExportRequest, console: Console
) -> ModelManifest:
    """Write the model file of a run. Raises HippoptError's kinds, before anything is written."""
    check_target(request)
    run = choose_run(workspace, dataset, run)
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


def install_file(workspace: Workspace, request: InstallRequest, console: Console) -> tuple[ModelManifest, str]:
    """(manifest, name of the run here). Raises HippoptError's kinds, before anything is written."""
    request = replace(request, source=model_file(str(request.source)))
    with open_model(request.source) as model:
        run = model.manifest.run if request.name is None else request.name
        check_place(workspace, model.manifest.dataset, run, request.overwrite)
        check_writable(workspace.run(model.manifest.dataset, run).parent)
        base, data = _outside_base(model, workspace, request)
        install_model(model, workspace, run, request.overwrite, base, data, console)
        return model.manifest, run


def predict_from_file(model: Path, base: Path | None, request: PredictionRequest, console: Console) -> int:
    """Segment scans with a model file, which is checked whole and unpacked to a temporary folder: the masks are those
    of the installed run.

    Returns the number of failures. Raises HippoptError's kinds; UsageError where a run is asked for besides.
    """
    if request.run is not None:
        raise UsageError(f"--run {request.run}: a model file holds one run; leave --run out")
    model = model_file(str(model))
    if not model.is_file():
        ships = f"; or a name: {', '.join(path.stem for path in shipped_models())}" if shipped_models() else ""
        raise UsageError(
            f"--model {missing_path(model)}{ships}"
            if not model.exists()
            else f"--model {model}: a folder; give a file of hippopt_export"
        )
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        manifest, run = install_file(workspace, InstallRequest(model, base=base), SilentConsole())
        say_figures(workspace, manifest.dataset, run, console)
        return predict_scans(workspace, manifest.dataset, request, console)


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
