"""volumes.tsv: for each scan and label the volume and its
interval, the predicted Dice, the head's size, and what is odd.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from hippopt.artifacts.calibration import Calibration
from hippopt.artifacts.cohort import Cohort
from hippopt.artifacts.head_sizes import HeadSizes
from hippopt.artifacts.model_file import UsualContrast
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.triples import box_slices
from hippopt.files.scan import Scan
from hippopt.imaging.arrays import BinaryMask, LabelMask
from hippopt.imaging.head_size import head_size
from hippopt.imaging.mask_parts import bounding_box
from hippopt.inference.calibration import volume_interval
from hippopt.inference.cohort import Pairs, asymmetry_percent
from hippopt.inference.contrast import contrast, contrast_around
from hippopt.inference.flags import asymmetry_flags, label_flags, touches_edge


@dataclass(frozen=True)
class VolumeRow:
    """One label of one scan: a row of volumes.tsv, whose columns are these fields. None stands for what is not known.

    volume_low_mm3, volume_high_mm3: the interval that holds the true volume in 95 % of cases. fold_agreement: mean Dice
    of the folds' masks with the common one. components: 26-connected parts. asymmetry_percent: of the pair of left and
    right. head_size_of: "head", "brain" or "given". flags: what is odd, one remark each; the file's column `flag` joins
    them with semicolons.
    """

    scan: str
    label: str
    value: int
    side: str
    voxels: int
    volume_mm3: float
    volume_low_mm3: float | None
    volume_high_mm3: float | None
    predicted_dice: float | None
    fold_agreement: float | None
    components: int
    asymmetry_percent: float | None
    head_size_mm3: float | None
    head_size_of: str
    volume_per_head: float | None
    flags: tuple[str, ...] = ()


COLUMNS = (*(each.name for each in fields(VolumeRow) if each.name != "flags"), "flag")
SURE = ("volume_low_mm3", "volume_high_mm3", "predicted_dice", "fold_agreement")  # columns that no mask tells by itself


@dataclass(frozen=True)
class Standards:
    """What a mask is judged by. contrast: usual range; pairs: (left, right) labels. head_sizes: from outside. None
    where it is not known.

    seen: hashes of the scans that the networks, or the base they began from, were trained on.
    """

    contrast: UsualContrast | None = None
    cohort: Cohort | None = None
    calibration: Calibration | None = None
    pairs: Pairs = ()
    head_sizes: HeadSizes | None = None
    seen: frozenset[str] = frozenset()

    def head(self, name: str, scan: Scan) -> tuple[float | None, str]:
        """(mm³, what it is the size of): from outside where such
        sizes are given, which are never mixed with measured ones.
        """
        if self.head_sizes is not None:
            given = self.head_sizes.of(name)
            return given, "given" if given is not None else "-"
        found = head_size(scan.array, scan.grid)
        return found.volume_mm3, found.of


@dataclass(frozen=True)
class Sureness:
    """By label, as far as it is known. dice: predicted; agreement:
    mean Dice of the networks' own masks with the common one.
    """

    dice: Mapping[str, float] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)


def contrast_warning(name: str, mask: LabelMask, scan: Scan, usual: UsualContrast | None) -> str | None:
    """A line where a mask's voxels (Z, Y, X) are much brighter or darker in their scan than in any training scan."""
    if usual is None:
        return None
    if usual.around_mm is None:
        found, of = contrast(scan.array, mask != 0), "the scan's mean"
    else:
        found = contrast_around(scan.array, mask, scan.grid.spacing_mm, usual.around_mm)
        of = f"the mean of what lies within {usual.around_mm:g} mm"
    if found is None or usual.low <= found <= usual.high:
        return None
    return (
        f"{name}: the segmented voxels lie {found:+.2f} standard deviations from {of}, expected {usual.low:+.2f} to"
        f" {usual.high:+.2f} after the training scans; another modality or an inverted contrast? look at the mask"
    )


def volume_rows(
    name: str,
    mask: LabelMask,
    scan: Scan,
    plan: Plan,
    standards: Standards,
    sureness: Sureness,
    flags: Sequence[str] = (),
) -> list[VolumeRow]:
    """Describe each label of a mask (Z, Y, X). flags: of the whole scan, which stand first in every row.

    Two parts of a structure may be both sides, or an island.
    """
    head_mm3, head_of = standards.head(name, scan)
    volumes, notes = {}, {}
    rows: list[VolumeRow] = []
    for label, value in sorted(plan.labels.items(), key=lambda item: item[1]):
        if value == 0:
            continue
        voxels, parts, at_edge = _describe(mask == value)
        volume = voxels * scan.grid.voxel_volume_mm3
        dice = sureness.dice.get(label)
        if voxels == 0 and standards.calibration and label in standards.calibration.dice:
            dice = 0.0
        interval = volume_interval(standards.calibration, volume, dice) if standards.calibration else None
        volumes[label], notes[label] = volume, label_flags(label, volume, parts, at_edge, plan.sides, standards.cohort)
        rows.append(
            VolumeRow(
                scan=name,
                label=label,
                value=value,
                side=plan.sides.get(label, ""),
                voxels=voxels,
                volume_mm3=round(volume, 2),
                volume_low_mm3=_rounded(interval and interval[0], 2),
                volume_high_mm3=_rounded(interval and interval[1], 2),
                predicted_dice=_rounded(dice, 4),
                fold_agreement=_rounded(sureness.agreement.get(label), 4),
                components=parts,
                asymmetry_percent=None,
                head_size_mm3=head_mm3,
                head_size_of=head_of,
                volume_per_head=_rounded(volume / head_mm3 if head_mm3 else None, 7),
            )
        )
    asymmetries: dict[str, float | None] = {}
    for pair in standards.pairs:
        asymmetry = asymmetry_percent(volumes[pair[0]], volumes[pair[1]])
        for label in pair:
            asymmetries[label] = _rounded(asymmetry, 2)
            notes[label] += asymmetry_flags(pair, asymmetry, standards.cohort)
    return [
        replace(row, asymmetry_percent=asymmetries.get(row.label), flags=(*flags, *notes[row.label])) for row in rows
    ]


def _describe(inside: BinaryMask) -> tuple[int, int, bool]:
    """(voxels, parts, whether it touches the edge of the scan), looked at within its bounding box."""
    from scipy import ndimage

    found = bounding_box(inside)
    if found is None:
        return 0, 0, False
    part = inside[box_slices(*found)]
    return int(np.count_nonzero(part)), int(ndimage.label(part, np.ones((3, 3, 3)))[1]), touches_edge(inside)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
