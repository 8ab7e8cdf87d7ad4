"""volumes.tsv: for each scan and label the volume, the number of separate parts, and what is odd about it."""

import glob
from pathlib import Path
from typing import Any

import numpy as np

from hippopt.artifacts.codec import write_bytes
from hippopt.artifacts.plan import Plan
from hippopt.imaging.scan import Scan
from hippopt.inference.contrast import contrast

COLUMNS = ("scan", "label", "value", "voxels", "volume_mm3", "components", "flag")


def contrast_warning(name: str, mask: np.ndarray, scan: Scan, usual: tuple[float, float] | None) -> str | None:
    """A line where the segmented voxels are much brighter or darker in their scan than in any training scan."""
    found = contrast(scan.array, mask != 0)
    if usual is None or found is None or usual[0] <= found <= usual[1]:
        return None
    return (
        f"{name}: the segmented voxels lie {found:+.2f} standard deviations from the scan's mean, expected {usual[0]:+.2f} to {usual[1]:+.2f} "
        "after the training scans; another modality or an inverted contrast? look at the mask"
    )


def volume_rows(name: str, mask: np.ndarray, scan: Scan, plan: Plan, flags: tuple[str, ...] = ()) -> list[dict[str, object]]:
    """One row a label. components: 26-connected parts; two of a structure may be both sides, or an island."""
    from scipy import ndimage

    rows: list[dict[str, object]] = []
    for label, value in sorted(plan.labels.items(), key=lambda item: item[1]):
        if value == 0:
            continue
        inside = mask == value
        count = int(inside.sum())
        box = ndimage.find_objects(inside.view(np.uint8))[0] if count else None  # a label is a small part of a whole brain
        components = int(ndimage.label(inside[box], np.ones((3, 3, 3)))[1]) if count else 0
        volume = round(count * scan.grid.voxel_volume_mm3, 2)
        found = (name, label, value, count, volume, components, "; ".join((*flags, *(() if count else ("empty",)))))
        rows.append(dict(zip(COLUMNS, found, strict=True)))
    return rows


def write_volumes(rows: list[dict[str, object]], path: Path) -> None:
    """Write the table. Rows that it held of other scans stay, where their masks are still beside it."""
    import pandas as pd

    table = pd.concat([_other_rows(path, {str(row["scan"]) for row in rows}), pd.DataFrame(rows, columns=list(COLUMNS))], ignore_index=True)
    write_table(table.sort_values(["scan", "value"], kind="stable"), path)


def write_table(table: Any, path: Path) -> None:
    """Write a data frame as TSV, atomically. Bytes of a name that are not UTF-8 are written as escapes."""
    write_bytes(path, table.to_csv(sep="\t", index=False).encode(errors="backslashreplace"))


def _other_rows(path: Path, ours: set[str]) -> Any:
    import pandas as pd

    try:
        old = pd.read_csv(path, sep="\t", dtype={"scan": str}, keep_default_na=False)
    except (OSError, ValueError):
        return pd.DataFrame(columns=list(COLUMNS))
    if list(old.columns) != list(COLUMNS):
        return pd.DataFrame(columns=list(COLUMNS))
    there = {name for name in set(old.scan) - ours if any(path.parent.glob(glob.escape(name) + ".*"))}
    return old[old.scan.isin(there)]
