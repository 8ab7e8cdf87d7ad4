"""Masks that a person corrected, with their scans: which there are, whether they can be read, and what they hold.

They are read as import reads foreign folders, into a folder of their own, before the data set is touched.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hippopt.artifacts.case_tables import near_names, read_subjects
from hippopt.artifacts.codec import load_record
from hippopt.artifacts.dataset import Case, Dataset, split_ending
from hippopt.artifacts.fingerprint import CaseFingerprint, Fingerprint
from hippopt.console import Console, counted, some_of
from hippopt.errors import DatasetError, HippoptError
from hippopt.files.scan_listing import regular_images
from hippopt.sources.case_import import LabelScheme, import_case
from hippopt.sources.layouts import list_pair
from hippopt.sources.segment_names import segment_names
from hippopt.sources.source_cases import Source, SourceCase, clashing_ids
from hippopt.sources.survey import CaseSurvey, same_stamps, survey_case

SAVE_AGAIN = "save the mask in the space of its scan, as the program that corrected it had opened it"
CORRECT_AGAIN = "correct the mask, or take its file out of the folder"
MAPS = ("_probabilities", "_uncertainty")  # beside the masks of hippopt_predict
T = TypeVar("T")
R = TypeVar("R")


def list_corrected(
    scans: Path, masks: Path, table: Path | None, dataset: Dataset, console: Console
) -> tuple[list[SourceCase], dict[str, str]]:
    """List the scans that have a corrected mask.

    Args:
        scans: folder of the scans.
        masks: folder of corrected masks that are named alike, of any number of the scans.
        table: of case and subject, or None.
        dataset: what they are to join.
        console: what was passed over is said here.

    Returns:
        The scans with their masks, and {name: subject} as the table says.

    Raises:
        DatasetError: lists every fault of the files, the names and the table together.
    """
    source = list_pair(scans, masks)
    stems = set(masks_by_name(masks, "-p"))
    wanted = {stem for stem in stems if not stem.endswith(MAPS)}
    faults = [fault for case, fault in source.faults if not case or case in wanted]
    chosen = [case for case in source.cases if case.id in wanted]
    for note in source.notes:
        console.warn(note)
    faults += _channel_faults(source, dataset, wanted)
    old = {case.id for case in dataset.cases}
    faults += clashing_ids([*sorted(old), *(case.id for case in chosen if case.id not in old)])
    subjects: dict[str, str] = {}
    if table is not None:
        try:
            subjects = read_subjects(table)
        except DatasetError as error:
            faults.append(str(error))
        unknown = sorted(set(subjects) - wanted - old)
        if subjects and unknown and not set(subjects) & wanted:
            faults.append(
                f"{table}: none of its cases ({some_of(unknown)}) has a corrected"
                f" mask{near_names(unknown[0], sorted(wanted))}"
            )
    if faults or not chosen:
        raise DatasetError("\n".join([*(faults or [f"{masks}: no corrected mask"]), "nothing was changed"]))
    return chosen, subjects


def _channel_faults(source: Source, dataset: Dataset, wanted: set[str]) -> list[str]:
    channels = len(dataset.channel_names)
    return [
        f"{case.images[0]}: {counted(len(case.images), 'file')} of this scan, but the data set has {channels} channels "
        f"({', '.join(dataset.channel_names)}); give a file a channel, named {case.id}_0000 and so on"
        for case in source.cases
        if case.id in wanted and len(case.images) not in (1, channels)
    ]


def masks_by_name(folder: Path, option: str) -> dict[str, Path]:
    """Find the files of a folder by their names without ending. option: named where it cannot be read."""
    return {(split_ending(path.name) or (path.name,))[0]: path for path in regular_images(folder, option)[0]}


def known_cases(path: Path, dataset: Dataset, jobs: int, console: Console) -> dict[str, CaseFingerprint]:
    """Tell what the cases of the data set hold: from its fingerprint at `path` where their files are unchanged, else
    read anew. Raises DatasetError.
    """
    seen: dict[str, CaseFingerprint] = {}
    if path.exists():
        try:
            seen = {case.id: case for case in load_record(path, Fingerprint, "hippopt_plan").cases}
        except HippoptError:
            seen = {}  # all are read anew
    known = {case.id: seen[case.id] for case in dataset.cases if case.id in seen and same_stamps(case, seen[case.id])}
    unread = [case for case in dataset.cases if case.id not in known]
    surveys = _in_threads(lambda case: survey_case(case, dataset), unread, jobs, "read the data set", console)
    faults = [fault for survey in surveys for fault in survey.faults]
    if faults:
        raise DatasetError(
            "\n".join(
                [
                    *faults,
                    f"{dataset.name} itself has faults: mend them first (hippopt_plan {dataset.name} --verify-only)",
                ]
            )
        )
    return known | {survey.case: survey.fingerprint for survey in surveys if survey.fingerprint is not None}


def stage_corrected(
    sources: Sequence[SourceCase], staged: Path, dataset: Dataset, jobs: int, console: Console
) -> tuple[dict[str, CaseSurvey], list[str]]:
    """Write the corrected masks and their scans, as a data set holds them, into the folder `staged`.

    Returns ({name: survey}, notes). Raises DatasetError with every fault.
    """
    channels = len(dataset.channel_names)

    def work(source: SourceCase) -> tuple[CaseSurvey, list[str], list[str]]:
        scheme, notes, faults = _scheme(source, dataset)
        if faults:
            return CaseSurvey(source.id), notes, faults
        outcome = import_case(source, staged, channels, scheme)
        if outcome.faults:
            return CaseSurvey(source.id), notes, outcome.faults
        case = staged_case(source.id, staged, channels)
        survey = survey_case(case, dataset, SAVE_AGAIN)
        survey.faults = [_as_given(line, source, case) for line in survey.faults]
        survey.notes = [_as_given(line, source, case) for line in survey.notes]
        converted = [f"{source.label}: stored as decimals; written as whole numbers"] if outcome.converted else []
        return survey, [*notes, *outcome.notes, *converted, *survey.notes], survey.faults

    found = _in_threads(work, sources, jobs, "corrected masks", console)
    faults = [fault for _, _, some in found for fault in some]
    surveys = {source.id: survey for source, (survey, _, _) in zip(sources, found, strict=True)}
    by_scan: dict[str, str] = {}
    for name, survey in surveys.items():
        image = survey.fingerprint.image_hash if survey.fingerprint is not None else name
        other = by_scan.setdefault(image, name)
        if other != name:
            faults.append(f"{name} and {other} are the same scan, voxel by voxel; keep one corrected mask of it")
    if faults:
        raise DatasetError("\n".join([*faults, f"{len(faults)} fault(s); nothing was changed"]))
    return surveys, [note for _, notes, _ in found for note in notes]


def staged_case(name: str, folder: Path, channels: int) -> Case:
    """Name the files of a case in a folder with imagesTr and labelsTr."""
    images = tuple(str(folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz") for channel in range(channels))
    return Case(id=name, subject=name, channels=images, label=str(folder / "labelsTr" / f"{name}.nii.gz"))


def _as_given(line: str, source: SourceCase, case: Case) -> str:
    """A line about a staged case, which is gone when it is read, with the names of the user's own files."""
    own = (source.label, *source.images)
    for staged, given in zip((case.label, *case.channels), own, strict=False):  # one file may hold all channels
        line = line.replace(staged, str(given)).replace(Path(staged).name, given.name)
    return line


def _scheme(source: SourceCase, dataset: Dataset) -> tuple[LabelScheme, list[str], list[str]]:
    """(how the mask's values are read, notes, faults): by the names of
    its segments where it has names that the data set knows.
    """
    declared = LabelScheme({}, list(dataset.labels.values()), remedy=CORRECT_AGAIN)
    segments = segment_names(source.label)
    known = {name.casefold() for name in dataset.foreground}
    strange = [name for name in segments if name.casefold() not in known]
    if not segments:
        return declared, [], []
    if len(strange) == len(segments):
        return (
            declared,
            [
                f"{source.label}: its segments ({some_of(strange)}) have none of the data set's names; read by their"
                " values"
            ],
            [],
        )
    if strange:
        labels = ", ".join(dataset.foreground)
        return (
            declared,
            [],
            [
                f"{source.label}: segments {some_of(strange)} are not among the data set's labels ({labels}); rename or"
                " remove them"
            ],
        )
    return LabelScheme(named=dict(dataset.foreground)), [], []


def _in_threads(work: Callable[[T], R], items: Sequence[T], jobs: int, words: str, console: Console) -> list[R]:
    pool = ThreadPoolExecutor(jobs)
    try:
        return list(console.track(pool.map(work, items), words, len(items))) if items else []
    finally:
        pool.shutdown(cancel_futures=True)
