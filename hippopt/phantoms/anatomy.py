"""The continuous anatomy of a phantom, in millimetres, and how it is painted at given points.

Frame: RAS axes, origin in the middle of the crop, a left side (medial is +x). Point arrays are (3, i, j, k) float32 mm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hippopt.artifacts.triples import Millimetres
from hippopt.imaging.rotations import rotation

FloatArray = NDArray[np.float32]

ANTERIOR, POSTERIOR = 1, 2
TEXTURE_IN_FLUID = 0.3  # fluid is smoother than tissue


@dataclass(frozen=True)
class Wave:
    """amplitude * sin(vector . point + phase); vector in radians per mm. A few of them make a smooth random field."""

    vector: Millimetres
    phase: float
    amplitude: float


Waves = tuple[Wave, ...]


@dataclass(frozen=True)
class Pose:
    """Where the anatomy lies in the crop: turned (radians about x, y, z), moved, scaled, then warped (mm per axis)."""

    rotation_rad: Millimetres
    shift_mm: Millimetres
    scale: float
    warp: tuple[Waves, Waves, Waves]


@dataclass(frozen=True)
class Tube:
    """The structure: a tapering tube on a parabolic centre line from head (t = 0, anterior) to tail (t = 1).

    rise_mm, bend_mm: how far the tail ends above and medial of the head; curve: 0 is a straight line, 1 leaves the head
    level. flatness: the cross-section is this factor wider and lower than round. uncus_radius_mm: the knob medial of
    the head. split: anterior where t < split.
    """

    length_mm: float
    rise_mm: float
    bend_mm: float
    curve: float
    head_radius_mm: float
    tail_radius_mm: float
    uncus_radius_mm: float
    flatness: float
    split: float


@dataclass(frozen=True)
class Surroundings:
    """The neighbours. The amygdala's offset is from the centre of the head, the other centres are from the origin."""

    amygdala_offset_mm: Millimetres
    amygdala_radii_mm: Millimetres
    gyrus_depth_mm: float
    cortex_thickness_mm: float
    sulcus_width_mm: float
    folds: Waves
    horn_radius_mm: float
    atrium_radius_mm: float
    cistern_x_mm: float
    thalamus_centre_mm: Millimetres
    thalamus_radii_mm: Millimetres
    blob_centre_mm: Millimetres
    blob_radii_mm: Millimetres


@dataclass(frozen=True)
class Tissues:
    """Intensities relative to white matter = 1; texture is a fine field added to the solid tissues."""

    hippocampus: float
    amygdala: float
    cortex: float
    blob: float
    thalamus: float
    fluid: float
    texture: Waves


@dataclass(frozen=True)
class Anatomy:
    """All that is in the crop, before a scanner sees it."""

    pose: Pose
    tube: Tube
    surroundings: Surroundings
    tissues: Tissues


def sample_waves(waves: Waves, points: FloatArray) -> FloatArray:
    """points: (3, i, j, k) mm -> the sum of the waves, [i, j, k]."""
    total = np.zeros(points.shape[1:], np.float32)
    for wave in waves:
        a, b, c = (np.float32(value) for value in wave.vector)
        angle = a * points[0] + b * points[1] + c * points[2] + np.float32(wave.phase)
        total += np.float32(wave.amplitude) * np.sin(angle)
    return total


def paint(anatomy: Anatomy, points: FloatArray, edge_mm: float) -> tuple[FloatArray, NDArray[np.uint8]]:
    """points: (3, i, j, k) mm -> intensities (white matter = 1) float32 and labels uint8, both [i, j, k].

    Each neighbour is a signed distance in mm, negative inside. Its edge is a ramp of width `edge_mm`: the partial
    volume of a plane that crosses a voxel. The label is where the structure's distance is negative, that is, its share
    is over one half; the structure is painted last, so image and label have the same border.
    """
    tube, around, tissues = anatomy.tube, anatomy.surroundings, anatomy.tissues
    here = _into_anatomy(anatomy.pose, points)
    x, y, z = here
    texture = sample_waves(tissues.texture, here)
    image = np.ones_like(texture) + texture

    def cover(distance_mm: FloatArray, intensity: float, grain: float = 1.0) -> None:
        share = np.clip(0.5 - distance_mm / np.float32(edge_mm), 0, 1)
        image[...] += share * (np.float32(intensity) + np.float32(grain) * texture - image)

    along = 0.5 - y / np.float32(tube.length_mm)  # the centre line's parameter at this y, below 0 and over 1 beyond it
    line_x, _, line_z = _centre_line(tube, np.clip(along, -0.4, 1.4))
    structure, t = _tube_distance(tube, here)

    # below: a folded ribbon of cortex, a sulcus, the next gyrus' cortex. Medially it climbs until it joins the
    # structure.
    climb = 7 / (1 + np.exp((line_x + 5 - x) / 1.5))
    folds = sample_waves(around.folds, here)
    depth = line_z - around.gyrus_depth_mm + climb + folds - z
    from_sulcus = np.abs(depth - around.cortex_thickness_mm) - around.sulcus_width_mm / 2
    cover(from_sulcus - around.cortex_thickness_mm, tissues.cortex)
    cover(from_sulcus, tissues.fluid, TEXTURE_IN_FLUID)

    cover(_ellipsoid_distance(here, around.thalamus_centre_mm, around.thalamus_radii_mm), tissues.thalamus)
    cover(_ellipsoid_distance(here, around.blob_centre_mm, around.blob_radii_mm), tissues.blob)

    # medial: a sheet of fluid between the structure and the brain stem, open at the top
    cistern = np.maximum(np.abs(x - line_x - around.cistern_x_mm - depth / 6 - folds / 2) - 1.5, z - line_z - 5)
    cover(cistern, tissues.fluid, TEXTURE_IN_FLUID)

    amygdala = _sum(_point_on_line(tube, 0.0), around.amygdala_offset_mm)
    cover(_ellipsoid_distance(here, amygdala, around.amygdala_radii_mm), tissues.amygdala)

    # lateral and above: the ventricle's horn, which begins beside the head and widens into the atrium behind the tail
    widening = np.clip((along - 0.6) / 0.6, 0, 1)
    radius = around.horn_radius_mm + (around.atrium_radius_mm - around.horn_radius_mm) * widening
    near = _radius(tube, along)
    across = np.hypot(x - line_x + 0.8 * near + 0.3 * radius, z - line_z - 0.6 * near - 0.3 * radius)
    cover(np.maximum(across - radius, -0.1 * tube.length_mm - along * tube.length_mm), tissues.fluid, TEXTURE_IN_FLUID)

    cover(structure, tissues.hippocampus)
    label = np.where(t < tube.split, ANTERIOR, POSTERIOR) * (structure < 0)
    return image, label.astype(np.uint8)


def _into_anatomy(pose: Pose, points: FloatArray) -> FloatArray:
    """Points of the crop -> the same points in the anatomy's unposed frame, where the tube runs along -y."""
    about_x, about_y, about_z = pose.rotation_rad
    inverse = rotation((about_z, about_y, about_x), ((0, 1), (2, 0), (1, 2))).T / pose.scale
    moved = points - np.asarray(pose.shift_mm, np.float32)[:, None, None, None]
    straight = np.tensordot(inverse.astype(np.float32), moved, axes=1)
    return straight + np.stack([sample_waves(waves, straight) for waves in pose.warp])


def _centre_line(tube: Tube, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The tube's middle at t, in mm: from (-bend/2, length/2, -rise/2) to (bend/2, -length/2, rise/2)."""
    progress = (1 - tube.curve) * t + tube.curve * t * t - 0.5
    x, y, z = tube.bend_mm * progress, tube.length_mm * (0.5 - t), tube.rise_mm * progress
    return x.astype(np.float32), y.astype(np.float32), z.astype(np.float32)


def _point_on_line(tube: Tube, t: float) -> Millimetres:
    x, y, z = _centre_line(tube, np.asarray(t, np.float32))
    return (float(x), float(y), float(z))


def _radius(tube: Tube, t: FloatArray) -> FloatArray:
    """Thick through the head, then tapering smoothly to the tail."""
    share = np.clip((t - 0.1) / 0.6, 0, 1)
    return tube.head_radius_mm + (tube.tail_radius_mm - tube.head_radius_mm) * share * share * (3 - 2 * share)


def _tube_distance(tube: Tube, here: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Signed distance to the tube with its uncus, and the parameter t in [0, 1] of the nearest point of the line.

    The nearest t minimises |here - line(t)|^2. Gauss-Newton steps t += (here - line) . line' / |line'|^2 converge
    because the line bends little over its length.
    """
    x, y, z = here
    t = np.clip(0.5 - y / np.float32(tube.length_mm), 0, 1)
    for _ in range(3):
        line_x, line_y, line_z = _centre_line(tube, t)
        pace = (1 - tube.curve) + 2 * tube.curve * t
        speed_x, speed_y, speed_z = tube.bend_mm * pace, -tube.length_mm, tube.rise_mm * pace
        step = (x - line_x) * speed_x + (y - line_y) * speed_y + (z - line_z) * speed_z
        t = np.clip(t + step / (speed_x**2 + speed_y**2 + speed_z**2), 0, 1)
    line_x, line_y, line_z = _centre_line(tube, t)
    flat = np.sqrt(((x - line_x) / tube.flatness) ** 2 + (y - line_y) ** 2 + ((z - line_z) * tube.flatness) ** 2)
    distance = flat - _radius(tube, t)
    knob = _sum(_point_on_line(tube, 0.05), (tube.head_radius_mm, 1.0, 0.5))
    radii = (tube.uncus_radius_mm, tube.uncus_radius_mm, 0.8 * tube.uncus_radius_mm)
    return np.minimum(distance, _ellipsoid_distance(here, knob, radii)), t


def _ellipsoid_distance(here: FloatArray, centre_mm: Millimetres, radii_mm: Millimetres) -> FloatArray:
    """Signed distance, exact for a sphere and to first order at the surface of an ellipsoid: f / |grad f|."""
    scaled = [(here[axis] - centre_mm[axis]) / radii_mm[axis] for axis in range(3)]
    norm = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    slope = np.sqrt(sum((part / radius) ** 2 for part, radius in zip(scaled, radii_mm, strict=True)))
    distance: FloatArray = norm * (norm - 1) / np.maximum(slope, 1e-6)
    return distance


def _sum(first: Millimetres, second: Millimetres) -> Millimetres:
    return (first[0] + second[0], first[1] + second[1], first[2] + second[2])
