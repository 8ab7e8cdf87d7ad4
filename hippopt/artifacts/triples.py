"""Three numbers, one per axis: counted in voxels, (Z, Y, X), or measured in mm, in the order that their user says."""

Voxels = tuple[int, int, int]
Millimetres = tuple[float, float, float]
