"""Small label maps in FreeSurfer's numbering: ellipsoids in a ball of white matter."""

from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (44, 40, 36)  # x, y, z
LEFT, RIGHT = 17, 53


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """(x, y, z) mask on SHAPE's grid."""
    points = np.indices(SHAPE).astype(float)
    return sum(((points[axis] - centre[axis]) / radii[axis]) ** 2 for axis in range(3)) <= 1  # type: ignore[return-value]


def brain(shift: float = 0.0) -> np.ndarray:
    """(x, y, z) int16 on RAS axes: head, white matter, ventricle, and two hippocampi with an amygdala before each."""
    values = np.zeros(SHAPE, np.int16)
    values[ellipsoid((22, 20, 18), (20, 18, 16))] = 507
    values[ellipsoid((22, 20, 18), (18, 16, 14))] = 2
    values[ellipsoid((22, 20, 22), (3, 8, 4))] = 4
    for value, amygdala, x in ((LEFT, 18, 13), (RIGHT, 54, 31)):
        values[ellipsoid((x + shift, 26, 14), (3, 3, 3))] = amygdala
        values[ellipsoid((x + shift, 18, 14), (4, 7, 4))] = value
    return values


def write_label_maps(folder: Path, count: int = 3, spacing_mm: float = 1.0, axes: str = "RAS") -> Path:
    """`count` maps that differ by a shift."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = nib.Nifti1Image(brain(number - 1.0), np.diag([spacing_mm, spacing_mm, spacing_mm, 1]))
        turned = image.as_reoriented(
            nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes))
        )
        nib.save(turned, folder / f"map_{number}.nii.gz")
    return folder
