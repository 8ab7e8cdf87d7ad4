"""The models that ship with hippopt, for those who have no labels, and those that are installed or trained here."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hippopt.artifacts.codec import decode, load_record, parse_json
from hippopt.artifacts.fold_names import FULL_DATA, folder_of_fold
from hippopt.artifacts.model_card import ModelCard
from hippopt.artifacts.model_file import RUN
from hippopt.artifacts.plan import Plan
from hippopt.errors import UsageError
from hippopt.networks.locator import ReadyLocator, restore_locator
from hippopt.networks.model_archive import open_model
from hippopt.networks.tensor_files import parse_state
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class KnownModel:
    """One model that `--model` takes. place: its file, or its run's folder; card: of one that ships."""

    name: str
    place: Path
    card: ModelCard | None = None


def shipped_models() -> list[Path]:
    """The model files that come with hippopt, by name; the newest sorts last."""
    folder = Path(str(files("hippopt") / "models"))
    return sorted(folder.glob("*.zip")) if folder.is_dir() else []


def shipped_model(name: str | None = None) -> Path | None:
    """The model file of this name that ships, or without a name the newest one."""
    known = shipped_models()
    return next((path for path in reversed(known) if name in (None, path.stem)), None)


def model_file(asked: str) -> Path:
    """The file that is there under this path, or ships under this name; else the path as it is."""
    path = Path(asked)
    return path if path.exists() else shipped_model(asked) or path


def model_card(path: Path) -> ModelCard:
    """The card beside a model file that ships. Raises PlanError."""
    return load_record(path.with_suffix(".json"), ModelCard, "hippopt_make_model")


def nothing_trained(workspace: Workspace) -> bool:
    """Whether no data set of the workspace has a run with a finished fold."""
    return not any(workspace.runs(dataset) for dataset in workspace.datasets())


def default_model(workspace: Workspace) -> Path | None:
    """The model that ships, for a workspace in which nothing is trained or installed; None for any other."""
    return shipped_model() if nothing_trained(workspace) else None


def installed_run(workspace: Workspace, name: str) -> tuple[str, str] | None:
    """(data set, run) of the workspace under the name that `known_models` gives, DATASET/RUN or the run's alone."""
    *named, wanted = name.split("/")
    found = [
        (dataset, run)
        for dataset in workspace.datasets()
        for run in workspace.runs(dataset)
        if run == wanted and (not named or named[0] in (dataset, workspace.short_name(dataset)))
    ]
    return found[0] if len(found) == 1 else None


def needed_model() -> Path:
    """The newest model that ships. Raises UsageError where none does."""
    found = shipped_model()
    if found is None:
        raise UsageError("this hippopt was installed without a model; give a workspace, a run's folder or a model file")
    return found


def ready_locator(plan: Plan) -> ReadyLocator | None:
    """The locator of the model that ships, for a plan that has one; None where none ships or the plan has none.

    Raises WeightsError where the shipped file is damaged.
    """
    path = shipped_model()
    if path is None or plan.locator is None:
        return None
    with open_model(path) as model:
        folder = f"{RUN}{folder_of_fold(FULL_DATA)}/locator"
        own = decode(parse_json(model.archive.text(f"{RUN}plan.json"), path), Plan, path)
        weights, card = model.source(f"{folder}.safetensors"), model.source(f"{folder}.json")
        tensors = parse_state(model.archive.read(f"{folder}.safetensors"), weights)
        network, about = restore_locator(model.archive.text(f"{folder}.json"), tensors, own, weights, card)
    assert own.locator is not None
    return ReadyLocator(path.stem, network, about.classes, own.locator.channels)


def known_models(workspace: Workspace) -> list[KnownModel]:
    """What ships, and the runs of the workspace. Raises PlanError where a card is damaged."""
    ready = [KnownModel(path.stem, path, model_card(path)) for path in reversed(shipped_models())]
    here = [
        KnownModel(f"{workspace.short_name(dataset)}/{run}", workspace.run(dataset, run))
        for dataset in workspace.datasets()
        for run in workspace.runs(dataset)
    ]
    return ready + here
