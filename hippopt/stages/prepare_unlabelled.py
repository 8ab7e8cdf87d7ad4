"""Stage: arrays of scans that have no labels, with the masks that each network of a run made of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hippopt.artifacts.codec import content_hash, load_record, write_atomically, write_json
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.unlabelled import UnlabelledEntry
from hippopt.batches.cache import CachePaths
from hippopt.batches.patches import TrainingCase, file_state
from hippopt.console import Console
from hippopt.errors import HippoptError
from hippopt.files.image_io import read_scan
from hippopt.files.label_reading import read_label
from hippopt.files.scan_listing import ScanFiles
from hippopt.imaging.orientation import to_ras
from hippopt.imaging.preparation import prepare
from hippopt.inference.loading import stacked
from hippopt.inference.outcomes import mask_path
from hippopt.sources.survey import hash_arrays
from hippopt.training.fold import Unlabelled


def prepare_unlabelled(
    scans: Sequence[ScanFiles], networks: Sequence[Path], plan: Plan, folder: Path, console: Console
) -> Unlabelled:
    """Prepare the scans as training sees them, each with one label array per network, and keep what is there already.

    A case of the result is one network's mask of one scan: where the networks differ, training meets each of their
    opinions as often as it is held. In expectation that is the cross-entropy with the mean of their masks as a soft
    label, without a second kind of label in the batches.

    Args:
        scans: to learn from.
        networks: for each network the folder of its masks.
        plan: of the run that is to learn.
        folder: where the arrays go.
        console: shows a bar.

    Raises:
        HippoptError's kinds: a scan or a mask cannot be read.
    """
    cases: list[TrainingCase] = []
    entries = []
    for files in console.track(scans, "prepare scans without labels", len(scans)):
        masks = [mask_path(files, made) for made in networks]
        image, labels = CachePaths(folder, files.id), [folder / f"{files.id}_label_{k}.npy" for k in range(len(masks))]
        key = content_hash([plan.preparation_hash, [list(file_state(path)) for path in (*files.channels, *masks)]])
        entry = _kept(image, key)
        if entry is None:
            entry = _prepare(files, masks, plan, image, labels, key)
        entries.append(entry)
        cases += [
            TrainingCase(files.id, image.image, label, (file_state(image.image), file_state(label))) for label in labels
        ]
    seen = tuple(sorted(entry.image_hash for entry in entries))
    return Unlabelled(tuple(cases), seen, content_hash([entry.key for entry in entries]))


def _kept(paths: CachePaths, key: str) -> UnlabelledEntry | None:
    try:
        found = load_record(paths.entry, UnlabelledEntry, "hippopt_train")
    except HippoptError:
        return None
    return found if found.key == key else None


def _prepare(
    files: ScanFiles, masks: Sequence[Path], plan: Plan, paths: CachePaths, labels: Sequence[Path], key: str
) -> UnlabelledEntry:
    paths.folder.mkdir(parents=True, exist_ok=True)
    channels = [read_scan(path) for path in files.channels]
    grid = channels[0].grid
    image, _ = stacked(files, channels)
    for number, (mask, path) in enumerate(zip(masks, labels, strict=True)):
        prepared = prepare(image, grid, plan, read_label(mask).array)
        classes = prepared.label
        assert classes is not None
        if number == 0:
            _save(paths.image, prepared.image)
        _save(path, classes)
    entry = UnlabelledEntry(case=files.id, key=key, image_hash=hash_arrays(to_ras(image, grid)))
    write_json(paths.entry, entry)
    return entry


def _save(path: Path, array: np.ndarray) -> None:
    write_atomically(path, lambda temporary: np.save(temporary, array))
