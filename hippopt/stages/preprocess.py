"""Stage 4: every case oriented, cropped, normalised and resampled, in memory-mappable arrays beside a JSON record."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hippopt.artifacts.codec import content_hash, remove_leftovers_of_the_dead, write_atomically, write_json
from hippopt.artifacts.dataset import Case, Dataset
from hippopt.artifacts.fingerprint import CaseFingerprint, Fingerprint
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.properties import CacheEntry
from hippopt.batches.cache import CachePaths, cache_key, cached_entry
from hippopt.console import Console, counted
from hippopt.errors import DatasetError, ImageError, StaleArtifactError
from hippopt.files.image_io import read_scan
from hippopt.files.label_reading import label_on_grid, read_label
from hippopt.files.scan import turned_to
from hippopt.imaging.memory_budget import SHARE, check_memory
from hippopt.imaging.orientation import to_ras
from hippopt.imaging.preparation import preparation_bytes, prepare
from hippopt.machine import machine_bytes
from hippopt.sources.survey import hash_arrays


def preprocess(
    dataset: Dataset,
    fingerprint: Fingerprint,
    plan: Plan,
    folder: Path,
    jobs: int,
    console: Console,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Prepare all cases in threads. Cases that have not changed are kept, and interrupted work is continued.

    Args:
        dataset: the data set as a record.
        fingerprint: what the raw files held when they were verified.
        plan: the decisions that shape the arrays.
        folder: where the arrays go: image (C, Z, Y, X) float32 and label (Z, Y, X) per case.
        jobs: cases at a time.
        console: progress goes here.
        overwrite: make arrays of other decisions anew.

    Returns:
        Numbers of cases that were made and kept.

    Raises:
        DatasetError: a case does not fit into memory.
        StaleArtifactError: the folder holds cases of other decisions and `overwrite` is not given, or a raw file no
            longer holds what the fingerprint saw.
    """
    remove_leftovers_of_the_dead(folder)
    wanted = {case.id: cache_key(plan, case) for case in fingerprint.cases}
    entries = {case: cached_entry(folder, case) for case in wanted}
    other = [case for case, entry in entries.items() if entry is not None and entry.key != wanted[case]]
    if other and not overwrite:
        raise StaleArtifactError(
            f"{folder}: holds {counted(len(other), 'case')} ({other[0]}, ...) made with other decisions or data than"
            f" {plan.dataset}'s plan; add --overwrite to rebuild them"
        )
    waiting = [case for case in dataset.cases if (entry := entries[case.id]) is None or entry.key != wanted[case.id]]
    jobs = _jobs_that_fit(
        [case for case in fingerprint.cases if case.id in {other.id for other in waiting}], plan, jobs
    )
    plan_hash = content_hash(plan)
    by_id = {case.id: case for case in fingerprint.cases}

    def work(case: Case) -> None:
        _preprocess_case(case, by_id[case.id], plan, plan_hash, wanted[case.id], CachePaths(folder, case.id))

    with ThreadPoolExecutor(jobs) as pool:
        for _ in console.track(_drain(pool, work, waiting), "preprocess", len(waiting)):
            pass
    return len(waiting), len(dataset.cases) - len(waiting)


def _jobs_that_fit(cases: Sequence[CaseFingerprint], plan: Plan, jobs: int) -> int:
    """As many cases at a time as the memory holds of the largest.

    Raises DatasetError naming those that do not fit alone.
    """
    memory = machine_bytes()
    faults, largest = [], 1.0
    for case in cases:
        needed = preparation_bytes(case.grid, plan)
        largest = max(largest, needed)
        try:
            check_memory(f"{case.id} at {plan.target_spacing_mm} mm", case.grid.shape, needed, memory)
        except ImageError as error:
            faults.append(str(error))
    if faults:
        raise DatasetError("\n".join(faults))
    return max(1, min(jobs, int(SHARE * memory / largest)))


def _drain(pool: ThreadPoolExecutor, work: object, cases: list[Case]) -> Iterator[None]:
    yield from pool.map(work, cases)  # type: ignore[arg-type]


def _preprocess_case(
    case: Case, seen: CaseFingerprint, plan: Plan, plan_hash: str, key: str, paths: CachePaths
) -> None:
    first, *others = [read_scan(Path(path)) for path in case.channels]
    grid = first.grid
    scans = [first, *(turned_to(other, grid) or other for other in others)]
    label = read_label(Path(case.label))
    label = label_on_grid(label, grid) or label
    image = np.stack([scan.array.astype(np.float32, copy=False) for scan in scans])
    if (hash_arrays(to_ras(image, grid)), hash_arrays(to_ras(label.array, grid))) != (seen.image_hash, seen.label_hash):
        raise StaleArtifactError(
            f"{case.id}: changed since its fingerprint was taken; run `hippopt_plan {plan.dataset} --overwrite`"
        )
    prepared = prepare(image, grid, plan, label.array)
    classes = prepared.label
    assert classes is not None
    counts = np.bincount(classes.ravel(), minlength=len(plan.class_names))
    write_atomically(paths.image, lambda temporary: np.save(temporary, prepared.image))
    write_atomically(paths.label, lambda temporary: np.save(temporary, classes))
    write_json(
        paths.entry,
        CacheEntry(
            case=case.id, key=key, plan_hash=plan_hash, image_hash=seen.image_hash, label_hash=seen.label_hash,
            properties=prepared.properties,
            foreground_voxels={name: int(counts[index]) for index, name in enumerate(plan.class_names) if index},
        ),
    )  # fmt: skip
