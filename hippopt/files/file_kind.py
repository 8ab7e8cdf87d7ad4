"""What a file is, told by its first bytes; and whether it can be read at all."""

import difflib
import stat
from pathlib import Path

from hippopt.errors import ImageError

GZIP_MAGIC = b"\x1f\x8b"
GZIP_START = 1 << 17  # a gzip header may hold an extra field of 64 KB, and a name
START_BYTES = 600  # more than the longest header that is looked at (NIfTI-2: 540)
FOREIGN = {
    b"PK\x03\x04": "a zip archive",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 file",
}


def first_bytes(path: Path) -> bytes:
    """The file's first bytes.

    Raises ImageError for a file that is missing, empty, unreadable or known to be no image volume.
    """
    try:
        if path.is_symlink() and not path.exists():
            raise ImageError(f"{path}: broken link to {path.readlink()}; restore its target")
        check_regular(path)
        with open(path, "rb") as stream:
            start = stream.read(START_BYTES)
    except FileNotFoundError:
        raise ImageError(f"{path.absolute()}: not found{near_matches(path)}") from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read; change it with chmod or its owner") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the link or the disk") from None
    if not start:
        raise ImageError(f"{path}: empty file (0 bytes); copy it anew")
    for magic, name in FOREIGN.items():
        if start.startswith(magic):
            raise ImageError(f"{path}: this is {name}, not an image volume; convert it to NIfTI")
    if start[128:132] == b"DICM":
        raise ImageError(f"{path}: this is a DICOM file; convert the series to NIfTI (for example with dcm2niix)")
    return start


def check_regular(path: Path) -> None:
    """Raises ImageError for what is no regular file: opening a named pipe would wait for ever.

    OSError where there is none.
    """
    kind = irregular_kind(path)
    if kind:
        raise ImageError(f"{path}: {kind}, not a regular file; give a file")


def irregular_kind(path: Path) -> str:
    """What a path leads to that is no regular file, for people; empty for a regular file.

    Raises OSError where there is none.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return ""
    known = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFDIR: "a folder",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return known.get(stat.S_IFMT(mode), "of a special kind")


def near_matches(path: Path) -> str:
    """`; near matches: ...` of a name that is not there, or nothing."""
    try:
        names = [other.name for other in path.absolute().parent.iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, 3)
    return f"; near matches: {', '.join(close)}" if close else ""


def kind_of_unknown(start: bytes) -> str:
    """A word on bytes that are no image header."""
    if start.startswith(GZIP_MAGIC):
        return "gzip data inside gzip data, packed twice: unpack it once with gunzip"
    if start[257:262] == b"ustar":
        return "a tar archive"
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        # a character may be cut at the end
        text = start[: error.start].decode() if error.start > len(start) - 4 else ""
    return (
        "a text file"
        if text and all(letter.isprintable() or letter in "\t\r\n" for letter in text)
        else "of unknown type"
    )
