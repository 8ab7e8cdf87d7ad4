"""What a user may ask of a training: one record, from the command line to the stage that trains a fold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hippopt.artifacts.methods import Method


@dataclass(frozen=True)
class TrainingRequest:
    """Holds what the user asked of hippopt_train; None stands for the plan's or the machine's choice.

    Each field is an option of the command of the same name (`allow_seen`: `--allow-seen`), both ways:
    hippopt.cli.requests reads the record from a parsed command line and writes it as one, for folds that train in
    processes of their own.
    """

    method: Method
    # without the option the shipped base would be taken
    base: str | None = field(default=None, metadata={"none": "none"})
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
    learning_rate: float | None = None
    no_transformer: bool = False
    kernels: bool = False
    continue_from: str | None = None
    unlabelled: Path | None = None
    teacher: str | None = None
