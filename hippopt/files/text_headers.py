"""NRRD and MetaImage headers as text: what they state, and where their voxels lie.

Both formats put `key: value` or `Key = Value` lines before the voxels, or into a file of their own. Sources: the NRRD
definition (teem.sourceforge.net/nrrd/format.html) and MetaIO's documentation (itk.org/Wiki/ITK/MetaIO/Documentation).
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from hippopt.errors import ImageError
from hippopt.files.file_kind import kind_of_unknown

# no header is longer, not even one with the gradients of a diffusion scan or a thousand segments
HEADER_BYTES = 1 << 22
NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4
    ),
    **dict.fromkeys(
        ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"), 8
    ),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t", "double"), 8),
}
META_BYTES = {
    **dict.fromkeys(("CHAR", "UCHAR"), 1),
    **dict.fromkeys(("SHORT", "USHORT"), 2),
    **dict.fromkeys(("INT", "UINT", "LONG", "ULONG", "FLOAT"), 4),
    **dict.fromkeys(("LONG_LONG", "ULONG_LONG", "DOUBLE"), 8),
}
AXES = re.compile("0*([1-9]|1[0-6])")  # how many axes an image may have, here and in both libraries
NUMBER = re.compile("-?[0-9]{1,9}")
PATTERN = re.compile("[^%]*%(?:0?[1-9]|[.][1-9])?[diu][^%]*")  # of printf, for one whole number
NAME_BYTES = 255  # of a file; longer ones are refused by every system that is in use
ANATOMICAL = ("ras", "las", "lps", "right-anterior-superior", "left-anterior-superior", "left-posterior-superior")


@dataclass(frozen=True)
class Payload:
    """Where the voxels lie. count values of value_bytes each, over all `files`; files: None for what follows the header
    at `start`.

    encoding: raw, gzip, zlib, bzip2, text or hex. skip_lines, skip_bytes: before the voxels, skip_bytes -1 for what
    ends the file. stored: bytes of the compressed voxels where the header says so.
    """

    count: int
    value_bytes: int
    encoding: str
    start: int = 0
    files: tuple[str, ...] | None = None
    skip_lines: int = 0
    skip_bytes: int = 0
    stored: int | None = None


@dataclass(frozen=True)
class TextHeader:
    """What a header states. fields: by lower-case key; own: the free `key:=value` pairs of NRRD, as they stand.

    size_stated: whether it gives voxel sizes; axes_stated: whether it says where the axes point, in anatomical terms.
    """

    fields: dict[str, str]
    payload: Payload
    size_stated: bool
    axes_stated: bool
    own: dict[str, str] = field(default_factory=dict)

    @property
    def big_endian(self) -> bool:
        """Whether the most significant byte of a value comes first."""
        stated = (
            self.fields.get(key, "").lower() for key in ("endian", "binarydatabyteordermsb", "elementbyteordermsb")
        )
        return any(text in ("big", "true", "1") for text in stated)


def read_text_header(path: Path) -> TextHeader:
    """The header of an NRRD or MetaImage file, attached or detached.

    Raises ImageError for one that describes no voxels.
    """
    with open(path, "rb") as stream:
        start = stream.read(HEADER_BYTES)
    return _nrrd(path, start) if start.startswith(b"NRRD") else _meta(path, start)


def _nrrd(path: Path, start: bytes) -> TextHeader:
    fields: dict[str, str] = {}
    own: dict[str, str] = {}
    at, files = 0, None
    while at < len(start):
        end = start.find(b"\n", at)
        end = len(start) if end < 0 else end
        line, at = start[at:end].rstrip(b"\r").decode("latin-1"), end + 1
        if not line:
            break
        if line.startswith(("#", "NRRD")):
            continue
        key, mark, value = line.partition(":")
        if mark and value.startswith("="):
            own.setdefault(key, start[end - len(line) : end].rstrip(b"\r").decode(errors="replace").partition(":=")[2])
        elif mark:
            fields[key.strip().lower()] = value.strip()
            if key.strip().lower() in ("data file", "datafile") and value.split()[:1] == ["LIST"]:
                files = _listed(start[at:])
                break
    if "dimension" in fields:
        _check_dimensions(path, "dimension", fields["dimension"])
    sizes = _counts(path, "sizes", fields.get("sizes", ""))
    kind = fields.get("type", "").lower()
    if kind not in NRRD_BYTES:
        raise ImageError(f"{path}: NRRD of type {kind or 'that is not stated'}; convert it to NIfTI")
    detached = fields.get("data file", fields.get("datafile"))
    if detached is not None and files is None:
        files = _numbered(path, detached, math.prod(sizes))
    _check_names(path, files)
    encoding = fields.get("encoding", "").lower()
    names = {
        "raw": "raw",
        "gzip": "gzip",
        "gz": "gzip",
        "bzip2": "bzip2",
        "bz2": "bzip2",
        "text": "text",
        "txt": "text",
        "ascii": "text",
    }
    if encoding != "hex" and encoding not in names:
        raise ImageError(f"{path}: NRRD of encoding {encoding or 'that is not stated'}; convert it to NIfTI")
    skips = [
        _whole(path, name, fields.get(name, fields.get(name.replace(" ", ""), "0")), least)
        for name, least in (("line skip", 0), ("byte skip", -1))  # -1: the voxels are the last bytes
    ]
    payload = Payload(
        count=math.prod(sizes),
        value_bytes=NRRD_BYTES[kind],
        encoding=names.get(encoding, "hex"),
        start=at,
        files=files,
        skip_lines=skips[0],
        skip_bytes=skips[1],
    )
    directions = [
        vector for vector in fields.get("space directions", "").replace("none", " ").split(")") if vector.strip()
    ]
    directed = len(directions) >= 3 and all(_numbers(vector.strip().lstrip("("), ",") for vector in directions)
    spaced = _three_sizes(fields.get("spacings", ""))
    space = fields.get("space", "").lower().removesuffix("-time").removesuffix("t")
    return TextHeader(fields, payload, directed or spaced, directed and space in ANATOMICAL, own)


def _meta(path: Path, start: bytes) -> TextHeader:
    fields: dict[str, str] = {}
    at = 0
    while at < len(start):
        end = start.find(b"\n", at)
        end = len(start) if end < 0 else end
        line, at = start[at:end].decode("latin-1").strip(), end + 1
        key, mark, value = line.partition("=")
        if mark:
            fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "ndims":
            _check_dimensions(path, "NDims", value.strip())
        if key.strip().lower() == "elementdatafile":
            break
    where = fields.get("elementdatafile")
    if "ndims" not in fields and "dimsize" not in fields:
        raise ImageError(
            f"{path}: not a MetaImage or NRRD header, but {kind_of_unknown(start[:600])}; convert the scan to NIfTI"
        )
    if not where:
        raise ImageError(f"{path}: truncated in its header (no ElementDataFile); copy the file anew")
    kind = fields.get("elementtype", "").upper().removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in META_BYTES:
        raise ImageError(
            f"{path}: MetaImage of type {fields.get('elementtype', 'that is not stated')}; convert it to NIfTI"
        )
    channels = _whole(path, "ElementNumberOfChannels", fields.get("elementnumberofchannels", "1"), 1)
    sizes = _counts(path, "DimSize", fields.get("dimsize", ""))
    files: tuple[str, ...] | None
    if where.split()[0].upper() == "LIST":
        files = _listed(start[at:])
    else:
        files = None if where.upper() == "LOCAL" else _numbered(path, where, math.prod(sizes) * channels)
    _check_names(path, files)
    zipped = fields.get("compresseddata", "").lower() in ("true", "1")
    text = fields.get("binarydata", "true").lower() in ("false", "0")
    stored = fields.get("compresseddatasize")
    payload = Payload(
        count=math.prod(sizes) * channels, value_bytes=META_BYTES[kind],
        encoding="zlib" if zipped else "text" if text else "raw", start=at, files=files,
        skip_bytes=_whole(path, "HeaderSize", fields.get("headersize", "0"), -1),
        stored=_whole(path, "CompressedDataSize", stored, 0) if zipped and stored and files is None else None,
    )  # fmt: skip
    sized = _three_sizes(fields.get("elementspacing") or fields.get("elementsize") or "")
    return TextHeader(
        fields, payload, sized, any(fields.get(key) for key in ("transformmatrix", "rotation", "orientation"))
    )


def _check_dimensions(path: Path, name: str, text: str) -> None:
    """Raises ImageError where the number of axes is none: ITK counts to whatever a header says, for minutes."""
    if not AXES.fullmatch(text):
        raise ImageError(f"{path}: header gives {name} {text[:40] or 'not at all'}; the file is damaged, copy it anew")


def _counts(path: Path, name: str, text: str) -> list[int]:
    parts = text.split()
    if (
        not parts
        or not all(part.isascii() and part.isdigit() and 0 < int(part) < 1 << 40 for part in parts[:16])
        or len(parts) > 16
    ):
        raise ImageError(f"{path}: header gives {name} {text[:40] or 'not at all'}; the file is damaged, copy it anew")
    return [int(part) for part in parts]


def _whole(path: Path, name: str, text: str, least: int) -> int:
    try:
        if (number := int(text)) >= least:
            return number
    except ValueError:
        pass
    raise ImageError(f"{path}: header gives {name} {text[:40]!r}; the file is damaged, copy it anew")


def _three_sizes(text: str) -> bool:
    """Whether three voxel sizes or more are given; decimal commas are none."""
    return len([step for step in text.split() if _numbers(step, " ") and float(step) > 0]) >= 3


def _numbers(text: str, separator: str) -> bool:
    """Whether all parts are finite numbers."""
    try:
        return all(math.isfinite(float(part)) for part in text.split(separator))
    except ValueError:
        return False


def _numbered(path: Path, text: str, values: int) -> tuple[str, ...]:
    """One name, or those of a pattern such as `slice%03d.raw 1 120 1`, as C's printf counts them: at most one per
    value, so that no header asks for more names than memory holds.
    """
    text = _as_utf8(text)
    parts = text.split()
    if not (len(parts) >= 3 and "%" in parts[0] and all(NUMBER.fullmatch(part) for part in parts[1:4])):
        return (text,)
    first, last, step = (int(part) for part in (*parts[1:4], "1")[:3])
    if not PATTERN.fullmatch(parts[0]) or step == 0:
        raise ImageError(f"{path}: header names its voxels {text[:60]!r}; convert it to NIfTI")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if len(numbers) > values:
        raise ImageError(
            f"{path}: header names {len(numbers)} files for {values} values; the file is damaged, copy it anew"
        )
    return tuple(parts[0] % number for number in numbers)


def _as_utf8(text: str) -> str:
    """A line that was read byte by byte, in UTF-8 where it is that."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return text


def _listed(rest: bytes) -> tuple[str, ...]:
    """Names that follow a header, one per line."""
    return tuple(name.strip() for name in rest.decode(errors="replace").splitlines() if name.strip())


def _check_names(path: Path, files: tuple[str, ...] | None) -> None:
    """Raises ImageError where a name is none that a system takes."""
    for name in files or ():
        if not name or min(name) < " " or any(len(part.encode()) > NAME_BYTES for part in name.split("/")):
            raise ImageError(
                f"{path}: header names its voxels {name[:60]!r}, which no file is called; the file is damaged, copy it"
                " anew"
            )
