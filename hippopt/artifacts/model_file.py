"""What a model file holds: a run as it stands on disk, its base, and a manifest that names every member."""

import re
from collections.abc import Sequence

from hippopt.artifacts.codec import SCHEMA, Record
from hippopt.artifacts.methods import METHODS, Method
from hippopt.console import counted

MANIFEST = "manifest.json"
RUN, BASE_WEIGHTS, BASE_CARD = "run/", "base/weights.safetensors", "base/card.json"
# members are stored by the names that they have in the run's folder
ALLOWED = re.compile(
    r"manifest\.json|base/(weights\.safetensors|card\.json)|run/((plan|contrast|cohort|calibration|figures)\.json|initial\.safetensors)"
    r"|run/(fold_[0-9]{1,3}|full_data(_[2-9])?)/(adapter(_best)?|locator)\.(safetensors|json)"
)
# what prediction can do without: the records by which it judges masks
FIGURES = "figures.json"  # what the run reached where it was trained
OPTIONAL = ("contrast.json", "cohort.json", "calibration.json", FIGURES)
LEAST_SUBJECTS = 5  # below which no interval over subjects is told
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
    """The range of contrasts (inference/contrast.py) that is usual for the training scans, in standard deviations of a
    scan, or of what lies within around_mm of the structure: the only measure that whole heads and stripped brains
    share.
    """

    schema: int = SCHEMA
    fingerprint_hash: str
    low: float
    high: float
    around_mm: float | None = None


class Figure(Record, frozen=True, kw_only=True):
    """Means over subjects for one label, or for the mean foreground;
    None where undefined. dice_low, dice_high: 95 % interval.
    """

    label: str
    dice: float | None
    dice_low: float | None
    dice_high: float | None
    hd95_mm: float | None
    nsd_1mm: float | None


class OutOfFold(Record, frozen=True, kw_only=True):
    """What a run's networks reached on validation cases that they had not seen, in `folds` of the plan's `of` folds."""

    schema: int = SCHEMA
    folds: int
    of: int
    cases: int
    subjects: int
    figures: tuple[Figure, ...]

    @property
    def text(self) -> str:
        """One line for people: the last figure, which is that over all labels."""
        whole = self.figures[-1]
        interval = ""
        if self.subjects >= LEAST_SUBJECTS and whole.dice_low is not None and whole.dice_high is not None:
            interval = f" ({whole.dice_low:.4f} to {whole.dice_high:.4f})"
        dice, hd95, nsd = (
            f"{value:.{digits}f}" if value is not None else "-"
            for value, digits in ((whole.dice, 4), (whole.hd95_mm, 2), (whole.nsd_1mm, 4))
        )
        return (
            f"out of fold, {self.folds} of {self.of} folds, {counted(self.cases, 'case')} of"
            f" {counted(self.subjects, 'subject')}: {whole.label} Dice {dice}{interval}, HD95 {hd95} mm, NSD at 1 mm"
            f" {nsd}"
        )


def missing_and_stray(manifest: ModelManifest, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """(names that a model of this kind must have and lacks, names that do not belong to it)."""
    needed = {
        f"{RUN}plan.json",
        *(f"{RUN}{fold}/adapter.{ending}" for fold in manifest.folds for ending in ("json", "safetensors")),
    }
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
