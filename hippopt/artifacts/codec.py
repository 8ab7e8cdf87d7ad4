"""Records to JSON and back: unknown keys refused, schema checked, written atomically, hashed by content."""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hippopt.artifacts.right_values import right_values
from hippopt.artifacts.this_host import this_host
from hippopt.artifacts.whole_folder import is_alive
from hippopt.errors import OutputError, PlanError

SCHEMA = 1
TEMPORARY = ".tmp-"  # how the names of unfinished files begin
OWNED = re.compile(rf"^{re.escape(TEMPORARY)}(\d+)\.(.+)\.[0-9a-f]{{8}}(\.|$)")  # process, host
_TIDIED: set[Path] = set()  # folders in which this process has written
_TIDYING = threading.Lock()


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all records: immutable, keyword-only, unknown keys refused when read."""


R = TypeVar("R", bound=Record)


def canonical_json(record: Any) -> bytes:
    """The record's JSON with sorted keys and no spaces: equal records give equal bytes."""
    return json.dumps(msgspec.to_builtins(record), sort_keys=True, separators=(",", ":")).encode()


def content_hash(record: Any) -> str:
    """sha256 (hex) of the canonical JSON without optional fields at their defaults.

    So a later hippopt may give a record new options whose defaults are what was done before: older plans and models
    keep their hash.
    """
    return hashlib.sha256(canonical_json(_without_defaults(record))).hexdigest()


def _without_defaults(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        kept = {
            field.name: getattr(value, field.name)
            for field in fields
            if field.name == "schema" or getattr(value, field.name) != field.default
        }
        return {name: _without_defaults(item) for name, item in kept.items()}
    if isinstance(value, dict):
        return {key: _without_defaults(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_defaults(item) for item in value]
    return value


def parse_json(text: str | bytes, source: Path) -> Any:
    """Parse JSON. Raises PlanError naming file, line and column."""
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise PlanError(f"{source}: not a text file ({error.reason} at byte {error.start}); restore it") from error
    except RecursionError:
        raise PlanError(f"{source}: nested too deeply for a record; restore it") from None
    except json.JSONDecodeError as error:
        raise PlanError(
            f"{source}: malformed JSON at line {error.lineno}, column {error.colno}: {error.msg}; mend or remake the"
            " file"
        ) from error
    except ValueError as error:  # a number of thousands of digits
        raise PlanError(f"{source}: {one_line(error)}; mend or remake the file") from None


def decode(data: Any, kind: type[R], source: Path) -> R:
    """Make a record of parsed JSON. Raises PlanError naming the file and the key that does not fit."""
    expected = next((field.default for field in msgspec.structs.fields(kind) if field.name == "schema"), SCHEMA)
    if isinstance(data, dict) and "schema" in data and data["schema"] != expected:
        raise PlanError(f"{source}: schema {data['schema']}, but this hippopt reads schema {expected}; remake the file")
    try:
        return msgspec.convert(data, kind)
    except UnicodeEncodeError:
        raise PlanError(f"{source}: holds half of a character (a lone surrogate), as no text may; restore it") from None
    except msgspec.ValidationError as error:
        right = right_values(kind, error)
        raise PlanError(
            f"{source}: {error}; {f'{right} is expected; ' if right else ''}mend the file or remake it"
        ) from error


def load_record(path: Path, kind: type[R], made_by: str) -> R:
    """Read a record. Raises PlanError where the file is missing (naming the command `made_by`) or does not fit."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise PlanError(f"{path}: not found; run `{made_by}` first") from None
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error.strerror}); look at the path and its permissions") from None
    return decode(parse_json(text, path), kind, path)


@contextlib.contextmanager
def atomic_path(path: Path, keep_first: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`, else removed.

    A killed process therefore never leaves a half-written file under the final name, and what it left under a
    temporary one goes when the next process writes in that folder.

    Args:
        path: the final name.
        keep_first: a file that another process gave this name first stays, and this one is dropped.

    Yields:
        The temporary path, with the suffix of `path`.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary: Path | None = None
    # the real suffix stays at the end, since image libraries choose the format by it
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".nii.gz") else path.suffix
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy_once(path.parent)
        temporary, mode = _new_file(path.parent, suffix)
        yield temporary
        if temporary.stat().st_mode != mode:  # some libraries put a new file in its place
            with contextlib.suppress(OSError):  # network mounts may refuse; the file is whole nevertheless
                temporary.chmod(stat.S_IMODE(mode))
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        _move(temporary, path, keep_first)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); {_remedy(error)}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _move(temporary: Path, path: Path, keep_first: bool) -> None:
    if not keep_first:
        os.replace(temporary, path)
        return
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    except OSError:  # a file system without hard links
        if not path.exists():
            os.replace(temporary, path)


def _tidy_once(folder: Path) -> None:
    """Before this process first writes in a folder: remove what processes that are gone were writing there."""
    with _TIDYING:
        if folder not in _TIDIED:
            _TIDIED.add(folder)
            remove_leftovers_of_the_dead(folder)


def _new_file(folder: Path, suffix: str) -> tuple[Path, int]:
    """(path, mode) of a new, empty file.

    The kernel gives it the mode that the process's umask or the folder's access list asks for.
    """
    while True:
        path = folder / f"{_of_this_process()}{secrets.token_hex(4)}{suffix}"
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            continue
        try:
            return path, os.fstat(handle).st_mode
        finally:
            os.close(handle)


def _remedy(error: OSError) -> str:
    known = {
        errno.ENAMETOOLONG: "give it a shorter name",
        errno.EISDIR: "a folder has this name; choose another",
        errno.EACCES: "change its permissions, or choose another folder",
        errno.EROFS: "choose a folder on a disk that can be written",
    }
    return known.get(error.errno or 0, "free space or choose another folder")


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of a killed process. Only for a folder in which no other process writes."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def remove_leftovers_of_the_dead(folder: Path) -> None:
    """Remove the unfinished files of processes of this host that are gone. Others may write in the folder meanwhile,
    but this process not yet: in a container, what bears its id was left by another.
    """
    here = this_host()
    for path in folder.glob(f"{TEMPORARY}*"):
        match = OWNED.match(path.name)
        if match is not None and match[2] == here and not is_alive(int(match[1])):
            path.unlink(missing_ok=True)


def _of_this_process() -> str:
    return f"{TEMPORARY}{os.getpid()}.{this_host()}."


def write_atomically(path: Path, write: Callable[[Path], object], keep_first: bool = False) -> None:
    """Call `write` with a temporary path and move the result to `path`, as `atomic_path` does."""
    with atomic_path(path, keep_first) as temporary:
        write(temporary)


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically."""
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def write_json(path: Path, data: Any) -> None:
    """Write plain data or a record as indented JSON, atomically."""
    write_bytes(path, record_bytes(data))


def record_bytes(data: Any) -> bytes:
    """The bytes that `write_json` writes."""
    return (dump_text(msgspec.to_builtins(data)) + "\n").encode()


def dump_text(data: Any, indent: int = 0) -> str:
    """JSON for people: short lists of numbers or words stay on one line."""
    pad = "  " * indent
    if isinstance(data, dict) and data:
        lines = [f"{pad}  {json.dumps(str(key))}: {dump_text(value, indent + 1)}" for key, value in data.items()]
        return "{\n" + ",\n".join(lines) + f"\n{pad}}}"
    if isinstance(data, list) and data:
        flat = json.dumps(data, ensure_ascii=False)
        if len(flat) <= 100 or not any(isinstance(item, dict | list) for item in data):
            return flat
        return "[\n" + ",\n".join(f"{pad}  {dump_text(item, indent + 1)}" for item in data) + f"\n{pad}]"
    return json.dumps(data, ensure_ascii=False)


def one_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
