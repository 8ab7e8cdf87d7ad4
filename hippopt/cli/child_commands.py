"""hippopt_train and hippopt_predict as processes of their own: requests turned back into command lines."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hippopt.workspace import Workspace

if TYPE_CHECKING:
    from hippopt.recipes.prediction import PredictionRequest
    from hippopt.recipes.training import TrainingRequest


def train_command(workspace: Workspace, dataset: str, fold: str, request: "TrainingRequest") -> tuple[str, ...]:
    """hippopt_train of one fold."""
    values = {
        "--root": workspace.root, "--method": request.method, "--base": request.base or "none", "--rank": request.rank,
        "--learning-rate": request.learning_rate, "--seed": request.seed, "--steps": request.steps, "--minutes": request.minutes,
        "--name": request.name or None, "--device": request.device, "--workers": request.workers,
    }  # fmt: skip
    flags = {
        "--resume": request.resume, "--overwrite": request.overwrite, "--allow-seen": request.allow_seen, "--allow-change": request.allow_change,
    }  # fmt: skip
    return (*_command("train"), dataset, fold, *_given(values), *(flag for flag, wanted in flags.items() if wanted))


def predict_command(workspace: Workspace, dataset: str, request: "PredictionRequest") -> tuple[str, ...]:
    """hippopt_predict."""
    values = {
        "--root": workspace.root, "-i": request.source, "-o": request.output, "-d": dataset, "--run": request.run, "--device": request.device,
    }  # fmt: skip
    return (*_command("predict"), *_given(values), "-f", *(request.folds or ()), *(["--overwrite"] if request.overwrite else []))


def _command(name: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; from hippopt.cli.{name} import main; sys.exit(main())")


def _given(values: Mapping[str, object]) -> list[str]:
    return [part for option, value in values.items() if value is not None for part in (option, str(value))]
