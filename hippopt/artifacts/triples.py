"""Three numbers, one per axis: counted in voxels, (Z, Y, X), or measured in mm, in the order that their user says."""

Voxels = tuple[int, int, int]
Millimetres = tuple[float, float, float]
Spacing = tuple[float, float, float]  # mm per voxel, (Z, Y, X)
Point = tuple[float, float, float]  # a place in mm, (Z, Y, X)


def box_slices(start: Voxels, size: Voxels) -> tuple[slice, slice, slice]:
    """Where a box lies in an array (Z, Y, X): its first voxel, and how many there are along each axis."""
    z, y, x = (slice(first, first + count) for first, count in zip(start, size, strict=True))
    return z, y, x
