"""Whether a file holds all the voxels that its header promises, counted before they are trusted.

The libraries that read NRRD and MetaImage take what is there and leave the rest of the array as the memory was; a damaged
stream of compressed voxels they take as far as it goes.
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


def check_payload(path: Path, payload: Payload) -> None:
    """path: of the header. Raises ImageError where voxels are missing or damaged."""
    if payload.files is None:
        _check_part(path, payload, payload.count, payload.start, payload.stored)
        return
    parts = [path.parent / name for name in payload.files]
    if not parts or payload.count % len(parts):
        raise ImageError(f"{path}: header names {len(parts)} files for {payload.count} values; the file is damaged, copy it anew")
    for part in parts:
        if not part.exists():
            raise ImageError(f"{path}: its voxels are in {part.name}, which is not beside it{near_matches(part)}; copy both files")
        check_regular(part)
        _check_part(part, payload, payload.count // len(parts), 0, None)


def check_gzip(path: Path) -> None:
    """Raises ImageError unless the file is gzip data, of one member or more, that come whole to their end."""
    with open(path, "rb") as stream:
        for _ in _unpacked(path, stream, "gzip"):
            pass


def _check_part(path: Path, payload: Payload, count: int, start: int, stored: int | None) -> None:
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
            needed, found = (count, len(stream.read().split())) if payload.encoding == "text" else (2 * needed, _hex_digits(stream))
        else:
            if stored is not None and stored > there:
                raise ImageError(f"{path}: truncated, read {there} of {stored} bytes of compressed voxels; copy the file anew")
            found = sum(_unpacked(path, stream, payload.encoding, stored)) - max(payload.skip_bytes, 0)
    if found < needed:
        unit = {"text": "values", "hex": "digits"}.get(payload.encoding, "bytes")
        raise ImageError(f"{path}: truncated, its voxels take {needed} {unit}, but {max(found, 0)} are there; copy the file anew")


def _hex_digits(stream: IO[bytes]) -> int:
    return sum(len(word) for word in stream.read().split())


def _unpacked(path: Path, stream: IO[bytes], encoding: str, stored: int | None = None) -> Iterator[int]:
    """Bytes that come out, piece by piece. stored: how many of the stream belong to it, where that is known."""
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
            yield len(engine.decompress(data))
        except (zlib.error, OSError) as error:
            raise ImageError(f"{path}: corrupt {encoding} data ({error}); copy the file anew") from None
        data = engine.unused_data
    if not engine.eof or not begun:
        raise ImageError(f"{path}: truncated, its {encoding} data do not end; copy the file anew")


def _engine(encoding: str) -> Any:
    return bz2.BZ2Decompressor() if encoding == "bzip2" else zlib.decompressobj(31 if encoding == "gzip" else 47)
