"""Target spacing, crop, normalisation region, patch and batch size. Triples are (Z, Y, X) on RAS axes."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from hippopt.artifacts.fingerprint import CaseFingerprint, Fingerprint
from hippopt.artifacts.plan import CENTRE_REACH
from hippopt.artifacts.triples import Spacing, Voxels
from hippopt.imaging.arrays import Numbers

MARGIN_MM = 8.0  # context on each side of the structure: half a token of 16 mm
NONZERO_SHARE = 0.75  # nnU-Net's: a crop to the non-zero box that removes more than a quarter is worth it
BATCH_SHARE = 0.05  # nnU-Net's: a batch holds at most 5 % of all voxels
CPU_BATCH = 2
MIDDLE_SHARE = 0.9  # of the cases, whose structure lies in the middle
MOST_OF_STRUCTURE = 0.85  # of the structure's length, which a patch inside the image must hold


def target_spacing(fingerprint: Fingerprint) -> tuple[Spacing, str]:
    """nnU-Net's rule: the median along each axis; for a strongly anisotropic axis its 10th percentile."""
    spacings = np.array([case.ras_spacing_mm for case in fingerprint.cases])
    shapes = np.array([case.ras_shape for case in fingerprint.cases])
    median, shape = np.median(spacings, 0), np.median(shapes, 0)
    worst = int(np.argmax(median))
    others = [axis for axis in range(3) if axis != worst]
    reason = "median of the cases along each axis"
    if median[worst] > 3 * median[others].max() and shape[worst] * 3 < shape[others].min():
        median[worst] = max(np.percentile(spacings[:, worst], 10), median[others].max())
        reason += f"; axis {'zyx'[worst]} is over 3 times coarser with 3 times fewer voxels, so its 10th percentile"
    z, y, x = (round(float(value), 4) for value in median)
    return (z, y, x), reason


def crop_rule(fingerprint: Fingerprint) -> tuple[Literal["none", "nonzero"], Literal["image", "nonzero"], str, str]:
    """(crop, normalisation region, reason for the crop, reason for the region)."""
    shares = [math.prod(case.nonzero_box.size) / math.prod(case.ras_shape) for case in fingerprint.cases]
    filled = float(np.median([case.nonzero_fraction for case in fingerprint.cases]))
    kept = float(np.median(shares))
    crop: Literal["none", "nonzero"] = "nonzero" if kept < 0.999 else "none"
    region: Literal["image", "nonzero"] = "nonzero" if filled < NONZERO_SHARE else "image"
    crop_reason = f"the box of non-zero voxels holds {kept:.0%} of the median image" + (
        "" if crop == "nonzero" else "; nothing to cut"
    )
    region_reason = (
        f"only {filled:.0%} of the median image is non-zero (skull-stripped or padded), so zeros would set the mean"
        if region == "nonzero"
        else f"{filled:.0%} of the median image is non-zero, so the whole image is tissue"
    )
    return crop, region, crop_reason, region_reason


def prepared_shape(case: CaseFingerprint, spacing: Spacing, crop: str) -> Voxels:
    """Shape of a case after crop and resampling."""
    size = case.nonzero_box.size if crop == "nonzero" else case.ras_shape
    z, y, x = (max(1, round(n * s / t)) for n, s, t in zip(size, case.ras_spacing_mm, spacing, strict=True))
    return (z, y, x)


def structure_extents(fingerprint: Fingerprint) -> Numbers:
    """(N, 3) mm: the box of each structure in each case.

    Labels of one side make one structure; those without a side another.
    """
    rows = []
    for case in fingerprint.cases:
        for side in sorted({fingerprint.sides.get(label, "") for label in case.labels}):
            boxes = [case.labels[label].box for label in case.labels if fingerprint.sides.get(label, "") == side]
            found = [box for box in boxes if box is not None]
            if found:
                start = np.min([box.start for box in found], 0)
                stop = np.max([np.add(box.start, box.size) for box in found], 0)
                rows.append((stop - start) * np.array(case.ras_spacing_mm))
    return np.array(rows).reshape(-1, 3)


def _ceil_token(voxels: float, token: int) -> int:
    return max(token, math.ceil(round(voxels, 3) / token) * token)


def _side(needed: float, structure: float, median: float, largest: float, token: int) -> int:
    """One axis of the patch, in voxels."""
    padded = _ceil_token(min(needed, largest), token)
    inside = int(median) // token * token
    return min(padded, inside) if inside >= max(MOST_OF_STRUCTURE * structure, 2 * token) else padded


class NothingFitsError(Exception):
    """No patch at all fits the memory."""


def patch_size(
    fingerprint: Fingerprint, spacing: Spacing, crop: str, fits: Callable[[Voxels], bool], token: int = 16
) -> tuple[Voxels, str]:
    """Smallest multiples of `token` voxels that cover the structure with its margin, or less where an image ends
    before.

    An axis of small images is not padded to the next multiple, as long as the one below holds most of the structure: a
    patch that is half empty costs as much as a full one, and smaller ones were better in the same time
    (docs/experiments.md).

    `fits(patch)` says whether two samples of it fit the memory; the axis longest relative to the structure shrinks
    first. Raises NothingFitsError when even one token does not fit.
    """
    extents = structure_extents(fingerprint)
    shapes = np.array([prepared_shape(case, spacing, crop) for case in fingerprint.cases])
    # the 95th percentile: one outlying label should not enlarge every patch
    structure = np.percentile(extents, 95, axis=0) / spacing if len(extents) else np.median(shapes, 0) / 2
    needed = structure + 2 * MARGIN_MM / np.array(spacing)
    median = np.median(shapes, 0)
    patch = [_side(*sizes, token) for sizes in zip(needed, structure, median, shapes.max(0), strict=True)]
    wanted = tuple(patch)
    while not fits((patch[0], patch[1], patch[2])):
        shrinkable = [axis for axis in range(3) if patch[axis] > token]
        if not shrinkable:
            raise NothingFitsError(f"not even a patch of {token} x {token} x {token} fits the memory")
        longest = max(shrinkable, key=lambda axis: patch[axis] / max(structure[axis], 1))
        patch[longest] -= token
    extent = " x ".join(f"{value:.0f}" for value in structure * spacing)
    reason = (
        f"multiples of {token} that cover the structure ({extent} mm in 95 % of the cases) with {MARGIN_MM:.0f} mm"
        " around it"
    )
    if wanted != tuple(patch):
        reason += f"; {' x '.join(map(str, wanted))} was shrunk to fit the memory"
    elif any(side < want for want, side in zip(needed, patch, strict=True)):
        reason += (
            ", less where the images end before: a padded patch costs as much as a full one, and buys less"
            " (docs/experiments.md)"
        )
    return (patch[0], patch[1], patch[2]), reason


def centre_window(
    fingerprint: Fingerprint, spacing: Spacing, crop: str, patch: Voxels, part_borders: bool
) -> tuple[bool, str]:
    """Whether a window in the middle of a scan is enough: the scans are crops somewhat larger than the patch, with the
    structure in their middle, and the borders between its parts are found otherwise.
    """
    cases = [case for case in fingerprint.cases if case.foreground_box is not None]
    held = [_held(case, spacing, crop, patch) for case in cases]
    patches = [
        max(size / limit for size, limit in zip(prepared_shape(case, spacing, crop), patch, strict=True))
        for case in cases
    ]
    near = sum(count <= CENTRE_REACH for count in patches)
    if not part_borders or not cases or max(patches) <= 1 or near < MIDDLE_SHARE * len(cases):
        return (
            False,
            (
                f"only where scans are crops somewhat larger than the patch (at most {CENTRE_REACH:g} times) and the"
                " borders between parts are found by cross-sections, for which alone it was measured"
                " (docs/experiments.md)"
            ),
        )
    share = sum(held) / len(held)
    found = f"the patch in the middle of the image holds the whole structure in {share:.0%} of the cases"
    if share < MIDDLE_SHARE:
        return False, f"{found}, too few to look there alone"
    return (
        True,
        (
            f"{found}: for three networks or more one window there is as good as four or eight at half steps, with"
            " borders by cross-sections (docs/experiments.md); where what is found reaches its faces, they all look"
        ),
    )


def _held(case: CaseFingerprint, spacing: Spacing, crop: str, patch: Voxels) -> bool:
    """Whether the patch, in the middle of the prepared image, holds all labelled voxels of a case."""
    assert case.foreground_box is not None
    step, box = np.array(case.ras_spacing_mm), case.foreground_box
    first, size = (case.nonzero_box.start, case.nonzero_box.size) if crop == "nonzero" else ((0, 0, 0), case.ras_shape)
    middle, half = np.array(size) * step / 2, np.array(patch) * spacing / 2
    start = np.subtract(box.start, first) * step
    return bool(np.all(start >= middle - half) and np.all(start + np.array(box.size) * step <= middle + half))


def batch_size(
    shapes: Sequence[Voxels], patch: Voxels, on_cpu: bool, needed_bytes: Callable[[int], int], budget_bytes: float
) -> tuple[int, str]:
    """As many samples as fit the memory, at most 5 % of all voxels, at least 2 where they fit; 2 on a CPU."""
    voxels = sum(math.prod(shape) for shape in shapes)
    most = max(2, int(BATCH_SHARE * voxels / math.prod(patch)))
    size = 1
    while size < most and needed_bytes(size + 1) <= budget_bytes:
        size += 1
    estimate = f"a step is estimated at {needed_bytes(size) / 1e9:.1f} of {budget_bytes / 1e9:.1f} GB"
    if on_cpu and size > CPU_BATCH:
        return (
            CPU_BATCH,
            f"on a CPU time grows with the batch, so many small steps; {needed_bytes(CPU_BATCH) / 1e9:.1f} GB",
        )
    return size, f"{estimate}; at most 5 % of all voxels ({most}), at least 2 where the memory allows"
