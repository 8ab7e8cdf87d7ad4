"""Three numbers, one per axis: counted in voxels, (Z, Y, X), or measured in mm, in the order that their user says."""

Voxels = tuple[int, int, int]
Millimetres = tuple[float, float, float]
Spacing = tuple[float, float, float]  # mm per voxel, (Z, Y, X)
Point = tuple[float, float, float]  # a place in mm, (Z, Y, X)
