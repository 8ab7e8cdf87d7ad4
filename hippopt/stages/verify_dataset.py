"""Stage 1: read every file once, and report all faults together, each with file, reason and remedy."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hippopt.artifacts.dataset import Dataset
from hippopt.console import Console
from hippopt.errors import DatasetError, ImageError
from hippopt.files.image_io import mask_ending, read_scan, write_mask
from hippopt.files.label_reading import label_on_grid, read_label
from hippopt.files.scan_listing import regular_images
from hippopt.imaging.lattice import is_plain, same_points
from hippopt.sources.segment_names import contradictions
from hippopt.sources.survey import CaseSurvey, holds_mask, survey_case


def verify_dataset(dataset: Dataset, jobs: int, console: Console, fix_headers: bool = False) -> list[CaseSurvey]:
    """Survey all cases in threads; decompression, hashing and arithmetic release the interpreter's lock.

    Args:
        dataset: the data set as a record.
        jobs: cases at a time.
        console: progress, notes and warnings go here.
        fix_headers: first give each label its image's header.

    Returns:
        One survey per case, in the data set's order.

    Raises:
        DatasetError: lists every fault of every case.
    """
    _tell_passed_over(dataset, console)
    if fix_headers:
        _fix_headers(dataset, console)
    with ThreadPoolExecutor(jobs) as pool:
        surveys = list(
            console.track(
                pool.map(lambda case: survey_case(case, dataset), dataset.cases), "verify", len(dataset.cases)
            )
        )
    faults = [fault for survey in surveys for fault in survey.faults] + contradictions(
        {survey.case: survey.segments for survey in surveys}
    )
    if faults:
        raise DatasetError(
            "\n".join(
                [
                    *faults,
                    f"{len(faults)} fault(s) in {_count_faulty(surveys)} of {len(surveys)} cases; nothing was planned",
                ]
            )
        )
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


def _tell_passed_over(dataset: Dataset, console: Console) -> None:
    for name in ("imagesTr", "labelsTr"):
        for note in regular_images(Path(dataset.folder) / name, dataset.name)[1]:
            console.warn(note)


def _fix_headers(dataset: Dataset, console: Console) -> None:
    """Rewrite labels whose grid differs from their image's, where the shapes agree. Values stay as they are.

    A label that lies in the same places on other axes is none of these: its image's header would mirror it.
    """
    for case in dataset.cases:
        path = Path(case.label)
        try:
            image, label = read_scan(Path(case.channels[0])), read_label(path)
        except ImageError:
            continue  # the survey reports it
        step = same_points(label.grid, image.grid)
        if step is not None and not is_plain(step):
            console.warn(
                f"{path}: lies in the same places as {image.path.name}, on other axes; its header is right and stays as"
                " it is"
            )
        if image.grid.shape != label.grid.shape or label_on_grid(label, image.grid) is not None:
            continue
        if not path.name.endswith(mask_ending(path)):
            console.warn(f"{path}: left alone, its format has two files; convert it to .nii.gz")
        elif holds_mask(label.array):  # else the survey reports its values
            write_mask(path, label.array, image)
            console.say(f"{path}: given the header of {image.path.name}")
