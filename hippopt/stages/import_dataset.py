"""Stage 0: bring labelled scans, however they are laid out, into a raw data set in nnU-Net v2's layout."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hippopt.artifacts.codec import write_json
from hippopt.artifacts.distinct_paths import lies_in
from hippopt.artifacts.sides import Side, sides_of_names, unread_sides
from hippopt.artifacts.whole_folder import whole_folder
from hippopt.console import Console, counted, some_of
from hippopt.errors import DatasetError, OutputError, UsageError
from hippopt.sources.case_import import CaseOutcome, LabelScheme, import_case
from hippopt.sources.chosen_cases import choose_cases, subjects_of
from hippopt.sources.layouts import list_pair, list_source
from hippopt.sources.parcellation import Picks, listed_values, missing_numbers
from hippopt.sources.segment_names import common_values, contradictions, picked_otherwise, segment_names
from hippopt.sources.source_cases import Source, SourceCase
from hippopt.training.lock import check_free
from hippopt.workspace import Workspace

MANY_LABELS = 20
SHOWN = 5


@dataclass(frozen=True)
class ImportRequest:
    """What to import: `source`, or its folder of images and `labels`, of any names. dataset: `DatasetNNN_Name`; picks:
    {name: numbers in the source labels}, empty to keep all labels; subjects: a table of case and subject; cases: a list
    of ids, or a file of them; jobs: cases at a time.
    """

    source: Path
    dataset: str
    picks: Picks = field(default_factory=dict)
    subjects: Path | None = None
    cases: str | None = None
    overwrite: bool = False
    jobs: int = 1
    labels: Path | None = None


@dataclass(frozen=True)
class ImportSummary:
    """What was made. voxels: {label: voxels in all cases}; layout: the source's, for people."""

    folder: Path
    layout: str
    cases: int
    subjects: int
    channel_names: tuple[str, ...]
    voxels: dict[str, int]


def import_dataset(workspace: Workspace, request: ImportRequest, console: Console) -> ImportSummary:
    """Make `raw_data/DatasetNNN_Name` of a foreign folder. It appears whole or not at all.

    Args:
        workspace: where the data set goes.
        request: the source, the name, and what is picked from it.
        console: progress, notes and warnings go here.

    Returns:
        Numbers of cases and subjects, and voxels per label.

    Raises:
        DatasetError: lists every fault of the source, the table of subjects and the list of cases together.
        OutputError: a data set of this name or number is there, or nothing can be written.
        UsageError: the source is the data set itself.
    """
    final = workspace.dataset_folder(request.dataset)
    _check_destination(workspace, request, final)
    source = list_source(request.source) if request.labels is None else list_pair(request.source, request.labels)
    for note in source.notes:
        console.warn(note)
    chosen, faults = choose_cases(source, request.cases)
    if source.description.label_fault and not request.picks:
        faults.append(source.description.label_fault)
    subjects = subjects_of(source, chosen, request.subjects, console, faults)
    if not chosen:
        raise DatasetError("\n".join(faults or [f"{request.source}: no case to import"]))
    channel_names = source.description.channel_names or _channel_names(len(chosen[0].images))
    _check_apart(chosen, request, final)
    scheme = _scheme(source, chosen, request.picks, console)
    _check_space(final, chosen)
    with whole_folder(final, request.overwrite) as folder:
        outcomes = _import_cases(chosen, folder, len(channel_names), request.jobs, scheme, console)
        faults += [fault for outcome in outcomes for fault in outcome.faults]
        counts = {outcome.id: outcome.counts for outcome in outcomes if outcome.counts}
        missing, warnings = missing_numbers(request.picks, counts)
        faults += missing
        labels = _labels(source, scheme, counts)
        if not faults and len(labels) < 2:
            faults.append(
                f"{request.source}: every label file is empty (0 everywhere); give labels that mark something"
            )
        if faults:
            raise DatasetError("\n".join([*faults, f"{len(faults)} fault(s); nothing was imported"]))
        unread = unread_sides(labels, _sides(source, labels))
        _tell(outcomes, [*warnings, *_many(labels, request.picks), *([unread] if unread else [])], console)
        write_json(folder / "dataset.json", _description(source, channel_names, labels, len(chosen), subjects))
    picked = request.picks or {name: (value,) for name, value in labels.items() if value}
    voxels = {
        name: sum(values.get(number, 0) for values in counts.values() for number in numbers)
        for name, numbers in picked.items()
    }
    people = {subjects.get(case.id, case.id) for case in chosen}
    return ImportSummary(final, source.layout, len(chosen), len(people), channel_names, voxels)


def _check_destination(workspace: Workspace, request: ImportRequest, final: Path) -> None:
    if request.source.resolve() == final.resolve():
        raise UsageError(
            f"{request.source}: is the data set itself; import from another folder, or under another --id and --name"
        )
    same_number = [
        name for name in workspace.datasets() if name[:10] == request.dataset[:10] and name != request.dataset
    ]
    if same_number:
        raise OutputError(
            f"{request.dataset}: number {request.dataset[7:10]} belongs to {', '.join(same_number)}; choose another"
            " --id"
        )
    if final.exists() and not request.overwrite:
        raise OutputError(f"{final}: exists; give --overwrite to replace it, or another --id and --name")
    if final.exists():
        check_free(workspace.locks(request.dataset), str(final))


def _check_apart(chosen: Sequence[SourceCase], request: ImportRequest, final: Path) -> None:
    """Raises UsageError where something that is read, by whatever links, lies in the data set that would be
    replaced.
    """
    files = [path for case in chosen for path in (*case.images, case.label)]
    tables = [
        table for table in (request.subjects, Path(request.cases) if request.cases else None) if table is not None
    ]
    inside = next((path for path in (*files, *tables) if lies_in(path, final)), None) if final.exists() else None
    if inside is not None:
        raise UsageError(
            f"{inside}: lies in {final}, which the import would replace; import from a copy, or under another --id and"
            " --name"
        )


def _channel_names(count: int) -> tuple[str, ...]:
    return ("MRI",) if count == 1 else tuple(f"MRI_{number:04d}" for number in range(count))


def _check_space(final: Path, chosen: Sequence[SourceCase]) -> None:
    """Refuse before work what cannot end well: the sources' bytes must fit, for most are copied."""
    needed = sum(path.stat().st_size for case in chosen for path in (*case.images, case.label) if path.exists())
    place = next(parent for parent in final.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise OutputError(
            f"{final}: needs {needed / 1e9:.3g} GB, but {place} has {free / 1e9:.3g} GB free; free space or choose"
            " another --root"
        )


def _scheme(source: Source, chosen: Sequence[SourceCase], picks: Picks, console: Console) -> LabelScheme:
    """Raises DatasetError where the label files name their segments and contradict each other, or the picks."""
    declared = source.description.labels
    scheme = LabelScheme(picks, list(declared.values()) if declared else None)
    named = {case.id: segment_names(case.label) for case in chosen}
    if not any(named.values()):
        return scheme
    if picks:
        faults = contradictions(named) + picked_otherwise(picks, named)
        if faults:
            raise DatasetError("\n".join(faults))
        return scheme
    values, moved = common_values(named, declared)
    if moved:
        told = ", ".join(f"{name} {value}" for name, value in values.items())
        console.warn(
            f"segments have other values in some label files than in others; brought together by their names: {told}"
        )
    return replace(scheme, named=values, declared=None)


def _import_cases(
    chosen: Sequence[SourceCase], folder: Path, channels: int, jobs: int, scheme: LabelScheme, console: Console
) -> list[CaseOutcome]:
    """Import in threads: decompression and copying release the interpreter's lock."""
    pool = ThreadPoolExecutor(jobs)
    try:
        results = pool.map(lambda case: import_case(case, folder, channels, scheme), chosen)
        return list(console.track(results, "import", len(chosen)))
    finally:
        pool.shutdown(cancel_futures=True)


def _labels(source: Source, scheme: LabelScheme, counts: dict[str, dict[int, int]]) -> dict[str, int]:
    if scheme.picks:
        return {"background": 0, **{name: value for value, name in enumerate(scheme.picks, 1)}}
    if source.description.labels:
        return source.description.labels
    if scheme.named:
        return {"background": 0, **scheme.named}
    found = sorted({value for values in counts.values() for value in values if value != 0})
    return {"background": 0, **{f"label_{value}": value for value in found}}


def _many(labels: dict[str, int], picks: Picks) -> list[str]:
    if picks or len(labels) <= MANY_LABELS:
        return []
    return [
        f"{len(labels) - 1} labels ({listed_values(sorted(labels.values())[1:])}); pick those to learn with --labels"
        " NAME=NUMBER"
    ]


def _tell(outcomes: Sequence[CaseOutcome], warnings: Sequence[str], console: Console) -> None:
    notes = [note for outcome in outcomes for note in outcome.notes]
    for line in [*warnings, *notes[:SHOWN]]:
        console.warn(line)
    if len(notes) > SHOWN:
        console.warn(f"{len(notes) - SHOWN} more notes of this kind")
    converted = [outcome.id for outcome in outcomes if outcome.converted]
    if converted:
        console.say(
            f"labels of {counted(len(converted), 'case')} ({some_of(converted)}) were stored as decimals; written as"
            " whole numbers"
        )


def _sides(source: Source, labels: dict[str, int]) -> dict[str, Side]:
    return {
        **sides_of_names(labels),
        **{name: side for name, side in source.description.sides.items() if name in labels},
    }


def _description(
    source: Source, channels: Sequence[str], labels: dict[str, int], cases: int, subjects: dict[str, str]
) -> dict[str, Any]:
    sides = _sides(source, labels)
    return {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": labels,
        "numTraining": cases,
        "file_ending": ".nii.gz",
        **source.description.about,
        **({"subjects": subjects} if subjects else {}),
        **({"sides": sides} if sides else {}),
    }
