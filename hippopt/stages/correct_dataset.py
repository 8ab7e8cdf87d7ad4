"""Stage: bring masks that a person corrected into a data set, as new cases or in place of the labels there."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hippopt.artifacts.codec import parse_json, write_json
from hippopt.artifacts.corrections import FILE, Correction, Corrections, read_corrections
from hippopt.artifacts.dataset import Dataset, load_dataset
from hippopt.artifacts.fingerprint import CaseFingerprint
from hippopt.artifacts.whole_folder import whole_folder
from hippopt.console import Console, counted, some_of
from hippopt.errors import DatasetError, ImageError, OutputError
from hippopt.files.label_reading import label_on_grid, read_label
from hippopt.imaging.arrays import LabelMask
from hippopt.scoring.mask_changes import mask_changes
from hippopt.sources.corrected_masks import known_cases, list_corrected, masks_by_name, stage_corrected, staged_case
from hippopt.sources.source_cases import SourceCase
from hippopt.sources.survey import CaseSurvey
from hippopt.training.lock import check_free
from hippopt.workspace import Workspace

STAGED = ".corrected"  # in the folder that is being built
SHOWN = 5


@dataclass(frozen=True)
class CorrectionRequest:
    """What to bring in. dataset: `DatasetNNN_Name`; scans, masks: folders whose files are named alike, the masks of any
    number of the scans.

    predicted: the masks before they were corrected; subjects: a table of case and subject; overwrite: replace cases
    that are there.
    """

    dataset: str
    scans: Path
    masks: Path
    predicted: Path | None = None
    subjects: Path | None = None
    overwrite: bool = False
    jobs: int = 1


@dataclass(frozen=True)
class CorrectedCase:
    """One corrected mask. `id` is that in the data set; `source` the name of its files.

    voxels: {label: (before, after)}; before, and `dice` of the earlier mask with the corrected one, are None where
    there is no earlier mask. against: what the earlier mask is, for people.
    """

    id: str
    source: str
    subject: str
    kind: Literal["new", "changed", "same"]
    image_hash: str
    label_hash: str
    voxels: dict[str, tuple[int | None, int]]
    dice: dict[str, float] | None
    against: str


def correct_dataset(workspace: Workspace, request: CorrectionRequest, console: Console) -> list[CorrectedCase]:
    """Add corrected masks with their scans to `raw_data/DatasetNNN_Name`. All of them are in it afterwards, or it is as
    it was.

    A scan is known by its voxels or by its name. Old files stay as they are (linked, not copied), so that what was
    computed of them stays valid.

    Args:
        workspace: where the data set is.
        request: the scans, their corrected masks, and how to treat those that are there.
        console: progress, notes and the list of what is new and what changed go here.

    Returns:
        What became of each corrected mask, by name.

    Raises:
        DatasetError: lists every fault of the files, the names and the table of subjects together.
        OutputError: cases are there with another mask and `overwrite` is not given, a training works on them, or
            nothing can be written.
    """
    final = workspace.dataset_folder(request.dataset).resolve()
    dataset = load_dataset(final)
    check_free(workspace.locks(request.dataset), str(final))
    sources, subjects = list_corrected(request.scans, request.masks, request.subjects, dataset, console)
    known = known_cases(workspace.fingerprint(dataset.name), dataset, request.jobs, console)
    with whole_folder(final, overwrite=True) as folder:
        shutil.copytree(final, folder, symlinks=True, copy_function=_link, dirs_exist_ok=True)
        staged = folder / STAGED
        surveys, notes = stage_corrected(sources, staged, dataset, request.jobs, console)
        cases = _compared(sources, surveys, staged, dataset, known, request, subjects)
        for line in notes[:SHOWN] + ([f"{len(notes) - SHOWN} more notes of this kind"] if len(notes) > SHOWN else []):
            console.warn(line)
        _say(cases, console)
        changed = [case for case in cases if case.kind == "changed"]
        if changed and not request.overwrite:
            raise OutputError(
                f"{final}: {counted(len(changed), 'case')} ({some_of([case.id for case in changed])}) with another mask"
                " or scan already; nothing was written: add --overwrite to replace them, or take them out of the"
                " folder of corrected masks"
            )
        for case in cases:
            if case.kind != "same":
                _put(case, staged, folder, dataset, final)
        shutil.rmtree(staged)
        _describe(folder, cases, dataset)
        for case in changed:  # made anew by hippopt_plan
            (workspace.preprocessed(request.dataset) / f"{case.id}.json").unlink(missing_ok=True)
    return cases


def _link(source: str, target: str) -> str:
    """A hard link, or a copy with its times where the disk has none:
    sizes and times, by which unchanged files are known, stay.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target


def _compared(
    sources: Sequence[SourceCase],
    surveys: Mapping[str, CaseSurvey],
    staged: Path,
    dataset: Dataset,
    known: Mapping[str, CaseFingerprint],
    request: CorrectionRequest,
    subjects: Mapping[str, str],
) -> list[CorrectedCase]:
    """What each mask is to the data set. Raises DatasetError where a name and the voxels mean two different cases."""
    by_id = {case.id: case for case in dataset.cases}
    by_image = {seen.image_hash: case for case, seen in known.items()}
    earlier = _earlier_masks(request)
    cases, faults = [], []
    for source in sources:
        found = surveys[source.id].fingerprint
        assert found is not None
        same_scan = by_image.get(found.image_hash)
        if same_scan is not None and source.id in by_id and same_scan != source.id:
            faults.append(
                f"{source.images[0]}: is the scan of {same_scan}, but bears the name of another case; rename it and its"
                " mask"
            )
            continue
        case = same_scan or (source.id if source.id in by_id else None)
        old = by_id.get(case) if case is not None else None
        kind: Literal["new", "changed", "same"] = "new"
        if old is not None:
            seen = known[old.id]
            kind = "same" if (seen.image_hash, seen.label_hash) == (found.image_hash, found.label_hash) else "changed"
        before = earlier.get(source.id) or (Path(old.label) if old is not None else None)
        label = staged / "labelsTr" / f"{source.id}.nii.gz"
        against = (
            ""
            if before is None
            else "its label in the data set"
            if old is not None and str(before) == old.label
            else "the earlier mask"
        )
        try:
            voxels, agreement = mask_changes(*_read_both(before, label), dataset.foreground)
        except ImageError as error:
            faults.append(str(error))
            continue
        subject = old.subject if old is not None else subjects.get(source.id, source.id)
        if old is not None and subjects.get(source.id, subject) != subject:
            faults.append(
                f"{request.subjects}: {source.id} has subject {subjects[source.id]!r}, but {subject!r} in the data set;"
                " a case in a fold keeps its subject"
            )
        cases.append(
            CorrectedCase(
                old.id if old is not None else source.id,
                source.id,
                subject,
                kind,
                found.image_hash,
                found.label_hash,
                voxels,
                agreement,
                against,
            )
        )
    if faults:
        raise DatasetError("\n".join([*faults, "nothing was changed"]))
    return cases


def _earlier_masks(request: CorrectionRequest) -> dict[str, Path]:
    if request.predicted is None:
        return {}
    if not request.predicted.is_dir():
        raise DatasetError(
            f"--predicted {request.predicted.absolute()}: no such folder; give that of hippopt_predict's masks, or"
            " leave it out"
        )
    return masks_by_name(request.predicted, "--predicted")


def _read_both(before: Path | None, after: Path) -> tuple[LabelMask | None, LabelMask]:
    """Both masks (Z, Y, X) in the grid of `after`. Raises ImageError where the earlier one lies on another grid."""
    mask = read_label(after)
    if before is None:
        return None, mask.array
    earlier = label_on_grid(read_label(before), mask.grid)
    if earlier is None:
        raise ImageError(
            f"{before}: on another grid than the corrected mask; give the masks from before the correction, of the same"
            " scans"
        )
    return earlier.array, mask.array


def _say(cases: Sequence[CorrectedCase], console: Console) -> None:
    """One line per case: what it is, and by label the voxels before and after with the Dice of the two masks."""
    words = {"new": "new", "changed": "changed", "same": "as it is there"}
    for case in cases:
        name = case.id if case.id == case.source else f"{case.source} (the scan of {case.id})"
        if case.dice is None:
            told = ", ".join(f"{label} {after} voxels" for label, (_, after) in case.voxels.items())
        else:
            told = f"against {case.against}: " + ", ".join(
                f"{label} Dice {case.dice[label]:.3f}, {before} -> {after} voxels"
                for label, (before, after) in case.voxels.items()
            )
        console.say(f"  {name}: {words[case.kind]}; {told}")


def _put(case: CorrectedCase, staged: Path, folder: Path, dataset: Dataset, final: Path) -> None:
    """Move a staged case to its place, and an older one of its id away."""
    old = next((other for other in dataset.cases if other.id == case.id), None)
    for path in map(Path, (*old.channels, old.label) if old is not None else ()):
        there = folder / path.relative_to(final)
        pair = (
            [there.with_suffix(".hdr"), there.with_suffix(".img")] if there.suffix.lower() in (".hdr", ".img") else []
        )
        for file in (there, *pair):
            file.unlink(missing_ok=True)
    channels = len(dataset.channel_names)
    source, target = staged_case(case.source, staged, channels), staged_case(case.id, folder, channels)
    for moved, place in zip((*source.channels, source.label), (*target.channels, target.label), strict=True):
        os.replace(moved, place)


def _describe(folder: Path, cases: Sequence[CorrectedCase], dataset: Dataset) -> None:
    """Bring dataset.json and the record of corrections up to date."""
    path = folder / "dataset.json"
    meta: dict[str, Any] = parse_json(path.read_bytes(), path)
    new = [case for case in cases if case.kind == "new"]
    meta["numTraining"] = len(dataset.cases) + len(new)
    subjects = meta.get("subjects", {}) | {
        case.id: case.subject for case in new if case.subject != case.id or "subjects" in meta
    }
    if subjects:
        meta["subjects"] = subjects
    path.unlink()  # a link to the old one's file
    write_json(path, meta)
    record = read_corrections(folder)
    fresh = {
        case.id: Correction(
            kind=case.kind, image_hash=case.image_hash, label_hash=case.label_hash, dice_before=case.dice
        )
        for case in cases
        if case.kind != "same"
    }
    if fresh:
        write_json(folder / FILE, Corrections(cases={**record.cases, **fresh}))
