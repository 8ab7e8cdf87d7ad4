"""What a user writes down about cases: a table of their subjects, a list of those to take."""

import codecs
import csv
import difflib
import io
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from hippopt.artifacts.codec import parse_json
from hippopt.errors import DatasetError, PlanError

MOST_FAULTS = 20


def missing_path(path: Path) -> str:
    """`resolved path: not found`, with near matches from its folder."""
    near = near_names(path.name, [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else [])
    return f"{path.absolute()}: not found{near or '; correct the path'}"


def near_names(name: str, known: Iterable[str]) -> str:
    """`; near matches: a, b`, or nothing.

    Names that are the same but for zeros, letter case, endings or a channel come first.
    """
    others = list(known)
    close = [other for other in others if _plain(other) == _plain(name)][:3] or difflib.get_close_matches(
        name, others, 3
    )
    return f"; near matches: {', '.join(close)}" if close else ""


def names_alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of different names that differ in letter case or blanks only."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault("".join(name.split()).casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _plain(name: str) -> str:
    """A name without what tables and spreadsheets change in it: `1` of `001`, `scan1` of `Scan_001_0000.nii.gz`."""
    plain = re.sub(r"(\.[a-z]\w*)+$", "", name.strip().lower())
    plain = re.sub(r"_0{3}\d$", "", plain) if re.search(r"\w_0{3}\d$", plain) else plain
    return re.sub(r"0*(\d+)", r"\1", re.sub(r"[\W_]+", "", plain))


def read_subjects(path: Path) -> dict[str, str]:
    """{case: subject} of a .tsv or .csv table with the columns case and subject; others are ignored.

    Raises DatasetError with a line for each row that does not fit.
    """
    text = _text(path)
    stated = re.match(r"\"?sep=(.)\"?\r?\n", text, re.IGNORECASE)  # Excel's own first line
    delimiter = stated[1] if stated else _delimiter(text.partition("\n")[0], path)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    if stated:
        next(rows)
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        if header.count("case") != 1 or header.count("subject") != 1:
            kind = {",": "comma", ";": "semicolon", "\t": "tab"}.get(delimiter, repr(delimiter))
            raise DatasetError(
                f"{path}: line {2 if stated else 1}: columns {header}; a header with one case and one subject,"
                f" {kind}-separated, is needed"
            )
        case_column, subject_column = header.index("case"), header.index("subject")
        subjects: dict[str, str] = {}
        faults = []
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            where = f"{path}: line {rows.line_num}"
            if len(cells) != len(header):
                faults.append(f"{where}: {len(cells)} cells, but the header has {len(header)}; mend the row")
            elif not cells[case_column] or not cells[subject_column]:
                faults.append(f"{where}: case {cells[case_column]!r}, subject {cells[subject_column]!r}; fill in both")
            elif subjects.setdefault(cells[case_column], cells[subject_column]) != cells[subject_column]:
                case = cells[case_column]
                faults.append(
                    f"{where}: case {case} has subject {cells[subject_column]!r} here and {subjects[case]!r} above;"
                    " keep one row"
                )
    except csv.Error as error:
        raise DatasetError(f"{path}: line {rows.line_num}: {error}; write it as a plain table") from None
    if faults:
        more = [f"{path}: {len(faults) - MOST_FAULTS} more rows like these"] if len(faults) > MOST_FAULTS else []
        raise DatasetError("\n".join([*faults[:MOST_FAULTS], *more]))
    if not subjects:
        raise DatasetError(f"{path}: no row below the header; list the cases, or leave --subjects out")
    return subjects


def _delimiter(header: str, path: Path) -> str:
    """What parts the columns: what the ending says, unless the header tells otherwise."""
    usual = "," if path.suffix.lower() == ".csv" else "\t"
    fitting = [
        mark
        for mark in (usual, "\t", ";", ",")
        if {"case", "subject"} <= {cell.strip(' "\r').lower() for cell in header.split(mark)}
    ]
    return fitting[0] if fitting else usual


def read_case_list(given: str) -> list[str]:
    """Case ids in the order given, each once: of a text file (one per line), a JSON file (a list), or a comma-separated
    text.

    Raises DatasetError where the file is missing, malformed or empty.
    """
    path = Path(given)
    looks_like_a_file = "," not in given and (
        path.suffix.lower() in (".txt", ".json", ".tsv", ".csv", ".lst") or "/" in given
    )
    if "," not in given and path.is_file():
        names = (
            _json_list(path)
            if path.suffix.lower() == ".json"
            else [line.split("#")[0] for line in _text(path).splitlines()]
        )
    elif looks_like_a_file:
        raise DatasetError(f"--cases {missing_path(path)}")
    else:
        names = [given]
    ids = [name.strip() for line in names for name in line.split(",") if name.strip()]
    if not ids:
        raise DatasetError(f"--cases {given}: names no case; write one case id a line")
    return list(dict.fromkeys(ids))


def unknown_cases(ids: Iterable[str], known: Collection[str]) -> list[str]:
    """A fault for each id that is not `known`, with near matches; 20 at most, then a count."""
    unknown = [case for case in ids if case not in known]
    faults = [
        f"--cases {case}: no such case{near_names(case, known) or '; correct the id'}" for case in unknown[:MOST_FAULTS]
    ]
    if len(unknown) > MOST_FAULTS:
        faults.append(f"--cases: {len(unknown) - MOST_FAULTS} more ids are unknown")
    return faults


def _json_list(path: Path) -> list[str]:
    try:
        data = parse_json(path.read_bytes(), path)
    except PlanError as error:
        raise DatasetError(str(error)) from error
    if not isinstance(data, list) or not all(isinstance(item, str) for item in data):
        raise DatasetError(f'{path}: expected a list of case ids, such as ["case_001", "case_002"]')
    return data


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        # Excel's "Unicode text"
        return data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(missing_path(path)) from None
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: not a UTF-8 text file ({error.reason} at byte {error.start}); save it as text"
        ) from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); give a text file") from None
