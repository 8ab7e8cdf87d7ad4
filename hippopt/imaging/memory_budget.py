"""Whether arrays fit the machine's memory, asked before they are made."""

from hippopt.errors import ImageError

SHARE = 0.8  # of the main memory that one scan may take


def check_memory(name: object, shape: tuple[int, ...], needed_bytes: float, available_bytes: float) -> None:
    """Raises ImageError, with the numbers, where an array of a (Z,
    Y, X) shape would need more than its share of the memory.
    """
    if needed_bytes > SHARE * available_bytes:
        raise ImageError(
            f"{name}: {' x '.join(str(size) for size in shape)} voxels (Z, Y, X) need about {needed_bytes / 1e9:.1f} GB"
            f" of {available_bytes / 1e9:.1f} GB of memory; crop it around the hippocampus, and check its voxel size"
        )
