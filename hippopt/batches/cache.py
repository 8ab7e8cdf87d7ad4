"""The files of a preprocessed case, and the key that tells whether they were made of the same data and decisions."""

from dataclasses import dataclass
from pathlib import Path

from hippopt.artifacts.codec import content_hash, decode, parse_json
from hippopt.artifacts.fingerprint import CaseFingerprint
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.properties import CacheEntry
from hippopt.errors import PlanError
from hippopt.imaging.straightening import straight_for


@dataclass(frozen=True)
class CachePaths:
    """The three files of a preprocessed case; `entry` is written last, so a killed run leaves no case that
    looks whole.
    """

    folder: Path
    case: str

    @property
    def image(self) -> Path:
        return self.folder / f"{self.case}.npy"

    @property
    def label(self) -> Path:
        return self.folder / f"{self.case}_label.npy"

    @property
    def entry(self) -> Path:
        return self.folder / f"{self.case}.json"


def cache_key(plan: Plan, case: CaseFingerprint) -> str:
    """Hash of all that shapes the arrays of a case: its voxel data and the plan's decisions on preparation."""
    # earlier versions kept these in 8 bits, and mixed them up
    more = ["16-bit classes"] if len(plan.label_values) > 256 else []
    straight = straight_for(case.grid, plan.target_spacing_mm, plan.straighten_degrees)
    # voxel values alone do not tell how a tilted scan lies
    turned = [list(case.grid.affine)] if straight is not None else []
    return content_hash([plan.preparation_hash, case.image_hash, case.label_hash, *more, *turned])


def cached_entry(folder: Path, case: str) -> CacheEntry | None:
    """The record of a preprocessed case, or None where it is missing or unreadable."""
    paths = CachePaths(folder, case)
    try:
        entry = decode(parse_json(paths.entry.read_bytes(), paths.entry), CacheEntry, paths.entry)
    except (OSError, PlanError):
        return None
    return entry if paths.image.is_file() and paths.label.is_file() else None
