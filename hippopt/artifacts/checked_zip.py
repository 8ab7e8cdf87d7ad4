"""Read a zip that may be hostile: everything that its directory tells
is checked when it is opened, and nothing is extracted by name.
"""

import contextlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from hippopt.errors import WeightsError

CHUNK = 2**22  # bytes read at a time
MOST_MEMBERS = 1000
MOST_TEXT = 2**25  # bytes of a member that is read as text
MOST_RATIO = 20  # of unpacked to packed: weights hardly shrink


class CheckedZip:
    """Members by name. Made by `open_zip` alone."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo]) -> None:
        self.path, self._archive, self._infos = path, archive, infos

    @property
    def sizes(self) -> dict[str, int]:
        """Unpacked bytes by name, as declared; reading never gives more."""
        return {name: info.file_size for name, info in self._infos.items()}

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a member in pieces. Raises WeightsError where they are damaged or fewer than declared."""
        left = self._infos[name].file_size
        with _readable(self.path, name), self._archive.open(self._infos[name]) as stream:
            while data := stream.read(CHUNK):
                left -= len(data)
                yield data
        if left:
            raise WeightsError(
                f"{self.path}: its member {name} is {left} bytes shorter than declared; copy the file anew"
            )

    def read(self, name: str) -> bytes:
        """A whole member."""
        return b"".join(self.chunks(name))

    def text(self, name: str) -> bytes:
        """A whole member that is small. Raises WeightsError where it is not."""
        if self._infos[name].file_size > MOST_TEXT:
            raise WeightsError(
                f"{self.path}: its member {name} is larger than any record ({self._infos[name].file_size} bytes);"
                " refused"
            )
        return self.read(name)


@contextlib.contextmanager
def open_zip(path: Path, allowed: re.Pattern[str]) -> Iterator[CheckedZip]:
    """Open a zip whose members all have names that `allowed` matches whole. Raises WeightsError before a member is
    read.

    Refused: names that lead elsewhere, links and other special files, names that occur twice, encryption, and what
    would unpack to far more than the file's size.
    """
    if not path.is_file():
        raise WeightsError(
            f"{path}: {'not a file' if path.exists() else 'not found'}; give a file that hippopt_export made"
        )
    with contextlib.ExitStack() as stack:
        with _readable(path, ""):
            archive = stack.enter_context(zipfile.ZipFile(path))
        infos = archive.infolist()
        fault = _fault(path.stat().st_size, infos, allowed)
        if fault:
            raise WeightsError(f"{path}: {fault}; refused, nothing was written")
        yield CheckedZip(path, archive, {info.filename: info for info in infos})


def holds(path: Path, name: str) -> bool:
    """Whether a file is a zip with a member of this name; nothing more is looked at."""
    try:
        with zipfile.ZipFile(path) as archive:
            return name in archive.namelist()
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError):
        return False


def _fault(file_size: int, infos: list[zipfile.ZipInfo], allowed: re.Pattern[str]) -> str:
    if len(infos) > MOST_MEMBERS:
        return f"it has {len(infos)} members, more than any model"
    seen: set[str] = set()
    for info in infos:
        name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
        if (
            name.startswith("/")
            or "\\" in name
            or ".." in name.split("/")
            or re.match(r"[A-Za-z]:", name)
            or "\0" in name
        ):
            return f"its member {name!r} would be written elsewhere"
        if kind not in (0, stat.S_IFREG):
            return f"its member {name!r} is a {'link' if kind == stat.S_IFLNK else 'special file'}"
        if not allowed.fullmatch(name):
            return f"its member {name!r} belongs to no model"
        if name in seen:
            return f"its member {name!r} occurs twice"
        if info.flag_bits & 1:
            return f"its member {name!r} is encrypted"
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return f"its member {name!r} is packed in a way other than stored or deflated"
        seen.add(name)
    whole = sum(info.file_size for info in infos)
    if whole > MOST_RATIO * file_size or sum(info.compress_size for info in infos) > file_size:
        return f"{file_size / 1e6:.1f} MB that would unpack to {whole / 1e6:.1f} MB: a zip bomb, not a model"
    return ""


@contextlib.contextmanager
def _readable(path: Path, name: str) -> Iterator[None]:
    where = f"its member {name}: " if name else ""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:  # of the file's path, not of an offset within it
            raise
        with path.open("rb") as stream:
            begins = stream.read(2) == b"PK"
        what = "damaged or cut short" if begins else "not a zip"
        raise WeightsError(
            f"{path}: {what} ({where}{error}); give a file that hippopt_export made, or copy it anew"
        ) from None
