"""Change sound inputs as damage, other programs and people do: each by what its kind of file is made of."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e-320, 1e308, float("nan"),
    float("inf"), float("-inf"), "", " ", "0", "²", "٣", "a" * 70000, "\x00", "\ud800", "../..", "/", "nan", [],
    {}, [[]], {"": 0}, [0] * 300, ["case_000"] * 3,
)  # fmt: skip
WORDS = (
    b"0", b"-1", b"1e400", b"nan", b"inf", b"", b'"', b"\t", b"\r", b"\n", b"\x00", b"\xff", b";", b",", b":", b"=",
    b"99999999999999999999", b"\xc2\xb2", b"(", b")", b"none", b"2147483648", b"0 0 0", b"raw", b"gzip", b"LOCAL",
    b"5 4 3", b"1000000 1000000 1000000",
)  # fmt: skip
FIELDS = struct.calcsize("<348B")  # of a NIfTI-1 header; NIfTI-2's is longer, and its fields are hit as well
NUMBERS = ("<h", "<i", "<f", ">h", ">i", "<q", "<d")


def mutated(data: bytes, kind: str, seed: int) -> bytes:
    """The input changed in one to four places, the same for the same seed."""
    rng = random.Random(seed)
    change: Callable[[bytes, random.Random], bytes] = {
        "json": _json, "table": _text, "header": _header, "nifti": _numbers, "bytes": _bytes,
    }[kind]  # fmt: skip
    for _ in range(rng.randint(1, 4)):
        data = change(data, rng) if rng.random() < 0.85 else _bytes(data, rng)
    return data


def _json(data: bytes, rng: random.Random) -> bytes:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _bytes(data, rng)
    places = list(_places(value))
    if not places:
        return json.dumps(rng.choice(ODD)).encode()
    holder, key = rng.choice(places)
    what = rng.randrange(5)
    if what == 0 and isinstance(holder, dict):
        del holder[key]
    elif what == 1:
        other, wanted = rng.choice(places)
        if isinstance(other, list) or wanted in other:
            holder[key] = json.loads(json.dumps(other[wanted])) if _shallow(other[wanted]) else None
    elif what == 2 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] = rng.choice((-holder[key], holder[key] * 10**9, holder[key] + 1, str(holder[key])))
    elif what == 3 and isinstance(holder, dict):
        holder[rng.choice((f"{key}x", "schema", ""))] = rng.choice(ODD)
    else:
        holder[key] = rng.choice(ODD)
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):
        return _bytes(data, rng)


def _shallow(value: Any) -> bool:
    return len(str(value)[:20001]) <= 20000


def _places(value: Any) -> Any:
    """(holder, key) of every value within another."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _text(data: bytes, rng: random.Random) -> bytes:
    """A word put in, a cell replaced, a line left out or doubled."""
    lines = data.split(b"\n")
    number = rng.randrange(len(lines))
    what = rng.randrange(4)
    if what == 0:
        del lines[number]
    elif what == 1:
        lines.insert(number, lines[rng.randrange(len(lines))])
    else:
        mark = rng.choice((b"\t", b",", b";", b" "))
        cells = lines[number].split(mark)
        cells[rng.randrange(len(cells))] = rng.choice(WORDS)
        lines[number] = mark.join(cells)
    return b"\n".join(lines)


def _header(data: bytes, rng: random.Random) -> bytes:
    """The text before the voxels, or where it ends."""
    end = next((at for mark in (b"\n\n", b"ElementDataFile") if (at := data.find(mark)) >= 0), len(data))
    if rng.random() < 0.15:
        return data[: rng.randrange(len(data) + 1)]
    return _text(data[:end], rng) + data[end:]


def _numbers(data: bytes, rng: random.Random) -> bytes:
    """A field of a NIfTI header, or fewer voxels."""
    if rng.random() < 0.15 or len(data) < 8:
        return data[: rng.randrange(len(data) + 1)]
    form = rng.choice(NUMBERS)
    at = rng.randrange(0, min(len(data), 540) - struct.calcsize(form) + 1, 2) if len(data) > 10 else 0
    value: Any = rng.choice((0, 1, -1, 2, 3, 4, 5, 7, 16, 127, 256, 348, 352, 512, 540, 32767, -32768))
    if form[1] in "fd":
        value = rng.choice((0.0, -1.0, 1.0, 0.5, 1e-30, 1e30, float("nan"), float("inf"), 350.0, 352.5))
    piece = struct.pack(form, value)
    return data[:at] + piece + data[at + len(piece) :]


def _bytes(data: bytes, rng: random.Random) -> bytes:
    what, at = rng.randrange(5), rng.randrange(len(data) + 1)
    if what == 0:
        return data[:at]
    if what == 1:
        return data[:at] + rng.choice(WORDS) + data[at:]
    if what == 2:
        return data[:at] + data[rng.randrange(len(data) + 1) :]
    if what == 3 and data:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    return data[:at] + data[at : at + rng.randint(1, 64)] * rng.randint(2, 9) + data[at:]
