"""What a model file holds: a run as it stands on disk, its base, and a manifest that names every member."""

import re
from collections.abc import Sequence

from hippopt.artifacts.codec import SCHEMA, Record
from hippopt.artifacts.methods import METHODS, Method

MANIFEST = "manifest.json"
RUN, BASE_WEIGHTS, BASE_CARD = "run/", "base/weights.safetensors", "base/card.json"
# members are stored by the names that they have in the run's folder
ALLOWED = re.compile(
    r"manifest\.json|base/(weights\.safetensors|card\.json)|run/((plan|contrast|cohort|calibration)\.json|initial\.safetensors)"
    r"|run/(fold_[0-9]{1,3}|full_data(_[2-9])?)/(adapter(_best)?|locator)\.(safetensors|json)"
)
# what prediction can do without: the records by which it judges masks
OPTIONAL = ("contrast.json", "cohort.json", "calibration.json")
DATASET_NAME = re.compile(r"Dataset[0-9]{3}_[A-Za-z0-9_-]+")
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Member(Record, frozen=True, kw_only=True):
    """One file of the zip. size: bytes; sha256: of the bytes."""

    name: str
    size: int
    sha256: str


class BaseEntry(Record, frozen=True, kw_only=True):
    """The base that the adapters belong to. sha256: of its safetensors file; included: whether that is a member."""

    name: str
    sha256: str
    included: bool


class ModelManifest(Record, frozen=True, kw_only=True):
    """folds: names of the folders in the run; base: None where the run trained from random weights."""

    schema: int = SCHEMA
    hippopt: str
    dataset: str
    run: str
    method: Method
    folds: tuple[str, ...]
    base: BaseEntry | None
    members: tuple[Member, ...]


class UsualContrast(Record, frozen=True, kw_only=True):
    """The range of contrasts (inference/contrast.py) that is usual for the training scans, in standard deviations of a scan."""

    schema: int = SCHEMA
    fingerprint_hash: str
    low: float
    high: float


def missing_and_stray(manifest: ModelManifest, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """(names that a model of this kind must have and lacks, names that do not belong to it)."""
    needed = {f"{RUN}plan.json", *(f"{RUN}{fold}/adapter.{ending}" for fold in manifest.folds for ending in ("json", "safetensors"))}
    needed |= {f"{RUN}initial.safetensors"} if METHODS[manifest.method].decomposes else set()
    if manifest.base is not None:
        needed |= {BASE_CARD, *([BASE_WEIGHTS] if manifest.base.included else [])}
    optional = {f"{RUN}{name}" for name in OPTIONAL}
    for fold in manifest.folds:
        best = {f"{RUN}{fold}/adapter_best.{ending}" for ending in ("json", "safetensors")}
        # whether a model has locators is the plan's word, which is held against them when it is read
        locator = {f"{RUN}{fold}/locator.{ending}" for ending in ("json", "safetensors")}
        for pair in (best, locator):
            if pair & set(names):
                needed |= pair
    return sorted(needed - set(names)), sorted(set(names) - needed - optional)
