"""Stage: arrays of scans that have no labels, with the masks that networks of a run made of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hippopt.artifacts.codec import content_hash, load_record, write_atomically, write_json
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.unlabelled import UnlabelledEntry
from hippopt.batches.cache import CachePaths
from hippopt.batches.patches import TrainingCase, file_state
from hippopt.console import Console
from hippopt.errors import HippoptError, ImageError
from hippopt.files.image_io import read_scan
from hippopt.files.label_reading import read_label
from hippopt.files.scan_listing import ScanFiles
from hippopt.imaging.arrays import ClassMap, Image
from hippopt.imaging.orientation import to_ras
from hippopt.imaging.preparation import prepare, prepare_label
from hippopt.inference.loading import stacked
from hippopt.sources.survey import hash_arrays

Learned = tuple[ScanFiles, tuple[Path, ...]]  # a scan, and its masks by one network each


def prepare_unlabelled(
    scans: Sequence[Learned], plan: Plan, folder: Path, console: Console, stop: Callable[[], None]
) -> tuple[tuple[TrainingCase, ...], tuple[str, ...]]:
    """Prepare the scans as training sees them, each with one label array per mask, and keep what is there already.

    A case of the result is one network's mask of one scan: where the networks differ, training meets each of their
    opinions as often as it is held. In expectation that is the cross-entropy with the mean of their masks as a soft
    label, without a second kind of label in the batches.

    Args:
        scans: to learn from, with their masks.
        plan: of the run that is to learn.
        folder: where the arrays go: `images`, and `masks_0`, `masks_1`, ... beside it.
        console: shows a bar.
        stop: is called between scans, and raises where a signal came.

    Returns:
        The cases, and the content hashes of the scans.

    Raises:
        ImageError: a scan or a mask cannot be read, or they do not lie in one grid.
        OutputError: the folder cannot be written.
        Interrupted: where `stop` says so.
    """
    cases: list[TrainingCase] = []
    seen = []
    for files, masks in console.track(scans, "prepare scans without labels", len(scans)):
        stop()
        image = CachePaths(folder / "images", files.id)
        labels = [folder / f"masks_{number}" / f"{files.id}.npy" for number in range(len(masks))]
        # of these very files: what was prepared of others is made anew
        key = content_hash([plan.preparation_hash, [list(file_state(path)) for path in (*files.channels, *masks)]])
        entry = _kept(image, labels, key)
        if entry is None:
            entry = _prepare(files, masks, plan, image, labels, key)
        seen.append(entry.image_hash)
        cases += [
            TrainingCase(files.id, image.image, label, (file_state(image.image), file_state(label))) for label in labels
        ]
    return tuple(cases), tuple(sorted(seen))


def _kept(paths: CachePaths, labels: Sequence[Path], key: str) -> UnlabelledEntry | None:
    try:
        found = load_record(paths.entry, UnlabelledEntry, "hippopt_train")
    except HippoptError:
        return None
    return found if found.key == key and all(path.is_file() for path in (paths.image, *labels)) else None


def _prepare(
    files: ScanFiles, masks: Sequence[Path], plan: Plan, paths: CachePaths, labels: Sequence[Path], key: str
) -> UnlabelledEntry:
    channels = [read_scan(path) for path in files.channels]
    grid = channels[0].grid
    image, _ = stacked(files, channels)
    prepared = prepare(image, grid, plan)
    _save(paths.image, prepared.image)
    for mask, path in zip(masks, labels, strict=True):
        label = read_label(mask)
        if label.grid.shape != grid.shape:
            raise ImageError(f"{mask}: lies in another grid than its scan {files.channels[0]}; remove the mask")
        _save(path, prepare_label(label.array, plan, prepared.properties))
    entry = UnlabelledEntry(case=files.id, key=key, image_hash=hash_arrays(to_ras(image, grid)))
    write_json(paths.entry, entry)
    return entry


def _save(path: Path, array: Image | ClassMap) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: np.save(temporary, array))
