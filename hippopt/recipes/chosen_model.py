"""The model that a command line names: a file of hippopt_export, a
run's folder, a run of the workspace, what hippopt_best chose, or the only one there is.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hippopt.console import SilentConsole
from hippopt.errors import UsageError
from hippopt.recipes.chosen_run import choose_run
from hippopt.recipes.model_files import InstallRequest, install_file
from hippopt.recipes.ready_models import default_model, model_file
from hippopt.workspace import Workspace

Chosen = tuple[Workspace, str, str | None]  # workspace, data set, run; None for what hippopt_best chose


@contextlib.contextmanager
def chosen_model(workspace: Workspace, model: str | None) -> Iterator[Chosen]:
    """Yield where the networks are; without a model and a trained run those that ship.

    A file is checked whole, and unpacked to a temporary folder that ends with the block.

    Raises UsageError where nothing fits, or several runs do; WeightsError for a file that is damaged.
    """
    path = model_file(model) if model is not None else default_model(workspace)
    if path is not None and path.is_file():
        with tempfile.TemporaryDirectory() as folder:
            unpacked = Workspace(Path(folder))
            found = install_file(unpacked, InstallRequest(path), SilentConsole())
            yield unpacked, found.dataset, None
        return
    if path is not None and (path / "plan.json").is_file() and path.resolve().parent.parent.name == "results":
        whole = path.resolve()
        yield Workspace(whole.parent.parent.parent), whole.parent.name, whole.name
        return
    if model is None:
        dataset = workspace.resolve(None)
        choose_run(workspace, dataset, None)  # raises where there is none, or no choice among several
        yield workspace, dataset, None
        return
    *named, run = model.split("/")
    datasets = [workspace.resolve(named[0])] if len(named) == 1 else workspace.datasets()
    fitting = [dataset for dataset in datasets if run in workspace.runs(dataset)]
    if len(fitting) != 1:
        there = [f"{dataset[11:]}/{name}" for dataset in workspace.datasets() for name in workspace.runs(dataset)]
        raise UsageError(
            f"--model {model}: no file, and {'several runs are' if fitting else 'no trained run is'} named so in"
            f" {workspace.root.resolve()} ({', '.join(there) or 'there are none'}); give a file of hippopt_export, or"
            " DATASET/RUN"
        )
    yield workspace, fitting[0], run
