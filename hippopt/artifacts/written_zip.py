"""Write a zip whose members are named, with their hashes, in a manifest that comes last."""

import hashlib
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from hippopt.artifacts.checked_zip import CHUNK
from hippopt.artifacts.codec import Record, atomic_path, canonical_json
from hippopt.artifacts.model_file import Member
from hippopt.console import Console

M = TypeVar("M", bound=Record)


def write_zip(
    target: Path,
    parts: Mapping[str, Path | bytes],
    manifest: tuple[str, Callable[[tuple[Member, ...]], M]],
    console: Console,
) -> M:
    """Write the members, then the manifest that names them, atomically.

    Args:
        target: the file.
        parts: name in the zip -> a file, or bytes.
        manifest: its name in the zip, and what makes it of the members.
        console: shows a bar.

    Returns:
        The manifest.

    Raises:
        OutputError: the file cannot be written.
    """
    sizes = {name: len(part) if isinstance(part, bytes) else part.stat().st_size for name, part in parts.items()}
    total = sum(size // CHUNK + 1 for size in sizes.values())
    bar = console.track(range(total), "export", total)
    members = []
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            digest, size = hashlib.sha256(), 0
            with archive.open(_info(name, sizes[name]), "w") as stream:
                for data in _pieces(part):
                    stream.write(data)
                    digest.update(data)
                    size += len(data)
                    next(bar, None)
            members.append(Member(name=name, size=size, sha256=digest.hexdigest()))
        name, make = manifest
        made = make(tuple(members))
        archive.writestr(_info(name, 0), canonical_json(made))
    for _ in bar:
        pass
    return made


def _info(name: str, size: int) -> zipfile.ZipInfo:
    """A member without the time and the owner of its file: the same model gives the same bytes."""
    info = zipfile.ZipInfo(name)
    info.file_size = size  # tells zipfile whether the member needs 64-bit sizes
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _pieces(part: Path | bytes) -> Iterator[bytes]:
    if isinstance(part, bytes):
        yield part
        return
    with part.open("rb") as stream:
        while data := stream.read(CHUNK):
            yield data
