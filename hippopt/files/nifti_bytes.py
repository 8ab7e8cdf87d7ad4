"""A NIfTI file as bytes: whether it is whole, and its volumes as files of their own.

What stays bytes keeps its voxel type, scaling and geometry exactly. Offsets: nifti1.h and nifti2.h of the NIfTI
standard.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hippopt.errors import ImageError
from hippopt.files.file_kind import GZIP_MAGIC, GZIP_START, irregular_kind

HEADER_BYTES = 540  # of NIfTI-2; NIfTI-1 needs 348
# datatype code: bytes per voxel
REAL_TYPES = {
    2: 1,
    4: 2,
    8: 4,
    16: 4,
    64: 8,
    256: 1,
    512: 2,
    768: 4,
    1024: 8,
    1280: 8,
}


@dataclass(frozen=True)
class NiftiLayout:
    """Where the voxels lie in a NIfTI file of one part. shape: (X, Y, Z) or with more axes; the first runs fastest."""

    shape: tuple[int, ...]
    voxel_bytes: int
    offset: int
    zipped: bool
    order: str  # of the bytes: "<" or ">"
    version: int

    @property
    def volumes(self) -> int:
        """How many 3D volumes the file holds."""
        return _product(self.shape[3:])

    @property
    def volume_bytes(self) -> int:
        """Bytes of one 3D volume."""
        return _product(self.shape[:3]) * self.voxel_bytes

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole file, uncompressed."""
        return self.offset + self.volumes * self.volume_bytes


def nifti_layout(path: Path) -> NiftiLayout | None:
    """The layout, of a real-valued NIfTI volume with 3 axes or
    more and nothing odd in its header; None for any other file.
    """
    try:
        if irregular_kind(path):
            return None  # its opening might wait for ever
        with open(path, "rb") as stream:
            head = stream.read(HEADER_BYTES * 4 + GZIP_START)
    except OSError:
        return None
    zipped = head[:2] == GZIP_MAGIC
    if zipped:
        try:
            head = zlib.decompressobj(31).decompress(head, HEADER_BYTES)
        except zlib.error:
            return None
    if len(head) < 352:
        return None
    if head[344:347] == b"n+1":
        version, order = 1, "<" if struct.unpack("<i", head[:4])[0] == 348 else ">"
        dims = struct.unpack(order + "8h", head[40:56])
        code = struct.unpack(order + "h", head[70:72])[0]
        start = struct.unpack(order + "f", head[108:112])[0]
        least = 352
    elif head[4:7] == b"n+2" and len(head) >= HEADER_BYTES:
        version, order = 2, "<" if struct.unpack("<i", head[:4])[0] == 540 else ">"
        code = struct.unpack(order + "h", head[12:14])[0]
        dims = struct.unpack(order + "8q", head[16:80])
        start = struct.unpack(order + "q", head[168:176])[0]
        least = 544
    else:
        return None
    shape = dims[1 : dims[0] + 1] if 3 <= dims[0] <= 7 else ()
    if code not in REAL_TYPES or len(shape) < 3 or min(shape[:3]) < 2 or min(shape) < 1 or not least <= start < 1 << 31:
        return None
    return NiftiLayout(
        shape=shape, voxel_bytes=REAL_TYPES[code], offset=int(start), zipped=zipped, order=order, version=version
    )


def file_bytes(path: Path, layout: NiftiLayout) -> bytes:
    """The whole file, decompressed where it is gzip, in however many members.

    Raises ImageError where it is cut or corrupt.
    """
    data = path.read_bytes()
    parts = []
    ended = True
    while data[:2] == GZIP_MAGIC:
        engine = zlib.decompressobj(31)
        try:
            parts.append(engine.decompress(data))
        except zlib.error as error:
            raise ImageError(f"{path}: corrupt gzip data ({error}); copy the file anew") from None
        ended, data = engine.eof, engine.unused_data
    whole = b"".join(parts) if parts else data
    if len(whole) < layout.total_bytes or not ended:
        where = "" if ended else ", its gzip data do not end"
        raise ImageError(
            f"{path}: truncated, read {len(whole)} of {layout.total_bytes} bytes{where}; copy the file anew"
        )
    return whole


def zip_bytes(data: bytes) -> bytes:
    """gzip at level 1, without a time stamp: the same data give the same file."""
    engine = zlib.compressobj(1, zlib.DEFLATED, 31)
    return engine.compress(data) + engine.flush()


def split_volumes(data: bytes, layout: NiftiLayout) -> Iterator[bytes]:
    """Each 3D volume of an uncompressed file as a file of its own: the same header, with three axes."""
    head = bytearray(data[: layout.offset])
    if layout.version == 1:
        head[40:56] = struct.pack(layout.order + "8h", 3, *layout.shape[:3], 1, 1, 1, 1)
    else:
        head[16:80] = struct.pack(layout.order + "8q", 3, *layout.shape[:3], 1, 1, 1, 1)
    for start in range(layout.offset, layout.total_bytes, layout.volume_bytes):
        yield bytes(head) + data[start : start + layout.volume_bytes]


def _product(numbers: tuple[int, ...]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product
