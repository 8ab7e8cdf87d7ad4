"""Stage 8: score masks against reference labels, in the scan's own grid."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hippopt.artifacts.dataset import image_files, split_ending
from hippopt.console import Console
from hippopt.errors import DatasetError, ImageError
from hippopt.files.image_io import Scan, read_scan
from hippopt.scoring.metrics import score_case
from hippopt.scoring.tables import ScoredCase, case_table

AFFINE_TOLERANCE_MM = 1e-2


@dataclass(frozen=True)
class LabelNames:
    """Label names and values without the background, and the subject of each case; empty where unknown."""

    foreground: Mapping[str, int]
    subjects: Mapping[str, str]


def evaluate(predictions: Path, labels: Path, names: LabelNames, jobs: int, console: Console) -> tuple[pd.DataFrame, list[str]]:
    """(case table, faults). Cases are matched by file name without its ending; a case that cannot be scored is a fault.

    Raises DatasetError when a folder is empty or nothing matches.
    """
    predicted, reference = _by_case(predictions, "-p"), _by_case(labels, "-l")
    common = sorted(set(predicted) & set(reference))
    if not common:
        raise DatasetError(f"-p {predictions} and -l {labels}: no file name in common; masks and labels must be named alike")
    faults = [f"{predicted[case]}: no label of this name in {labels}" for case in sorted(set(predicted) - set(reference))]
    unmatched = len(set(reference) - set(predicted))
    if unmatched:
        console.warn(f"{unmatched} labels have no prediction and are not scored")

    def read(case: str) -> tuple[Scan, Scan] | str:
        try:
            pair = read_scan(predicted[case]), read_scan(reference[case])
            return _mismatch(*pair) or pair
        except ImageError as error:
            return str(error)

    with ThreadPoolExecutor(jobs) as pool:
        pairs = dict(zip(common, pool.map(read, common), strict=True))
    faults += [pair for pair in pairs.values() if isinstance(pair, str)]
    whole = {case: pair for case, pair in pairs.items() if not isinstance(pair, str)}
    foreground = names.foreground or _values_found(whole)

    def score(case: str) -> ScoredCase:
        mask, label = whole[case]
        values = score_case(_integers(mask), _integers(label), label.grid.spacing_mm, foreground)
        return ScoredCase(case, names.subjects.get(case, case), tuple(values))

    with ThreadPoolExecutor(jobs) as pool:
        scored = list(console.track(pool.map(score, whole), "evaluate", len(whole)))
    if not scored:
        raise DatasetError("\n".join([*faults, "no case could be scored"]))
    return case_table(scored), faults


def _by_case(folder: Path, option: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise DatasetError(f"{option} {folder.absolute()}: no such folder")
    # maps of probabilities and of uncertainty may lie beside masks
    files = [path for path in image_files(folder) if not path.name.endswith(("_probabilities.nii.gz", "_uncertainty.nii.gz"))]
    if not files:
        raise DatasetError(f"{option} {folder}: no image files in it")
    found: dict[str, Path] = {}
    for path in files:
        kind = split_ending(path.name)
        stem = kind[0] if kind else path.name
        if kind and kind[1].lower() == ".hdr" and path.with_suffix(".img").exists():
            continue
        if stem in found:
            raise DatasetError(f"{path}: ambiguous, {found[stem].name} has the same name; keep one of them")
        found[stem] = path
    return found


def _mismatch(mask: Scan, label: Scan) -> str | None:
    for scan in (mask, label):
        if scan.array.dtype.kind == "f" and not np.array_equal(scan.array, np.rint(scan.array)):
            return f"{scan.path}: values are not whole numbers; give label masks, not probabilities"
    if mask.grid.shape != label.grid.shape:
        return f"{mask.path}: shape {mask.grid.shape} (Z, Y, X), its label has {label.grid.shape}; score masks in the scan's own grid"
    difference = float(np.abs(np.subtract(mask.grid.affine, label.grid.affine)).max())
    if difference > AFFINE_TOLERANCE_MM * max(1, max(label.grid.shape) / 100):
        return f"{mask.path}: its affine differs by up to {difference:.3g} from that of {label.path.name}; resample it to the label's grid"
    return None


def _integers(scan: Scan) -> np.ndarray:
    return np.rint(scan.array).astype(np.int32)


def _values_found(pairs: Mapping[str, tuple[Scan, Scan]]) -> dict[str, int]:
    """Without a dataset.json: every value of the labels but 0, named label_V."""
    values: set[int] = set()
    for _, label in pairs.values():
        values |= {int(value) for value in np.unique(label.array)}
    return {f"label_{value}": value for value in sorted(values - {0})}
