"""Stage: score masks in a folder by the Dice of the whole structure, all labels taken as one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hippopt.artifacts.dataset import Case
from hippopt.files.image_io import mask_ending, read_scan
from hippopt.imaging.mask_parts import dice


def score_outlines(masks: Path, cases: Sequence[Case]) -> pd.DataFrame:
    """Score masks without asking which label a voxel has.

    Args:
        masks: folder of masks, named as hippopt_predict names them.
        cases: the scans and their labels.

    Returns:
        `case`, `outline_dice`, a row per case.

    Raises:
        ImageError: a mask or a label cannot be read.
    """
    rows = []
    for case in cases:
        mask = read_scan(masks / (case.id + mask_ending(Path(case.channels[0])))).array
        rows.append((case.id, dice(np.rint(mask) > 0, np.rint(read_scan(Path(case.label)).array) > 0)))
    return pd.DataFrame(rows, columns=["case", "outline_dice"]).astype({"case": str})
