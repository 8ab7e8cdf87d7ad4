"""Stage 1: read every file once, and report all faults together, each with file, reason and remedy."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hippopt.artifacts.dataset import Dataset
from hippopt.console import Console
from hippopt.errors import DatasetError, ImageError
from hippopt.imaging.image_io import read_scan, write_mask
from hippopt.imaging.survey import CaseSurvey, survey_case


def verify_dataset(dataset: Dataset, jobs: int, console: Console, fix_headers: bool = False) -> list[CaseSurvey]:
    """Survey all cases in threads (decompression, hashing and arithmetic release the interpreter's lock).

    Raises DatasetError listing every fault. Notes are shown; `fix_headers` first gives each label its image's header.
    """
    if fix_headers:
        _fix_headers(dataset, console)
    with ThreadPoolExecutor(jobs) as pool:
        surveys = list(console.track(pool.map(lambda case: survey_case(case, dataset), dataset.cases), "verify", len(dataset.cases)))
    faults = [fault for survey in surveys for fault in survey.faults]
    if faults:
        raise DatasetError("\n".join([*faults, f"{len(faults)} fault(s) in {_count_faulty(surveys)} of {len(surveys)} cases; nothing was planned"]))
    _show_notes(surveys, console)
    return surveys


def _count_faulty(surveys: Sequence[CaseSurvey]) -> int:
    return sum(bool(survey.faults) for survey in surveys)


def _show_notes(surveys: Sequence[CaseSurvey], console: Console, most: int = 5) -> None:
    notes = [note for survey in surveys for note in survey.notes]
    for note in notes[:most]:
        console.warn(note)
    if len(notes) > most:
        console.warn(f"{len(notes) - most} more notes of this kind are in fingerprint.json")


def _fix_headers(dataset: Dataset, console: Console) -> None:
    """Rewrite labels whose grid differs from their image's, where the shapes agree. Values stay as they are."""
    for case in dataset.cases:
        try:
            image, label = read_scan(Path(case.channels[0])), read_scan(Path(case.label))
        except ImageError:
            continue  # the survey reports it
        whole = label.array.dtype.kind in "iu" and label.array.min() >= 0
        if image.grid != label.grid and image.grid.shape == label.grid.shape and whole:
            write_mask(Path(case.label), label.array, image)
            console.say(f"{case.label}: given the header of {Path(case.channels[0]).name}")
