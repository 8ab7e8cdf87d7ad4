"""Stage 8: score masks against reference labels, in the scan's own grid."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from hippopt.artifacts.dataset import split_ending
from hippopt.console import Console, counted
from hippopt.errors import DatasetError, ImageError
from hippopt.files.label_reading import label_on_grid, read_label
from hippopt.files.scan import Scan
from hippopt.files.scan_listing import regular_images
from hippopt.imaging.arrays import LabelMask
from hippopt.imaging.lattice import same_points
from hippopt.scoring.metrics import ABSENT_IN_BOTH, score_case
from hippopt.scoring.tables import ScoredCase, case_table
from hippopt.sources.parcellation import Picks, listed_values, pick
from hippopt.sources.segment_names import contradictions, other_values

Pairs = Mapping[str, tuple[Scan, Scan]]  # case: (mask, label) on one grid


@dataclass(frozen=True)
class LabelNames:
    """Label names and values without the background, and the subject of each case; empty where unknown.

    picks: {name: values in the files} that are to be read as 1, 2, ... in their order; then these are the values of
    `foreground`.
    """

    foreground: Mapping[str, int]
    subjects: Mapping[str, str]
    picks: Picks = field(default_factory=dict)


def evaluate(
    predictions: Path, labels: Path, names: LabelNames, jobs: int, console: Console
) -> tuple[pd.DataFrame, list[str]]:
    """Score a folder of masks. Cases are matched by file name without its ending.

    Args:
        predictions: folder of masks, each in its label's grid.
        labels: folder of reference labels.
        names: names and values of the labels, and each case's subject.
        jobs: cases at a time.
        console: shows a bar, and warns of labels that are scored nowhere.

    Returns:
        The case table, one row per case and label, with distances in mm and volumes in mm3; and the faults of the cases
        that could not be scored, a line each.

    Raises:
        DatasetError: a folder is empty, nothing matches or can be scored, files name their values otherwise, masks and
            labels have no value in common, or a value is no label that is known.
    """
    predicted, reference = files_by_case(predictions, "-p", console), files_by_case(labels, "-l", console)
    common = sorted(set(predicted) & set(reference))
    if not common:
        raise DatasetError(
            f"-p {predictions} and -l {labels}: no file name in common; masks and labels must be named alike"
        )
    faults = [
        f"{predicted[case]}: no label of this name in {labels}" for case in sorted(set(predicted) - set(reference))
    ]
    unmatched = len(set(reference) - set(predicted))
    if unmatched:
        console.warn(f"{counted(unmatched, 'label file')} without a prediction: not scored")

    def read(case: str) -> tuple[Scan, Scan] | str:
        try:
            return _on_one_grid(read_label(predicted[case]), read_label(reference[case]))
        except ImageError as error:
            return str(error)

    with ThreadPoolExecutor(jobs) as pool:
        pairs = dict(zip(common, pool.map(read, common), strict=True))
    faults += [pair for pair in pairs.values() if isinstance(pair, str)]
    whole: Pairs = {case: pair for case, pair in pairs.items() if not isinstance(pair, str)}
    _check_names(whole, names)
    whole = _picked(whole, names, console) if names.picks else whole
    foreground = dict(names.foreground) or {
        f"label_{value}": value for value in _values(label for _, label in whole.values())
    }
    _check_values(predictions, labels, whole, foreground, names)

    def score(case: str) -> ScoredCase:
        mask, label = whole[case]
        values = score_case(_integers(mask), _integers(label), label.grid.spacing_mm, foreground)
        return ScoredCase(case, names.subjects.get(case, case), tuple(values))

    with ThreadPoolExecutor(jobs) as pool:
        scored = list(console.track(pool.map(score, whole), "evaluate", len(whole)))
    if not scored:
        raise DatasetError("\n".join([*faults, "no case could be scored"]))
    table = case_table(scored)
    for label in foreground:
        if (table.note[table.label == label] == ABSENT_IN_BOTH).all():
            console.warn(f"{label}: absent in every mask and in every label, so that its scores (Dice 1) say nothing")
    return table, faults


def files_by_case(folder: Path, option: str, console: Console | None = None) -> dict[str, Path]:
    """Label files of a folder by name without ending. Raises DatasetError where there is none, or two of one name."""
    if not folder.is_dir():
        raise DatasetError(f"{option} {folder.absolute()}: no such folder")
    # maps of probabilities and of uncertainty may lie beside masks
    every, notes = regular_images(folder, option)
    files = [path for path in every if not path.name.endswith(("_probabilities.nii.gz", "_uncertainty.nii.gz"))]
    if not files:
        raise DatasetError("\n".join([f"{option} {folder}: no image files in it", *notes]))
    for note in notes if console is not None else []:
        assert console is not None
        console.warn(note)
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


def _on_one_grid(mask: Scan, label: Scan) -> tuple[Scan, Scan] | str:
    """Both on the grid of the label, or of the mask where the label holds a part of it; else why not."""
    whole = label_on_grid(label, mask.grid) if same_points(mask.grid, label.grid) is None else None
    if whole is not None:
        return mask, whole
    turned = label_on_grid(mask, label.grid)
    if turned is not None:
        return turned, label
    if mask.grid.shape != label.grid.shape:
        return (
            f"{mask.path}: shape {mask.grid.shape} (Z, Y, X), its label has {label.grid.shape}; score masks in the"
            " scan's own grid"
        )
    difference = float(np.abs(np.subtract(mask.grid.affine, label.grid.affine)).max())
    return (
        f"{mask.path}: its affine differs by up to {difference:.3g} from that of {label.path.name}; resample it to the"
        " label's grid"
    )


def _check_names(pairs: Pairs, names: LabelNames) -> None:
    """Raises DatasetError where the files themselves name their values otherwise."""
    faults = contradictions({str(scan.path): scan.segments for pair in pairs.values() for scan in pair})
    if not names.picks:
        faults += [
            fault
            for pair in pairs.values()
            for scan in pair
            for fault in other_values(scan.path, scan.segments, names.foreground)
        ]
    if faults:
        raise DatasetError("\n".join(faults))


def _picked(pairs: Pairs, names: LabelNames, console: Console) -> Pairs:
    """Labels, and masks where they hold values of the picks, as 1,
    2, ... in the order of the names. Raises DatasetError.
    """
    numbers = {number for listed in names.picks.values() for number in listed}
    held = set(_values(mask for mask, _ in pairs.values()))
    by_number = not held or bool(held & numbers)
    order = ", ".join(f"{value} {name}" for value, name in enumerate(names.picks, 1))
    if not by_number:
        if not held <= set(range(1, len(names.picks) + 1)):
            raise DatasetError(
                f"--labels: masks hold {listed_values(sorted(held))}, which are neither its values"
                f" {listed_values(sorted(numbers))} nor {order}; name the values of the masks too, several to a name:"
                " NAME=VALUE,VALUE"
            )
        console.say(f"masks are read as {order}, in the order of --labels, as hippopt_import numbers them")

    def picked(scan: Scan) -> Scan:
        return replace(scan, array=pick(scan.array, names.picks))

    return {case: (picked(mask) if by_number else mask, picked(label)) for case, (mask, label) in pairs.items()}


def _check_values(
    predictions: Path, labels: Path, pairs: Pairs, foreground: Mapping[str, int], names: LabelNames
) -> None:
    """Raises DatasetError where masks, or labels, hold values, but
    none that is scored, or an unknown label value.
    """
    held = [_values(scans) for scans in ((mask for mask, _ in pairs.values()), (label for _, label in pairs.values()))]
    scored = set(foreground.values())
    told = [listed_values(values) if values else "0 alone" for values in held]
    meant = (
        f", and {', '.join(f'{name} {value}' for name, value in foreground.items())} are to be scored"
        if names.foreground
        else ""
    )
    if any(values and not scored & set(values) for values in held):
        raise DatasetError(
            f"masks in {predictions} hold the values {told[0]}, labels in {labels} {told[1]}{meant}: nothing in common;"
            " say what the values of the labels mean, in the order of the masks' 1, 2, ...: --labels NAME=VALUE"
            " NAME=VALUE, such as --labels hippocampus_left=17"
        )
    unknown = [sorted(set(values) - scored) for values in held]
    if any(unknown):
        strange = " and ".join(
            f"{kind} {folder} hold {listed_values(values)}"
            for kind, folder, values in zip(("masks in", "labels in"), (predictions, labels), unknown, strict=True)
            if values
        )
        raise DatasetError(
            f"{strange}, which is no label that is known"
            f" ({', '.join(f'{name} {value}' for name, value in foreground.items())}); name the data set with -d, or"
            " say what the values mean: --labels NAME=VALUE NAME=VALUE"
        )


def _values(scans: Iterable[Scan]) -> list[int]:
    """Every value but 0 that occurs."""
    found: set[int] = set()
    for scan in scans:
        found |= {int(value) for value in np.unique(scan.array)}
    return sorted(found - {0})


def _integers(scan: Scan) -> LabelMask:
    return scan.array.astype(np.int64 if scan.array.dtype.itemsize > 4 else np.int32)
