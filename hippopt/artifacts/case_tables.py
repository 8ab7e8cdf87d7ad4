"""What a user writes down about cases: a table of their subjects, a list of those to take."""

import csv
import difflib
import io
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
    """`; near matches: a, b`, or nothing."""
    close = difflib.get_close_matches(name, list(known), 3)
    return f"; near matches: {', '.join(close)}" if close else ""


def read_subjects(path: Path) -> dict[str, str]:
    """{case: subject} of a .tsv or .csv table with the columns case and subject; others are ignored.

    Raises DatasetError with a line for each row that does not fit.
    """
    text = _text(path)
    first = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() != ".csv" else ";" if ";" in first and "," not in first else ","
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        if header.count("case") != 1 or header.count("subject") != 1:
            kind = "comma" if delimiter == "," else "semicolon" if delimiter == ";" else "tab"
            raise DatasetError(f"{path}: line 1: columns {header}; a header with one case and one subject, {kind}-separated, is needed")
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
                faults.append(f"{where}: case {case} has subject {cells[subject_column]!r} here and {subjects[case]!r} above; keep one row")
    except csv.Error as error:
        raise DatasetError(f"{path}: line {rows.line_num}: {error}; write it as a plain table") from None
    if faults:
        more = [f"{path}: {len(faults) - MOST_FAULTS} more rows like these"] if len(faults) > MOST_FAULTS else []
        raise DatasetError("\n".join([*faults[:MOST_FAULTS], *more]))
    if not subjects:
        raise DatasetError(f"{path}: no row below the header; list the cases, or leave --subjects out")
    return subjects


def read_case_list(given: str) -> list[str]:
    """Case ids in the order given, each once: of a text file (one a line), a JSON file (a list), or a comma-separated text.

    Raises DatasetError where the file is missing, malformed or empty.
    """
    path = Path(given)
    looks_like_a_file = "," not in given and (path.suffix.lower() in (".txt", ".json", ".tsv", ".csv", ".lst") or "/" in given)
    if "," not in given and path.is_file():
        names = _json_list(path) if path.suffix.lower() == ".json" else [line.split("#")[0] for line in _text(path).splitlines()]
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
    faults = [f"--cases {case}: no such case{near_names(case, known) or '; correct the id'}" for case in unknown[:MOST_FAULTS]]
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
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(missing_path(path)) from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a UTF-8 text file ({error.reason} at byte {error.start}); save it as text") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); give a text file") from None
