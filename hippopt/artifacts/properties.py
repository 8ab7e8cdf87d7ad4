"""CaseProperties: all that is needed to bring a result back to the scan's own grid."""

from hippopt.artifacts.codec import SCHEMA, Record
from hippopt.artifacts.grid import Grid


class CaseProperties(Record, frozen=True, kw_only=True):
    """How a scan was prepared. All shapes and boxes are (Z, Y, X); those named ras are on RAS axes.

    crop_start, crop_shape: the box kept of the RAS image; prepared_shape: after resampling to the target spacing.
    straight: of a scan that was resampled through its true axes, the grid of the RAS image; None where flips and
    transposes made it.
    """

    grid: Grid
    ras_shape: tuple[int, int, int]
    ras_spacing_mm: tuple[float, float, float]
    crop_start: tuple[int, int, int]
    crop_shape: tuple[int, int, int]
    prepared_shape: tuple[int, int, int]
    straight: Grid | None = None


class CacheEntry(Record, frozen=True, kw_only=True):
    """The JSON beside a preprocessed case. `key` covers the voxel data and all decisions that shape the arrays."""

    schema: int = SCHEMA
    case: str
    key: str
    plan_hash: str
    image_hash: str
    label_hash: str
    properties: CaseProperties
    foreground_voxels: dict[str, int]
