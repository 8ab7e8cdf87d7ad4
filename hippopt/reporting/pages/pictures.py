"""Arrays as text that a page can hold: pictures as data URLs, masks as runs, outlines as SVG paths."""

import base64
import io
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.imaging.arrays import BinaryMask

QUALITY = 72

Grey = npt.NDArray[np.uint8]  # values 0 to 255, or numbers of labels
Point = npt.NDArray[np.int64]  # (row, column)


def to_bytes(values: npt.NDArray[Any], window: tuple[float, float]) -> Grey:
    """Grey values 0 to 255 (uint8) of an array of any shape, linear in the window (low, high)."""
    low, high = window
    scaled = (values.astype(np.float32) - low) * (255 / max(high - low, 1e-6))
    return np.nan_to_num(scaled).clip(0, 255).astype(np.uint8)


def window_of(values: npt.NDArray[Any]) -> tuple[float, float]:
    """The (1st, 99.5th) percentile of what is finite in an array of any shape; (0, 1) where there is nothing."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(known, (1, 99.5))
    return float(low), float(high)


def picture(grey: Grey, size: tuple[int, int] | None = None, quality: int = QUALITY) -> str:
    """A (rows, columns) uint8 array as a data URL of WebP. size:
    (width, height) in pixels to bring it to, by cubic interpolation.
    """
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(grey))
    if size is not None and size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def mosaic(slices: Grey) -> tuple[Grey, int]:
    """(N, rows, columns) slices in one picture, row by row: (the picture, how many stand in a row). About square."""
    count, rows, columns = slices.shape
    across = max(1, min(count, round((count * rows / columns) ** 0.5)))
    lines = -(-count // across)
    padded = np.zeros((lines * across, rows, columns), slices.dtype)
    padded[:count] = slices
    return (
        padded.reshape(lines, across, rows, columns).transpose(0, 2, 1, 3).reshape(lines * rows, across * columns),
        across,
    )


def runs(values: Grey) -> str:
    """Values of an array of any shape, in C order, as base64 of runs: a byte of the value,
    then its length as LEB128 (seven bits a byte, low ones first).
    """
    flat = np.ascontiguousarray(values).ravel()
    if flat.size == 0:
        return ""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1))
    lengths = np.diff(np.concatenate((starts, [flat.size])))
    out = bytearray()
    for value, length in zip(flat[starts].tolist(), lengths.tolist(), strict=True):
        out.append(value)
        while length > 127:
            out.append(length & 127 | 128)
            length >>= 7
        out.append(length)
    return base64.b64encode(bytes(out)).decode()


def outline(inside: BinaryMask) -> str:
    """The outlines of a (rows, columns) bool mask as an SVG path in half voxels, the first voxel from 0 to 2; empty
    where nothing is inside.

    The contour runs midway between voxels inside and outside.
    """
    from skimage.measure import find_contours

    if not inside.any():
        return ""
    parts = []
    for line in find_contours(np.pad(inside, 1).astype(np.float32), 0.5):
        points = np.rint(2 * line - 1).astype(int)  # one voxel of padding, and centres at odd numbers
        middle = [
            here
            for before, here, after in zip(points, points[1:], points[2:], strict=False)
            if _turns(before, here, after)
        ]
        kept = [points[0], *middle]
        steps = " ".join(f"{x - px} {y - py}" for (py, px), (y, x) in pairwise(kept))
        parts.append(f"M{kept[0][1]} {kept[0][0]}l{steps}z")
    return "".join(parts)


def _turns(before: Point, here: Point, after: Point) -> bool:
    return bool((here - before)[0] * (after - here)[1] != (here - before)[1] * (after - here)[0])
