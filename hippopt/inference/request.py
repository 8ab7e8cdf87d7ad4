"""What was asked of a prediction, as the command, a child process and the Python interface hand it on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class PredictionRequest:
    """Holds what the user asked of hippopt_predict; None stands for all folds, and for what
    hippopt_best chose, or else the only run.

    Each field is an option of the command.
    """

    source: Path = field(metadata={"option": "-i"})
    output: Path = field(metadata={"option": "-o"})
    folds: tuple[str, ...] | None = None
    run: str | None = None
    tta: bool = False
    save_probabilities: bool = False
    save_uncertainty: bool = False
    overwrite: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint: Literal["last", "best"] = "last"
    volume: int | None = None
    parts: int | None = None  # of how many, where the scans are dealt out
    part: int | None = None  # from 1
    verify: bool = False
    head_size: Path | None = None
