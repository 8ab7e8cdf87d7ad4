"""Corrections: what hippopt_correct brought into a data set, so that
planning can tell a correction from a file that changed by accident.
"""

from pathlib import Path
from typing import Literal

from hippopt.artifacts.codec import SCHEMA, Record, load_record

FILE = "corrections.json"  # in the data set's folder
MADE_BY = "hippopt_correct"


class Correction(Record, frozen=True, kw_only=True):
    """The latest correction of one case. Hashes are those of its fingerprint, of the scan and of the mask that was
    stored.

    dice_before: {label: Dice of the earlier mask with the corrected one}, None where no earlier mask was there to
    compare.
    """

    kind: Literal["new", "changed"]
    image_hash: str
    label_hash: str
    dice_before: dict[str, float] | None = None


class Corrections(Record, frozen=True, kw_only=True):
    """All cases of a data set that were corrected, by their id."""

    schema: int = SCHEMA
    cases: dict[str, Correction]

    def tells(self, case: str, image_hash: str, label_hash: str) -> bool:
        """Whether these contents of a case came by a correction."""
        found = self.cases.get(case)
        return found is not None and (found.image_hash, found.label_hash) == (image_hash, label_hash)


def read_corrections(dataset: Path) -> Corrections:
    """The record in a data set's folder, empty where nothing was corrected. Raises PlanError where it is damaged."""
    path = dataset / FILE
    return load_record(path, Corrections, MADE_BY) if path.exists() else Corrections(cases={})
