"""Structures whose head is thicker than their body, with the border of their parts where the cross-section falls."""

import numpy as np


def two_parts(
    rng: np.random.Generator, length: int = 36, shape: tuple[int, int, int] = (20, 44, 24)
) -> tuple[np.ndarray, int]:
    """((Z, Y, X) uint8: 1 in front, 2 behind; the first slice of the
    front) of a body with a head half as thick again, across y.
    """
    labels = np.zeros(shape, np.uint8)
    first, head = int(rng.integers(1, shape[1] - length)), int(rng.integers(length // 3, 2 * length // 3))
    z, x = np.ogrid[: shape[0], : shape[2]]
    for place in range(length):
        radius = (5.0 if place < head else 7.5) + rng.normal(0, 0.1)
        inside = (z - 10) ** 2 + (x - 12) ** 2 <= radius**2
        labels[:, first + place][inside] = 1 if place >= head else 2
    return labels, first + head
