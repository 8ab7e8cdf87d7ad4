"""Grid: where the voxels of a scan lie."""

import math

from hippopt.artifacts.codec import Record

Affine = tuple[
    tuple[float, float, float, float],
    tuple[float, float, float, float],
    tuple[float, float, float, float],
    tuple[float, float, float, float],
]


class Grid(Record, frozen=True, kw_only=True):
    """A scan's voxel grid.

    shape: (Z, Y, X) voxels, that is the file's own axes in reverse order (the last index runs fastest in the file).
    affine: 4 x 4, maps the file's voxel index (x, y, z, 1) to RAS+ millimetres, as nibabel does.
    """

    shape: tuple[int, int, int]
    affine: Affine

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size in mm, in the order (Z, Y, X)."""
        x, y, z = (math.sqrt(sum(self.affine[row][column] ** 2 for row in range(3))) for column in range(3))
        return (z, y, x)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm3 (the absolute determinant of the affine)."""
        a = [row[:3] for row in self.affine[:3]]
        return abs(
            a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1])
            - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0])
            + a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0])
        )

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Field of view in mm, in the order (Z, Y, X)."""
        z, y, x = (count * spacing for count, spacing in zip(self.shape, self.spacing_mm, strict=True))
        return (z, y, x)


def affine_rows(matrix: object) -> Affine:
    """A 4 x 4 array as the nested tuples that a record holds."""
    return tuple(tuple(float(value) for value in row) for row in matrix)  # type: ignore[attr-defined,return-value]
