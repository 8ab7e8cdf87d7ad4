"""Where a training patch lies in a preprocessed case, and how it is cut."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.triples import Voxels
from hippopt.errors import StaleArtifactError
from hippopt.imaging.arrays import ClassMap, Image, Scalar

FOREGROUND_SAMPLE = 5000  # voxels kept a class to centre patches on
JITTER_VOXELS = 4  # around the centred place of an image that is smaller than the patch, where prediction will put it


FileState = tuple[int, int, int]  # inode, size, modification time in ns


def file_state(path: Path) -> FileState:
    """What changes when a file is replaced."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _opened(path: Path, checked: FileState | None) -> npt.NDArray[Any]:
    array = np.load(path, mmap_mode="r")  # of a file that is replaced later, the old contents stay
    if checked is not None and file_state(path) != checked:
        raise StaleArtifactError(
            f"{path}: made anew since this training began, as `hippopt_plan` does; plan again as it was then and add"
            " --resume, or train with --overwrite on what is there now"
        )
    return array


@dataclass(frozen=True)
class TrainingCase:
    """A preprocessed case on disk. Arrays are memory-mapped when first used, so that workers share the page cache.

    checked: states of the two files when they were held against the plan; an array that was made anew since then is
    refused.
    """

    id: str
    image_path: Path
    label_path: Path
    checked: tuple[FileState, FileState] | None = None

    @cached_property
    def image(self) -> Image:
        """(C, Z, Y, X) float32, memory-mapped. Raises StaleArtifactError where it is not the array that was checked."""
        return _opened(self.image_path, self.checked and self.checked[0])

    @cached_property
    def label(self) -> ClassMap:
        """(Z, Y, X) uint8 or uint16, memory-mapped.

        Raises StaleArtifactError where it is not the array that was checked.
        """
        return _opened(self.label_path, self.checked and self.checked[1])

    @cached_property
    def foreground(self) -> list[npt.NDArray[np.int32]]:
        """For each class that is present, background apart: (N, 3) voxel indices, thinned to FOREGROUND_SAMPLE."""
        label = np.asarray(self.label)
        found = []
        for value in np.unique(label):
            if value:
                where = np.argwhere(label == value)
                found.append(where[:: max(1, len(where) // FOREGROUND_SAMPLE)].astype(np.int32))
        return found


def draw_start(case: TrainingCase, patch: Voxels, on_foreground: bool, rng: np.random.Generator) -> Voxels:
    """First voxel of a patch; negative where the patch begins before the image.

    On an axis where the image is smaller than the patch it lies within JITTER_VOXELS of the middle: prediction centres
    it, and a network whose position embeddings may rely on that learns several times faster. Otherwise the patch stays
    inside, anywhere or around a voxel of a random class.
    """
    shape = case.label.shape
    low, high = [], []
    for size, want in zip(shape, patch, strict=True):
        middle = (size - want) // 2
        low.append(max(size - want, middle - JITTER_VOXELS) if size < want else 0)
        high.append(min(0, middle + JITTER_VOXELS) if size < want else size - want)
    start = [int(rng.integers(first, last + 1)) for first, last in zip(low, high, strict=True)]
    if on_foreground and case.foreground:
        voxels = case.foreground[int(rng.integers(len(case.foreground)))]
        centre = voxels[int(rng.integers(len(voxels)))]
        for axis in range(3):
            if shape[axis] > patch[axis]:
                start[axis] = int(np.clip(centre[axis] - patch[axis] // 2, low[axis], high[axis]))
    return (start[0], start[1], start[2])


def centre_start(shape: Voxels, patch: Voxels, centre: Voxels | None = None) -> Voxels:
    """First voxel of the patch around the centre of the image, or around `centre` but inside the image."""
    start = []
    for axis in range(3):
        first = (shape[axis] - patch[axis]) // 2
        if centre is not None and shape[axis] > patch[axis]:
            first = int(np.clip(centre[axis] - patch[axis] // 2, 0, shape[axis] - patch[axis]))
        start.append(first)
    return (start[0], start[1], start[2])


def cut(array: npt.NDArray[Scalar], start: Voxels, size: Voxels) -> npt.NDArray[Scalar]:
    """(..., Z, Y, X) -> (..., *size): the window at `start`, zeros outside the array."""
    lead = array.shape[:-3]
    out = np.zeros((*lead, *size), dtype=array.dtype)
    source: list[slice] = []
    target: list[slice] = []
    for first, count, total in zip(start, size, array.shape[-3:], strict=True):
        begin, end = max(first, 0), min(first + count, total)
        if begin >= end:
            return out
        source.append(slice(begin, end))
        target.append(slice(begin - first, end - first))
    out[..., target[0], target[1], target[2]] = array[..., source[0], source[1], source[2]]
    return out
