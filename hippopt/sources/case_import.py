"""Bring one case into a raw data set: images as they are, labels checked and picked, everything as .nii.gz."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.codec import write_atomically, write_bytes
from hippopt.artifacts.grid import Grid
from hippopt.console import counted
from hippopt.errors import ImageError
from hippopt.files.image_io import read_scan, write_array, write_mask
from hippopt.files.label_reading import label_on_grid, read_label
from hippopt.files.nifti_bytes import NiftiLayout, file_bytes, nifti_layout, split_volumes, zip_bytes
from hippopt.files.nifti_reading import nifti_grid
from hippopt.imaging.arrays import LabelMask
from hippopt.sources.parcellation import PICK, Picks, count_values, listed_counts, pick, undeclared_values
from hippopt.sources.source_cases import SourceCase


@dataclass
class CaseOutcome:
    """What came of a case. counts: voxels of each value in its source label; converted: its label was
    stored as float.
    """

    id: str
    counts: dict[int, int] = field(default_factory=dict)
    converted: bool = False
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LabelScheme:
    """Which values labels have in the data set. picks: {name: numbers in the source}, empty to keep all values.

    declared: the values that a label may hold (None: any), asked only where `picks` is empty. named: {segment: value},
    where the label files name their segments and no numbers are picked. remedy: for values that are not declared.
    """

    picks: Picks = field(default_factory=dict)
    declared: Sequence[int] | None = None
    named: dict[str, int] = field(default_factory=dict)
    remedy: str = PICK


def import_case(case: SourceCase, folder: Path, channels: int, scheme: LabelScheme) -> CaseOutcome:
    """Write `imagesTr/ID_0000.nii.gz` ... and `labelsTr/ID.nii.gz` under `folder`.

    What is wrong with the files is returned. Raises OutputError where the disk is full.
    """
    outcome = CaseOutcome(case.id)
    if len(case.images) not in (1, channels):
        outcome.faults.append(
            f"{case.images[0]}: {counted(len(case.images), 'file')} of this case, but dataset.json names {channels}"
            " channels; correct it"
        )
        return outcome
    targets = [folder / "imagesTr" / f"{case.id}_{channel:04d}.nii.gz" for channel in range(channels)]
    shapes: list[tuple[Path, tuple[int, ...]]] = []
    groups = [targets] if len(case.images) == 1 else [[target] for target in targets]
    for path, group in zip(case.images, groups, strict=True):
        try:
            shapes.append((path, store_image(path, group, outcome.notes)))
        except ImageError as error:
            outcome.faults.append(str(error))
    try:
        grid = nifti_grid(targets[0]) if shapes else None
        shapes.append(
            (case.label, _store_label(case.label, folder / "labelsTr" / f"{case.id}.nii.gz", grid, scheme, outcome))
        )
    except ImageError as error:
        outcome.faults.append(str(error))
    for path, shape in shapes[1:]:
        if shape != shapes[0][1]:
            outcome.faults.append(
                f"{path}: shape {shape} (Z, Y, X), but {shapes[0][0].name} has {shapes[0][1]}; resample one to the"
                " other, or correct the pairing"
            )
    return outcome


def store_image(path: Path, targets: Sequence[Path], notes: list[str]) -> tuple[int, ...]:
    """Store the volumes of an image, one a target; returns the (Z, Y, X) shape of each.

    NIfTI goes over as bytes, once its check sums were tried. Other formats are read: integers stay integers, other
    values become float32, in which all of hippopt computes. Raises ImageError where the file is no image or holds
    another number of volumes; OutputError where it cannot be written.
    """
    layout = nifti_layout(path)
    if layout is None:
        if len(targets) > 1:
            read_scan(path, 0)  # tells what else is wrong with the file
            raise ImageError(
                f"{path}: one volume, but dataset.json names {len(targets)} channels; correct its channels"
            )
        scan = read_scan(path)
        notes += scan.notes
        write_array(targets[0], _storable(scan.array), scan.grid)
        return scan.grid.shape
    if layout.volumes != len(targets):
        named = f"dataset.json names {len(targets)} channels" if len(targets) > 1 else "one channel is expected"
        raise ImageError(
            f"{path}: {layout.volumes} volumes (shape {layout.shape}), but {named}; extract the right ones, or name all"
            " channels"
        )
    if len(layout.shape) == 3:
        _store_bytes(path, targets[0], layout)
    else:
        for target, data in zip(targets, split_volumes(file_bytes(path, layout), layout), strict=True):
            write_bytes(target, zip_bytes(data))
    return layout.shape[2::-1]


def _store_bytes(path: Path, target: Path, layout: NiftiLayout) -> None:
    if layout.zipped:
        file_bytes(path, layout)  # raises where something is missing or damaged
        write_atomically(target, lambda temporary: shutil.copyfile(path, temporary))
    else:
        write_bytes(target, zip_bytes(file_bytes(path, layout)))


def _storable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """64-bit integers, which few programs read from NIfTI, in 32 bits where they fit."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < 8:
        return array
    fits = np.iinfo(np.int32).min <= array.min() and array.max() <= np.iinfo(np.int32).max
    return array.astype(np.int32 if fits else np.float64)


def _store_label(
    path: Path, target: Path, grid: Grid | None, scheme: LabelScheme, outcome: CaseOutcome
) -> tuple[int, ...]:
    """grid: of the image, on which the label is stored where it holds the same points, or some of them."""
    found = read_label(path)
    scan = (label_on_grid(found, grid) if grid is not None else None) or found
    moved = scan is not found
    label = scan.array
    if scheme.named:
        label = _by_name(path, label, scan.segments, scheme.named, outcome)
    outcome.counts = count_values(label)
    if moved:
        outcome.notes += scan.notes[-1:]
    if scheme.picks:
        write_mask(target, pick(label, scheme.picks), scan)
        return scan.grid.shape
    outcome.faults += undeclared_values(path, outcome.counts, scheme.declared, scheme.remedy)
    outcome.converted = scan.decimal
    layout = nifti_layout(path)
    if outcome.faults:
        return scan.grid.shape
    if layout is not None and len(layout.shape) == 3 and not outcome.converted and not moved:
        _store_bytes(path, target, layout)
    else:
        write_mask(target, label, scan)
        outcome.notes += scan.notes[:-1] if moved else scan.notes
    return scan.grid.shape


def _by_name(
    path: Path, label: LabelMask, segments: dict[str, int], named: dict[str, int], outcome: CaseOutcome
) -> npt.NDArray[np.uint16]:
    """The label with each segment's value in the data set."""
    by_name = {name.casefold(): value for name, value in named.items()}
    result = np.zeros(label.shape, np.uint16)
    for name, value in segments.items():
        result[label == value] = by_name[name.casefold()]
    nameless = count_values(label[(label != 0) & ~np.isin(label, list(segments.values()))])
    if nameless:
        outcome.faults.append(
            f"{path}: values {listed_counts(nameless)} belong to none of its segments; save it anew in 3D Slicer"
        )
    return result
