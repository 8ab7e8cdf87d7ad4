"""Read FreeSurfer's volumes (.mgh, .mgz), through nibabel."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from hippopt.errors import ImageError
from hippopt.files.file_kind import GZIP_MAGIC, kind_of_unknown
from hippopt.files.nifti_header import checked_affine, checked_size, grid_of
from hippopt.files.payload import check_gzip
from hippopt.files.scan import Scan
from hippopt.imaging.memory_budget import check_memory
from hippopt.machine import machine_bytes

VERSION = b"\x00\x00\x00\x01"  # the first four bytes of every .mgh file
HEADER_BYTES = 284
GOOD_RAS = slice(28, 30)  # whether voxel size and axes are stated


def read_mgh(path: Path, start: bytes, volume: int | None, exact: bool = False) -> Scan:
    """Read a volume whose first bytes are `start`; exact: as a label. Raises ImageError in one line."""
    from nibabel.freesurfer.mghformat import MGHHeader

    zipped = start.startswith(GZIP_MAGIC)
    if zipped:
        check_gzip(path)
        start = zlib.decompressobj(31).decompress(start)
    if not start.startswith(VERSION):
        raise ImageError(f"{path}: not a FreeSurfer volume, but {kind_of_unknown(start)}; convert it to NIfTI")
    try:
        data = gzip.decompress(path.read_bytes()) if zipped else path.read_bytes()
        header = MGHHeader(data[:HEADER_BYTES], check=False)
        shape = tuple(int(size) for size in header["dims"])
        dtype = header.get_data_dtype()
    except Exception as error:  # nibabel's own kinds
        raise ImageError(f"{path}: its header cannot be read ({error}); copy the file anew") from None
    if min(shape) < 1 or max(shape) >= 1 << 24:
        raise ImageError(f"{path}: header gives dimensions {list(shape)}; the file is damaged, copy it anew")
    if int.from_bytes(data[GOOD_RAS], "big") != 1:  # nibabel fills in 1 mm and axes of its own
        raise ImageError(
            f"{path}: states neither voxel size nor orientation (goodRASFlag 0); convert it from its source anew"
        )
    notes: list[str] = []
    size, chosen = checked_size(path, shape if shape[3] > 1 else shape[:3], volume, notes)
    check_memory(path, size[::-1], 12.0 * math.prod(size), machine_bytes())
    voxels = math.prod(size)
    needed = HEADER_BYTES + math.prod(shape) * dtype.itemsize
    if len(data) < needed:
        raise ImageError(f"{path}: truncated, read {len(data)} of {needed} bytes; copy the file anew")
    array = np.frombuffer(data, dtype, voxels, HEADER_BYTES + chosen * voxels * dtype.itemsize).reshape(size[::-1])
    kind = np.dtype(np.float64 if exact else np.float32) if dtype.kind == "f" else dtype.newbyteorder("=")
    affine = header.get_affine()
    return Scan(
        path, array.astype(kind), grid_of(size, checked_affine(path, np.array(affine, float), notes)), None, notes
    )
