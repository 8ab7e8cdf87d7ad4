"""Read NIfTI and Analyze: the header is checked before the voxels are touched, and all notes say what was corrected."""

import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hippopt.artifacts.grid import Grid
from hippopt.errors import ImageError
from hippopt.files.file_kind import GZIP_MAGIC, GZIP_START, START_BYTES, first_bytes, kind_of_unknown
from hippopt.files.nifti_header import checked_affine, checked_shape, grid_of, nifti_affine, scaling
from hippopt.files.scan import Scan
from hippopt.imaging.memory_budget import check_memory
from hippopt.machine import machine_bytes


class _Layout(NamedTuple):
    """Where the wanted voxels lie in the uncompressed file. shape: (X, Y, Z)."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    start: int
    stop: int


def nifti_grid(path: Path) -> Grid:
    """The grid of a single-file NIfTI volume, of its header alone. Raises ImageError."""
    notes: list[str] = []
    header, _ = _header(path, first_bytes(path), notes)
    shape = checked_shape(path, header, None, notes)
    return grid_of(shape, checked_affine(path, nifti_affine(path, header, notes), notes))


def read_nifti(path: Path, start: bytes, volume: int | None, exact: bool = False) -> Scan:
    """Read a single-file NIfTI-1 or NIfTI-2, zipped or not, whose first bytes are `start`. Raises ImageError."""
    notes: list[str] = []
    header, zipped = _header(path, start, notes)
    layout = _layout(path, header, volume, notes)
    if zipped:
        data, ended = _inflate(path, layout.stop)
        if not ended and len(data) >= layout.stop:
            raise ImageError(
                f"{path}: truncated, read {len(data)} bytes, but its gzip data do not end; copy the file anew"
            )
    else:
        data = path.read_bytes()
    return _decode(path, header, data, layout, notes, exact)


def _header(path: Path, start: bytes, notes: list[str]) -> tuple[Any, bool]:
    """(header, whether the file is zipped)."""
    import nibabel

    zipped = start[:2] == GZIP_MAGIC
    ended = True
    if zipped:
        start, ended = _inflate(path, START_BYTES, START_BYTES)
    if zipped != path.name.lower().endswith(".gz"):
        notes.append(
            f"{path.name}: {'gzip data without' if zipped else 'no gzip data despite'} .gz in its name; read by content"
        )
    if zipped and start.startswith(GZIP_MAGIC):
        raise ImageError(f"{path}: {kind_of_unknown(start)}")
    if len(start) < 348 or (start[344:347] not in (b"n+1", b"ni1") and start[4:7] != b"n+2"):
        if zipped and not ended and len(start) < 348:
            raise ImageError(f"{path}: truncated in its header, read {len(start)} bytes; copy the file anew")
        raise ImageError(
            f"{path}: not an image volume, but {kind_of_unknown(start)}; give NIfTI, NRRD, MetaImage or Analyze"
        )
    header_class = nibabel.Nifti2Header if start[4:7] == b"n+2" else nibabel.Nifti1Header
    # of the fixed part alone: extensions tell of the scan's history, which is not a mask's
    return header_class(start.ljust(START_BYTES, b"\0")[: header_class.sizeof_hdr], check=False), zipped


def read_pair(path: Path, volume: int | None, exact: bool = False) -> Scan:
    """Read Analyze 7.5 or a NIfTI pair: .hdr with .img beside it. Raises ImageError."""
    import nibabel

    head, image = path.with_suffix(".hdr"), path.with_suffix(".img")
    start = first_bytes(head)
    first_bytes(image)
    nifti = start[344:347] == b"ni1"
    if len(start) < 348 or 348 not in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")):
        raise ImageError(
            f"{head}: not an Analyze or NIfTI-1 header, but {kind_of_unknown(start)}; convert the scan to NIfTI"
        )
    header_class = nibabel.nifti1.Nifti1PairHeader if nifti else nibabel.Spm99AnalyzeImage.header_class
    notes = (
        []
        if nifti
        else [f"{path.name}: Analyze states no orientation; read as LAS (radiological), check left and right"]
    )
    header = header_class(start[:348], check=False)
    layout = _layout(head, header, volume, notes)
    return _decode(head, header, image.read_bytes(), layout, notes, exact)


def _inflate(path: Path, needed: int, most: int | None = None) -> tuple[bytes, bool]:
    """The first `needed` bytes of a gzip file, of one or several members: (bytes, whether the file's data came to their
    end).

    What lies beyond is decompressed too, for its check sum, but not kept; with `most`, nothing beyond is looked at.
    Raises ImageError where the data are corrupt.
    """
    with open(path, "rb") as stream:
        data = stream.read() if most is None else stream.read(GZIP_START + 16 * most)
    parts: list[bytes] = []
    size, ended = 0, False
    while data[:2] == GZIP_MAGIC and (most is None or size < most):
        engine = zlib.decompressobj(31)
        ended = False
        try:
            part = engine.decompress(data, max(needed - size, 0) + 1)
            parts.append(part)
            size += len(part)
            while most is None and not engine.eof and (part or engine.unconsumed_tail):
                part = engine.decompress(engine.unconsumed_tail, 1 << 20)
        except zlib.error as error:
            raise ImageError(f"{path}: corrupt gzip data ({error}); copy the file anew") from None
        ended, data = engine.eof, engine.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts), ended


def _layout(path: Path, header: Any, volume: int | None, notes: list[str]) -> _Layout:
    """Raises ImageError unless the header describes one 3D volume of real numbers that fits the memory."""
    shape = checked_shape(path, header, volume, notes)
    try:
        dtype = header.get_data_dtype()
    except Exception:  # nibabel's own kind
        raise ImageError(f"{path}: unknown voxel type {int(header['datatype'])}; convert it to float32") from None
    if dtype.itemsize == 0:
        raise ImageError(f"{path}: voxels of no known type; the file is damaged, copy it anew")
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise ImageError(
            f"{path}: voxels of type {dtype} (colour or complex); give a scan with one real value per voxel"
        )
    offset = float(header["vox_offset"])
    if not 0 <= offset < 2**40:  # NaN too
        raise ImageError(
            f"{path}: header says that the voxels start at byte {offset:g}; the file is damaged, copy it anew"
        )
    least = header.single_vox_offset if getattr(header, "is_single", False) else 0
    if offset < least:
        notes.append(f"{path.name}: voxels said to start at byte {offset:g}, inside the header; read from byte {least}")
    voxels = shape[0] * shape[1] * shape[2]
    start = max(int(offset), least) + (volume or 0) * voxels * dtype.itemsize
    stop = start + voxels * dtype.itemsize
    check_memory(path, shape[::-1], stop + 4.0 * voxels, machine_bytes())
    return _Layout(shape, dtype, start, stop)


def _decode(path: Path, header: Any, data: bytes, layout: _Layout, notes: list[str], exact: bool) -> Scan:
    affine = checked_affine(path, nifti_affine(path, header, notes), notes)
    if len(data) < layout.stop:
        raise ImageError(f"{path}: truncated, read {len(data)} of {layout.stop} bytes; copy the file anew")
    dtype, shape = layout.dtype, layout.shape
    array = np.frombuffer(data, dtype, shape[0] * shape[1] * shape[2], layout.start).reshape(shape[::-1])
    slope, inter = scaling(path, header, notes)
    if slope != 1 or inter != 0:
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (
                array.astype(np.float64) * slope + inter
                if exact
                else array.astype(np.float32) * np.float32(slope) + np.float32(inter)
            )
        lost = ~np.isfinite(scaled)
        if not (lost.any() and np.isfinite(array[lost]).any()):
            return Scan(path, scaled, grid_of(shape, affine), header, notes, abs(slope) if dtype.kind != "f" else 0.0)
        notes.append(f"{path.name}: scl_slope {slope:g}, scl_inter {inter:g} overflow; stored values used as they are")
    if dtype.kind == "f":
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # float64 beyond float32 becomes Inf, which the caller reports
            array = array.astype(np.float64 if exact else np.float32)
    else:
        array = array.astype(dtype.newbyteorder("="))
    return Scan(path, array, grid_of(shape, affine), header, notes)
