"""signals.csv: for each validation case and label the signals of
the fold's own network, beside what the mask was worth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.codec import atomic_path
from hippopt.errors import DatasetError
from hippopt.imaging.arrays import Numbers
from hippopt.inference.signals import SIGNALS, Signals

COLUMNS = ("case", "label", "dice", "volume_predicted_mm3", "volume_reference_mm3", *SIGNALS)


@dataclass(frozen=True)
class ScoredSignals:
    """One label of one case that mask and reference both hold."""

    case: str
    label: str
    dice: float
    volume_predicted_mm3: float
    volume_reference_mm3: float
    signals: Signals


@dataclass(frozen=True)
class SignalTable:
    """Rows of out-of-fold cases and labels. values: (N, S) signals, in
    the order of SIGNALS; log_ratio: log(true / predicted volume); all others (N,).
    """

    cases: npt.NDArray[np.str_]
    folds: npt.NDArray[np.str_]
    labels: npt.NDArray[np.str_]
    values: Numbers
    dice: Numbers
    log_ratio: Numbers

    def where(self, chosen: npt.NDArray[np.bool_]) -> "SignalTable":
        """The rows for which `chosen` (N,) is true."""
        return SignalTable(*(getattr(self, field.name)[chosen] for field in fields(self)))


def write_signals(path: Path, rows: Sequence[ScoredSignals]) -> None:
    """Write the table as CSV, atomically; numbers in full, NaN as an empty field."""
    import pandas as pd

    flat = [{**{name: getattr(row, name) for name in COLUMNS[:5]}, **asdict(row.signals)} for row in rows]
    with atomic_path(path) as temporary:
        pd.DataFrame(flat, columns=list(COLUMNS)).to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")


def read_signals(paths: Mapping[str, Path]) -> SignalTable:
    """The tables of several folds as one. paths: fold -> its file.

    Raises DatasetError naming the file that is no such table.
    """
    import pandas as pd

    tables = []
    for fold, path in paths.items():
        remedy = "remove the fold's summary.json and validate it anew with `hippopt_train --resume`"
        try:
            # ids such as 001 or NA stay text
            table = pd.read_csv(
                path, dtype={"case": str, "label": str}, keep_default_na=False, na_values={n: [""] for n in COLUMNS[2:]}
            )
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: not a readable table ({error}); {remedy}") from None
        if list(table.columns) != list(COLUMNS):
            raise DatasetError(f"{path}: columns {list(table.columns)}, expected {list(COLUMNS)}; {remedy}")
        try:
            numbers = table[list(COLUMNS[2:])].astype(float)
        except ValueError as error:
            raise DatasetError(f"{path}: {error}; {remedy}") from None
        tables.append(pd.concat([table[["case", "label"]], numbers], axis=1).assign(fold=fold))
    whole = pd.concat(tables, ignore_index=True)
    ratio = whole.volume_reference_mm3.to_numpy(float) / whole.volume_predicted_mm3.to_numpy(float)
    return SignalTable(
        whole.case.to_numpy(str),
        whole.fold.to_numpy(str),
        whole.label.to_numpy(str),
        whole[list(SIGNALS)].to_numpy(float),
        whole.dice.to_numpy(float),
        np.log(ratio),
    )
