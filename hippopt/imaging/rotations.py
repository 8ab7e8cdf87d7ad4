"""Rotations in space, made of turns in planes of two axes."""

from collections.abc import Sequence

import numpy as np

from hippopt.imaging.arrays import Numbers

Planes = Sequence[tuple[int, int]]


def rotation(angles_rad: Sequence[float] | Numbers, planes: Planes) -> Numbers:
    """Multiply turns, in the order that is given: the last one is the first to act on a point.

    Args:
        angles_rad: one for each plane.
        planes: pairs of axes (first, second); an angle of 90 degrees brings the first axis onto the second.

    Returns:
        (3, 3) float64, to be multiplied with a point's coordinates as a column.
    """
    from scipy.spatial.transform import Rotation

    axes = np.eye(3)
    turned = Rotation.identity()
    for (first, second), angle in zip(planes, angles_rad, strict=True):
        turned = turned * Rotation.from_rotvec(angle * np.cross(axes[first], axes[second]))
    return np.asarray(turned.as_matrix())
