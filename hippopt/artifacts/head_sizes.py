"""Head sizes from outside, such as FreeSurfer's estimated total intracranial volume (eTIV): a table of
scans and mm³.
"""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hippopt.artifacts.case_tables import missing_path
from hippopt.errors import DatasetError

COLUMNS = ("estimatedtotalintracranialvol", "etiv", "tiv", "icv", "head_size_mm3", "mm3")  # of sizes, in small letters
LEAST_MM3, LARGEST_MM3 = 300_000.0, 4_000_000.0  # no head is outside; a table in ml is


@dataclass(frozen=True)
class HeadSizes:
    """mm3: by scan or by participant (`sub-01`)."""

    mm3: Mapping[str, float] = field(default_factory=dict)

    def of(self, scan: str) -> float | None:
        """The size of a scan's head: its own row, or its participant's; None where there is neither."""
        return self.mm3.get(scan, self.mm3.get(scan.partition("_")[0]))


def read_head_sizes(path: Path) -> HeadSizes:
    """Read a .tsv or .csv table: scans in the first column, sizes in one that is named so, or in the only other one.

    FreeSurfer's `asegstats2table` gives such a table. Raises DatasetError in one line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"--head-size {missing_path(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"--head-size {path}: cannot be read ({error}); give a table of text") from None
    first = text.partition("\n")[0]
    mark = next((mark for mark in "\t;," if mark in first), "\t")
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=mark))
    except csv.Error as error:
        raise DatasetError(f"--head-size {path}: cannot be read ({error}); write it as a plain table") from None
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    named = [index for index, name in enumerate(header) if index and name in COLUMNS]
    column = named[0] if named else 1 if len(header) == 2 else None
    if column is None:
        raise DatasetError(
            f"--head-size {path}: line 1: no column of sizes in mm³; name it eTIV, or leave no other beside that of the"
            " scans"
        )
    found: dict[str, float] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cell = row[column].strip() if column < len(row) else ""
        try:
            size = float(cell)
        except ValueError:
            size = math.nan
        if not LEAST_MM3 <= size <= LARGEST_MM3:
            raise DatasetError(
                f"--head-size {path}: line {number}: {cell!r} is no size of a head in mm³; correct it, or take the"
                " row out"
            )
        if found.setdefault(row[0].strip(), size) != size:
            raise DatasetError(
                f"--head-size {path}: line {number}: {row[0].strip()} has another size above; keep one row"
            )
    return HeadSizes(found)
