"""A scan as read from a file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hippopt.artifacts.grid import Grid


@dataclass(frozen=True)
class Scan:
    """One 3D image. array: (Z, Y, X), the file's axes reversed; header: what a mask in the same grid is written from."""

    path: Path
    array: np.ndarray
    grid: Grid
    header: Any
    notes: list[str] = field(default_factory=list)
