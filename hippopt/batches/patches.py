"""Where a training patch lies in a preprocessed case, and how it is cut."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

Triple = tuple[int, int, int]
FOREGROUND_SAMPLE = 5000  # voxels kept a class to centre patches on
JITTER_VOXELS = 4  # around the centred place of an image that is smaller than the patch, where prediction will put it


@dataclass(frozen=True)
class TrainingCase:
    """A preprocessed case on disk. Arrays are memory-mapped when first used, so that workers share the page cache."""

    id: str
    image_path: Path
    label_path: Path

    @cached_property
    def image(self) -> np.ndarray:
        """(C, Z, Y, X) float32, memory-mapped."""
        return np.load(self.image_path, mmap_mode="r")

    @cached_property
    def label(self) -> np.ndarray:
        """(Z, Y, X) uint8, memory-mapped."""
        return np.load(self.label_path, mmap_mode="r")

    @cached_property
    def foreground(self) -> list[np.ndarray]:
        """For each class that is present, background apart: (N, 3) voxel indices, thinned to FOREGROUND_SAMPLE."""
        label = np.asarray(self.label)
        found = []
        for value in np.unique(label):
            if value:
                where = np.argwhere(label == value)
                found.append(where[:: max(1, len(where) // FOREGROUND_SAMPLE)].astype(np.int32))
        return found


def draw_start(case: TrainingCase, patch: Triple, on_foreground: bool, rng: np.random.Generator) -> Triple:
    """First voxel of a patch; negative where the patch begins before the image.

    On an axis where the image is smaller than the patch it lies within JITTER_VOXELS of the middle: prediction centres it, and
    a network whose position embeddings may rely on that learns several times faster. Otherwise the patch stays inside,
    anywhere or around a voxel of a random class.
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


def centre_start(shape: Triple, patch: Triple, centre: Triple | None = None) -> Triple:
    """First voxel of the patch around the centre of the image, or around `centre` but inside the image."""
    start = []
    for axis in range(3):
        first = (shape[axis] - patch[axis]) // 2
        if centre is not None and shape[axis] > patch[axis]:
            first = int(np.clip(centre[axis] - patch[axis] // 2, 0, shape[axis] - patch[axis]))
        start.append(first)
    return (start[0], start[1], start[2])


def cut(array: np.ndarray, start: Triple, size: Triple) -> np.ndarray:
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
