"""Whether the structure is a small part of the scans, so that it
is to be located first; and what a locator should expect.
"""

import math
from collections.abc import Sequence

import numpy as np

from hippopt.artifacts.fingerprint import CaseFingerprint, Fingerprint
from hippopt.artifacts.plan import LocatorSettings
from hippopt.artifacts.regions import ANY, LEFT, MIDDLE, RIGHT
from hippopt.artifacts.triples import Voxels
from hippopt.imaging.arrays import Numbers

SMALL_SHARE = 4.0  # an image that holds fewer patches than this a structure is quickly seen as a whole
COARSEST_MM, LEAST_VOXELS = 4.0, 5  # a structure is to be this many coarse voxels long on its shortest axis
# than the training scans' volumes: other people's structures, and what a coarse image makes of them
SMALLER, LARGER = (
    3.5,
    2.5,
)
APART = (0.6, 1.6)  # of the training scans' distances between both sides


def plan_locator(
    fingerprint: Fingerprint, shapes: Sequence[Voxels], spacing: tuple[float, float, float], patch: Voxels
) -> tuple[LocatorSettings | None, str]:
    """(settings, or None for crops; the reason). shapes: of the prepared cases."""
    boxes = [found for case in fingerprint.cases if (found := _structures(case, fingerprint))]
    if not boxes:
        return None, "no labelled voxel to locate"
    sided = bool(fingerprint.sides)
    count = len({name for found in boxes for name in found}) if sided else _usual_count(fingerprint)
    held = float(np.median([math.prod(shape) for shape in shapes])) / (math.prod(patch) * count)
    if held < SMALL_SHARE:
        return None, f"the median image holds {held:.1f} patches a structure: crops around it, each seen as a whole"
    extents = np.median([size for found in boxes for _, size, _ in found.values()], 0)
    coarse = round(max(min(COARSEST_MM, float(extents.min()) / LEAST_VOXELS), max(spacing)), 2)
    volumes = [volume / (1 if sided else count) for found in boxes for _, _, volume in found.values()]
    offsets = [np.subtract(found[RIGHT][0], found[LEFT][0]) for found in boxes if LEFT in found and RIGHT in found]
    apart = [float(np.linalg.norm(offset)) for offset in offsets]
    middle = [float(value) for value in np.median(offsets, 0)] if offsets else None
    settings = LocatorSettings(
        spacing_mm=coarse,
        channels=(8, 16, 32, 32),
        steps=400,
        batch_size=2,
        learning_rate=1e-2,
        regions=count,
        margin_mm=4.0,
        volume_mm3=(round(min(volumes) / SMALLER, 1), round(max(volumes) * LARGER, 1)),
        apart_mm=(round(APART[0] * min(apart), 1), round(APART[1] * max(apart), 1)) if apart else None,
        offset_mm=(round(middle[0], 1), round(middle[1], 1), round(middle[2], 1)) if middle else None,
        jitter_mm=6.0,
        patches_elsewhere=0.2,
    )
    return (
        settings,
        (
            f"the median image holds {held:.0f} patches a structure, so a small U-Net looks at it at {coarse:g} mm"
            f" first, and the network at windows around what that finds ({count} per scan); where it is unsure, the"
            " network looks everywhere"
        ),
    )


def _structures(case: CaseFingerprint, fingerprint: Fingerprint) -> dict[str, tuple[Numbers, Numbers, float]]:
    """Region -> (centre in mm, size in mm, volume in mm3) in one case; regions are sides, or all labels together."""
    found = {}
    for name in (LEFT, RIGHT, MIDDLE) if fingerprint.sides else (ANY,):
        labels = [
            case.labels[label]
            for label in case.labels
            if not fingerprint.sides or fingerprint.sides.get(label, MIDDLE) == name
        ]
        boxes = [label.box for label in labels if label.box is not None]
        if boxes:
            start = np.min([box.start for box in boxes], 0) * np.array(case.ras_spacing_mm)
            stop = np.max([np.add(box.start, box.size) for box in boxes], 0) * np.array(case.ras_spacing_mm)
            found[name] = ((start + stop) / 2, stop - start, sum(label.volume_mm3 for label in labels))
    return found


def _usual_count(fingerprint: Fingerprint) -> int:
    """1 or 2: of how many parts a label without a side mostly consists."""
    parts = [max(label.components for label in case.labels.values()) for case in fingerprint.cases if case.labels]
    return 2 if np.median(parts) >= 2 else 1
