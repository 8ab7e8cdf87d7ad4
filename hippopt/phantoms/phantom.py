"""Synthetic T1-like crops around a hippocampus-like structure, for the demo and the tests.

A phantom is a continuous description in millimetres: all randomness is drawn into it first. Rendering then samples it
on any grid, so one phantom seen at two spacings or in two orientations is the same object, not an interpolation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hippopt.artifacts.triples import Millimetres
from hippopt.phantoms.anatomy import (
    Anatomy,
    FloatArray,
    Pose,
    Surroundings,
    Tissues,
    Tube,
    Wave,
    Waves,
    paint,
    sample_waves,
)

CROP_CENTRE_MM: Millimetres = (-26.0, -20.0, -15.0)  # about where a left hippocampus lies, RAS+ mm
EDGE_VOXELS = 1.2  # width of a border's ramp: one voxel of partial volume and a little of the scanner's own blur
DIRECTIONS = ("LR", "PA", "IS")  # per RAS axis: the letters of its low and high end


@dataclass(frozen=True)
class Scanner:
    """image = gain * (|tissue * exp(bias) + complex noise| + offset); noise_sigma and offset relative to
    white matter.
    """

    gain: float
    offset: float
    noise_sigma: float
    bias: Waves


@dataclass(frozen=True)
class Phantom:
    """One side of one synthetic subject and its scan; everything but the grid.

    centre_mm: where the middle of the crop lies, in RAS+ mm, for the side that is not mirrored (a left one).
    field_of_view_mm: extent along (x, y, z). mirrored: the other side, x -> -x in the world.
    """

    noise_seed: int
    mirrored: bool
    centre_mm: Millimetres
    field_of_view_mm: Millimetres
    anatomy: Anatomy
    scanner: Scanner


def draw_phantom(rng: np.random.Generator, *, mirrored: bool = False) -> Phantom:
    """Draw all parameters. The same state of `rng` gives the same subject, `mirrored` its exact mirror image."""
    return Phantom(
        noise_seed=int(rng.integers(2**63)),
        mirrored=mirrored,
        centre_mm=_around(rng, CROP_CENTRE_MM, 4),
        field_of_view_mm=(_near(rng, 41, 3), _near(rng, 58, 3), _near(rng, 44.5, 2.5)),
        anatomy=draw_anatomy(rng),
        scanner=draw_scanner(rng),
    )


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """What is in the crop around one structure."""
    return Anatomy(_draw_pose(rng), _draw_tube(rng), _draw_surroundings(rng), _draw_tissues(rng))


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """A scanner of its own gain, offset, noise and bias field."""
    return Scanner(
        gain=float(np.exp(rng.uniform(np.log(100), np.log(60_000)))),
        offset=_near(rng, 0.08, 0.08),
        noise_sigma=_near(rng, 0.045, 0.02),
        bias=_waves(rng, 3, (60, 120), 0.2),
    )


def _draw_pose(rng: np.random.Generator) -> Pose:
    return Pose(
        rotation_rad=_around(rng, (0, 0, 0), float(np.deg2rad(15))),
        shift_mm=(_near(rng, 0, 4), _near(rng, 0, 3), _near(rng, 0, 4)),
        scale=_near(rng, 1, 0.15),
        warp=(_waves(rng, 4, (24, 45), 1.0), _waves(rng, 4, (24, 45), 1.0), _waves(rng, 4, (24, 45), 1.0)),
    )


def _draw_tube(rng: np.random.Generator) -> Tube:
    return Tube(
        length_mm=_near(rng, 30.5, 2),
        rise_mm=_near(rng, 12, 2),
        bend_mm=_near(rng, 5, 2),
        curve=_near(rng, 0.5, 0.2),
        head_radius_mm=_near(rng, 6.2, 0.4),
        tail_radius_mm=_near(rng, 3.6, 0.4),
        uncus_radius_mm=_near(rng, 4.2, 0.6),
        flatness=_near(rng, 1.18, 0.06),
        split=0.3,  # fixed: a network can learn where the head ends from its shape alone
    )


def _draw_surroundings(rng: np.random.Generator) -> Surroundings:
    return Surroundings(
        amygdala_offset_mm=_around(rng, (2, 7, 7.5), 1),
        amygdala_radii_mm=_around(rng, (8, 7.5, 6.5), 1),
        gyrus_depth_mm=_near(rng, 8.5, 1.2),
        cortex_thickness_mm=_near(rng, 3.5, 0.7),
        sulcus_width_mm=_near(rng, 1.6, 0.6),
        folds=_waves(rng, 6, (13, 28), 2.2),
        horn_radius_mm=_near(rng, 1.7, 0.8),
        atrium_radius_mm=_near(rng, 4.0, 1.5),
        cistern_x_mm=_near(rng, 13.5, 1.5),
        thalamus_centre_mm=_around(rng, (11, -5, 17), 2),
        thalamus_radii_mm=_around(rng, (10, 14, 10), 1.5),
        blob_centre_mm=(_near(rng, -13, 2), _near(rng, 0, 10), _near(rng, 1, 6)),
        blob_radii_mm=_around(rng, (5, 10, 6), 1.5),
    )


def _draw_tissues(rng: np.random.Generator) -> Tissues:
    return Tissues(
        hippocampus=_near(rng, 0.76, 0.05),
        amygdala=_near(rng, 0.75, 0.05),
        cortex=_near(rng, 0.70, 0.06),
        blob=_near(rng, 0.73, 0.06),
        thalamus=_near(rng, 0.86, 0.05),
        fluid=_near(rng, 0.28, 0.10),
        texture=_waves(rng, 10, (4, 9), 0.035),
    )


def _near(rng: np.random.Generator, middle: float, spread: float) -> float:
    return float(rng.uniform(middle - spread, middle + spread))


def _around(rng: np.random.Generator, middle: Millimetres, spread: float) -> Millimetres:
    return (_near(rng, middle[0], spread), _near(rng, middle[1], spread), _near(rng, middle[2], spread))


def _waves(rng: np.random.Generator, count: int, wavelength_mm: tuple[float, float], amplitude: float) -> Waves:
    """`count` waves of random direction, phase and strength (up to `amplitude` each)."""
    drawn = []
    for _ in range(count):
        direction = rng.normal(size=3)
        x, y, z = direction / np.linalg.norm(direction) * 2 * np.pi / rng.uniform(*wavelength_mm)
        phase, strength = rng.uniform(0, 2 * np.pi), rng.uniform(-amplitude, amplitude)
        drawn.append(Wave((float(x), float(y), float(z)), float(phase), float(strength)))
    return tuple(drawn)


def render(
    phantom: Phantom,
    spacing_mm: Millimetres = (1.0, 1.0, 1.0),
    orientation: str = "RAS",
    field_of_view_mm: Millimetres | None = None,
) -> tuple[FloatArray, NDArray[np.uint8], NDArray[np.float64]]:
    """Sample the phantom on a grid about the middle of its crop.

    spacing_mm, field_of_view_mm: along left-right, posterior-anterior, inferior-superior, whatever the orientation.
    orientation: where the returned arrays' axes [i, j, k] point, such as "RAS" or "PIR". Returns the image [i, j, k]
    float32, the label [i, j, k] uint8 and the affine (i, j, k, 1) -> RAS+ mm, as nibabel has them. Noise is drawn in
    the phantom's own frame: an orientation reorders voxels, a mirrored twin flips them, both exactly.
    """
    field = phantom.field_of_view_mm if field_of_view_mm is None else field_of_view_mm
    shape = [max(1, round(extent / step)) for extent, step in zip(field, spacing_mm, strict=True)]
    axes = [(np.arange(count) - (count - 1) / 2) * step for count, step in zip(shape, spacing_mm, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    order, from_index = axis_order(orientation, shape)

    mean_spacing_mm = float(np.prod(spacing_mm)) ** (1 / 3)
    tissue, label = paint(phantom.anatomy, points, EDGE_VOXELS * mean_spacing_mm)
    image = acquire(phantom.scanner, phantom.noise_seed, points, tissue)

    centre = np.array(phantom.centre_mm)
    if phantom.mirrored:  # the grid is symmetric about its middle, so x -> -x is a flip of the first axis
        image, label, centre = image[::-1], label[::-1], centre * (-1, 1, 1)
    to_world = np.diag([*spacing_mm, 1.0])
    to_world[:3, 3] = centre + [axis[0] for axis in axes]
    flips = tuple(column for column, (_, backwards) in enumerate(order) if backwards)
    axes_order = [world for world, _ in order]
    turned_image = np.ascontiguousarray(np.flip(image.transpose(axes_order), flips))
    turned_label = np.ascontiguousarray(np.flip(label.transpose(axes_order), flips))
    return turned_image, turned_label, to_world @ from_index


def axis_order(orientation: str, shape: list[int]) -> tuple[list[tuple[int, bool]], NDArray[np.float64]]:
    """For each file axis its RAS axis and whether it runs backwards; and the matrix from file index to RAS index."""
    order = [
        (world, ends.index(letter) == 0)
        for letter in orientation
        for world, ends in enumerate(DIRECTIONS)
        if letter in ends
    ]
    if len(orientation) != 3 or sorted(world for world, _ in order) != [0, 1, 2]:
        raise ValueError(f"orientation {orientation!r}: expected one letter each of L/R, P/A and I/S, such as 'RAS'")
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for column, (world, backwards) in enumerate(order):
        matrix[world, column] = -1 if backwards else 1
        matrix[world, 3] = shape[world] - 1 if backwards else 0
    return order, matrix


def acquire(scanner: Scanner, noise_seed: int, points: FloatArray, tissue: FloatArray) -> FloatArray:
    """What the scanner makes of the tissue: bias, Rician noise (the magnitude of a complex signal), gain and offset."""
    rng = np.random.default_rng(noise_seed)
    real, imaginary = scanner.noise_sigma * rng.standard_normal((2, *tissue.shape), dtype=np.float32)
    magnitude = np.hypot(tissue * np.exp(sample_waves(scanner.bias, points)) + real, imaginary)
    image: FloatArray = (scanner.gain * (magnitude + scanner.offset)).astype(np.float32)
    return image
