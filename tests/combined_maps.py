"""Small heads and manual maps of the same made-up anatomy: ellipsoids in FreeSurfer's numbers, and in
Harvard-Oxford's.
"""

from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (64, 70, 60)  # x, y, z voxels of 1 mm
# FreeSurfer's number, Harvard-Oxford's, centre and radii (mm from the middle of the head, RAS); the later ones on top
STRUCTURES = (
    (16, 15, (0, -6, -12), (5, 5, 9)),
    (10, 16, (-6, -4, 2), (4, 6, 4)), (49, 17, (6, -4, 2), (4, 6, 4)),
    (4, 1, (-5, 6, 9), (3, 9, 3)), (43, 2, (5, 6, 9), (3, 9, 3)),
    (12, 11, (-14, 6, 0), (3, 7, 5)), (51, 12, (14, 6, 0), (3, 7, 5)),
    (18, 22, (-13, 8, -12), (3, 3, 3)), (54, 23, (13, 8, -12), (3, 3, 3)),
    (17, 20, (-13, -3, -10), (4, 8, 4)), (53, 21, (13, -3, -10), (4, 8, 4)),
)  # fmt: skip


def anatomy(
    numbers: int, matrix: np.ndarray | None = None, shift: tuple[float, float, float] = (0, 0, 0), grow: float = 0.0
) -> np.ndarray:
    """(x, y, z) int16: the structures in FreeSurfer's numbers (0) or Harvard-Oxford's (1), displaced, and the
    hippocampi grown by mm.

    A point p mm from the middle of the plain anatomy lies at matrix @ p + shift here.
    """
    points = np.indices(SHAPE).reshape(3, -1) - (np.array(SHAPE)[:, None] - 1) / 2
    plain = np.linalg.inv(np.eye(3) if matrix is None else matrix) @ (points - np.array(shift)[:, None])
    values = np.zeros(points.shape[1], np.int16)
    if not numbers:
        for value, radius in ((507, 30.0), (24, 27.0), (3, 26.0), (2, 24.0)):
            values[(plain**2).sum(0) <= radius**2] = value
    for *names, centre, radii in STRUCTURES:
        enlarged = np.array(radii) + (grow if names[0] in (17, 53) else 0)
        values[(((plain - np.array(centre)[:, None]) / enlarged[:, None]) ** 2).sum(0) <= 1] = names[numbers]
    return values.reshape(SHAPE)


def write_map(path: Path, values: np.ndarray, axes: str = "RAS") -> Path:
    """An (x, y, z) map on RAS axes whose world begins at the middle of the head, stored on other axes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.eye(4)
    affine[:3, 3] = -(np.array(values.shape) - 1) / 2
    image = nib.Nifti1Image(values, affine)
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes))
    nib.save(image.as_reoriented(turn), path)
    return path
