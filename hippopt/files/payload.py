"""Whether a file holds all the voxels that its header promises, counted before they are trusted.

The libraries that read NRRD and MetaImage take what is there and leave the rest of the array as the memory was; a
damaged stream of compressed voxels they take as far as it goes.
"""

import bz2
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from hippopt.errors import ImageError
from hippopt.files.file_kind import GZIP_MAGIC, check_regular, near_matches
from hippopt.files.text_headers import Payload

PIECE = 1 << 16  # packed bytes at a time; they may unfold a thousandfold


def check_payload(path: Path, payload: Payload) -> int | None:
    """path: of the header. The CRC-32 of voxels that were packed, by which a reading of them can be held against the
    file.

    Raises ImageError where voxels are missing or damaged.
    """
    if payload.files is None:
        return _check_part(path, payload, payload.count, payload.start, payload.stored)
    parts = [path.parent / name for name in payload.files]
    if not parts or payload.count % len(parts):
        raise ImageError(
            f"{path}: header names {len(parts)} files for {payload.count} values; the file is damaged, copy it anew"
        )
    for part in parts:
        if not part.exists():
            raise ImageError(
                f"{path}: its voxels are in {part.name}, which is not beside it{near_matches(part)}; copy both files"
            )
        check_regular(part)
        checked = _check_part(part, payload, payload.count // len(parts), 0, None)
    return checked if len(parts) == 1 else None


def packed_bytes(path: Path, payload: Payload) -> bytes:
    """The voxels of a payload that `check_payload` found whole,
    packed and in one file, as the file's header orders them.
    """
    source, start = (path, payload.start) if payload.files is None else (path.parent / payload.files[0], 0)
    with open(source, "rb") as stream:
        stream.seek(start)
        for _ in range(payload.skip_lines):
            stream.readline()
        whole = b"".join(_unpacked(source, stream, payload.encoding, payload.stored))
    first = max(payload.skip_bytes, 0)
    return whole[first : first + payload.count * payload.value_bytes]


def check_gzip(path: Path) -> None:
    """Raises ImageError unless the file is gzip data, of one member or more, that come whole to their end."""
    with open(path, "rb") as stream:
        for _ in _unpacked(path, stream, "gzip"):
            pass


def _check_part(path: Path, payload: Payload, count: int, start: int, stored: int | None) -> int | None:
    checked: int | None = None
    needed = count * payload.value_bytes
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(start)
        for _ in range(payload.skip_lines):
            stream.readline()
        there = size - stream.tell()
        if payload.encoding == "raw":
            found = there if payload.skip_bytes < 0 else there - payload.skip_bytes
        elif payload.encoding in ("text", "hex"):
            needed, found = (
                (count, len(stream.read().split())) if payload.encoding == "text" else (2 * needed, _hex_digits(stream))
            )
        else:
            if stored is not None and stored > there:
                raise ImageError(
                    f"{path}: truncated, read {there} of {stored} bytes of compressed voxels; copy the file anew"
                )
            found, checked = _measured(
                _unpacked(path, stream, payload.encoding, stored), max(payload.skip_bytes, 0), needed
            )
    if found < needed:
        unit = {"text": "values", "hex": "digits"}.get(payload.encoding, "bytes")
        raise ImageError(
            f"{path}: truncated, its voxels take {needed} {unit}, but {max(found, 0)} are there; copy the file anew"
        )
    return checked


def _measured(pieces: Iterator[bytes], skip: int, needed: int) -> tuple[int, int]:
    """(bytes behind the first `skip`, CRC-32 of the first `needed` of these)."""
    found, checked = -skip, 0
    for piece in pieces:
        checked = zlib.crc32(piece[max(0, -found) : max(0, needed - found)], checked)
        found += len(piece)
    return found, checked


def _hex_digits(stream: IO[bytes]) -> int:
    return sum(len(word) for word in stream.read().split())


def _unpacked(path: Path, stream: IO[bytes], encoding: str, stored: int | None = None) -> Iterator[bytes]:
    """What comes out, piece by piece. stored: how many of the stream belong to it, where that is known."""
    left = stored
    engine, data, begun = _engine(encoding), b"", False
    while True:
        if not data:
            data = stream.read(PIECE if left is None else min(PIECE, left))
            left = None if left is None else left - len(data)
        if not data or (engine.eof and not (encoding == "gzip" and data.startswith(GZIP_MAGIC))):
            break  # the end, or bytes behind the last member
        engine = _engine(encoding) if engine.eof else engine
        begun = True
        try:
            yield engine.decompress(data)
        except (zlib.error, OSError) as error:
            raise ImageError(f"{path}: corrupt {encoding} data ({error}); copy the file anew") from None
        data = engine.unused_data
    if not engine.eof or not begun:
        raise ImageError(f"{path}: truncated, its {encoding} data do not end; copy the file anew")


def _engine(encoding: str) -> Any:
    return bz2.BZ2Decompressor() if encoding == "bzip2" else zlib.decompressobj(31 if encoding == "gzip" else 47)
