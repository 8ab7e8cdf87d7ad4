"""Synthetic skull-stripped whole brains with a hippocampus-like structure in each half, for the demo of locating and
the tests.

Each half holds the anatomy of a phantom crop (phantom.py) of its own, that of the right half mirrored, in a brain of
cortex, white matter, ventricles and a brain stem with cerebellum below and behind, so that no axis is symmetric but the
left-right one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hippopt.artifacts.triples import Millimetres
from hippopt.phantoms.anatomy import Anatomy, FloatArray, Waves, paint, sample_waves
from hippopt.phantoms.phantom import EDGE_VOXELS, Scanner, acquire, axis_order, draw_anatomy, draw_scanner

LEFT_VALUE, RIGHT_VALUE = 1, 2
PLACE_MM: Millimetres = (
    -26.0,
    -8.0,
    -12.0,
)  # of the left structure, from the middle of the brain; the right one's x is the opposite
FIELD_MM: Millimetres = (19.0, 27.0, 20.0)  # half of the box that a structure's own anatomy fills
FADE_MM = 3.0
MARGIN_MM = 4.0  # of zeros around the brain


@dataclass(frozen=True)
class Head:
    """One subject. radii_mm: of the brain along x, y, z; left,
    right: the anatomy of each half, both drawn as left ones.
    """

    noise_seed: int
    radii_mm: Millimetres
    left: Anatomy
    right: Anatomy
    scanner: Scanner
    folds: Waves


def draw_head(rng: np.random.Generator) -> Head:
    """Draw all parameters. The same state of `rng` gives the same subject."""
    left, right = draw_anatomy(rng), draw_anatomy(rng)
    radii = (float(rng.uniform(60, 66)), float(rng.uniform(74, 84)), float(rng.uniform(52, 60)))
    # one brain: both halves have the tissues of the left one
    right = Anatomy(right.pose, right.tube, right.surroundings, left.tissues)
    return Head(int(rng.integers(2**63)), radii, left, right, draw_scanner(rng), left.surroundings.folds)


def render_head(
    head: Head, spacing_mm: Millimetres = (2.0, 2.0, 2.0), orientation: str = "RAS"
) -> tuple[FloatArray, NDArray[np.uint8], NDArray[np.float64]]:
    """Image [i, j, k] float32, zero outside the brain; label [i, j, k] uint8 (1 left, 2 right); affine to RAS+ mm.

    spacing_mm: along left-right, posterior-anterior, inferior-superior, whatever the orientation. An orientation
    reorders voxels exactly.
    """
    shape = [
        max(1, round(2 * (radius + MARGIN_MM) / step)) for radius, step in zip(head.radii_mm, spacing_mm, strict=True)
    ]
    axes = [(np.arange(count) - (count - 1) / 2) * step for count, step in zip(shape, spacing_mm, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    order, from_index = axis_order(orientation, shape)
    edge_mm = EDGE_VOXELS * float(np.prod(spacing_mm)) ** (1 / 3)
    tissue, brain = _brain(head, points)
    label = np.zeros(points.shape[1:], np.uint8)
    for value, anatomy, sign in ((LEFT_VALUE, head.left, 1.0), (RIGHT_VALUE, head.right, -1.0)):
        local = (
            points * np.array((sign, 1, 1), np.float32)[:, None, None, None]
            - np.array(PLACE_MM, np.float32)[:, None, None, None]
        )
        inside = np.min([half - np.abs(line) for half, line in zip(FIELD_MM, local, strict=True)], 0)
        box = tuple(slice(line.min(), line.max() + 1) for line in np.nonzero(inside > -FADE_MM))
        own, structure = paint(anatomy, local[(slice(None), *box)], edge_mm)
        share = np.clip(1 + inside[box] / FADE_MM, 0, 1)
        tissue[box] += share * (own - tissue[box])
        label[box][structure > 0] = value
    image = acquire(head.scanner, head.noise_seed, points, tissue)
    image[~brain], label[~brain] = 0, 0
    to_world = np.diag([*spacing_mm, 1.0])
    to_world[:3, 3] = [axis[0] for axis in axes]
    flips = tuple(column for column, (_, backwards) in enumerate(order) if backwards)
    axes_order = [world for world, _ in order]
    turned_image = np.ascontiguousarray(np.flip(image.transpose(axes_order), flips))
    turned_label = np.ascontiguousarray(np.flip(label.transpose(axes_order), flips))
    return turned_image, turned_label, to_world @ from_index


def _brain(head: Head, points: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(tissue, where the brain is): white matter in a folded cortex,
    ventricles in the middle, cerebellum and stem below and behind.
    """
    x, y, z = points
    rx, ry, rz = head.radii_mm
    tissues = head.left.tissues
    norm = np.sqrt((x / rx) ** 2 + (y / ry) ** 2 + (z / rz) ** 2)
    depth = (1 - norm) * min(head.radii_mm)
    tissue = 1 + sample_waves(tissues.texture, points)
    folded = depth + 2 * sample_waves(head.folds, points)
    tissue = np.where(folded < 6, tissues.cortex, tissue)
    fissure = (np.abs(x) < 2) & (z > -0.1 * rz)
    ventricle = ((np.abs(x) - 8) / 6) ** 2 + ((y + 5) / 30) ** 2 + ((z - 8) / 7) ** 2 < 1
    tissue = np.where((fissure & (depth > 0)) | ventricle, tissues.fluid, tissue)
    cerebellum = (x / 42) ** 2 + ((y + 0.55 * ry) / 28) ** 2 + ((z + 0.75 * rz) / 22) ** 2 < 1
    stem = (x / 11) ** 2 + ((y + 18) / 11) ** 2 < 1
    tissue = np.where(cerebellum, 0.85, tissue)
    tissue = np.where(stem & (z < -10), 0.95, tissue)
    # the temporal and frontal lobes do not reach down in the middle
    brain = (
        ((norm < 1) & ~((z < -0.55 * rz) & (np.abs(x) < 12) & (y > 5)))
        | (cerebellum & (norm < 1.15))
        | (stem & (z < -10) & (norm < 1.05))
    )
    return tissue.astype(np.float32), brain
