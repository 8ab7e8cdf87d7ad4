"""Fingerprint: what hippopt knows of a data set before it plans."""

from hippopt.artifacts.codec import SCHEMA, Record
from hippopt.artifacts.grid import Grid
from hippopt.artifacts.sides import Side


class Box(Record, frozen=True, kw_only=True):
    """A box of voxels on RAS axes: first index and size, each (Z, Y, X), and the size in mm."""

    start: tuple[int, int, int]
    size: tuple[int, int, int]
    size_mm: tuple[float, float, float]


class ChannelStatistics(Record, frozen=True, kw_only=True):
    """Intensities of one channel over the whole image."""

    mean: float
    std: float
    minimum: float
    maximum: float
    percentile_00_5: float
    percentile_99_5: float
    foreground_mean: float
    foreground_std: float


class LabelStatistics(Record, frozen=True, kw_only=True):
    """One label in one case; centroid in RAS mm relative to the centre of the field of view, as (Z, Y, X)."""

    voxels: int
    volume_mm3: float
    centroid_mm: tuple[float, float, float] | None
    box: Box | None
    components: int


class FileStamp(Record, frozen=True, kw_only=True):
    """Size and modification time of a file: unchanged stamps spare reading it again."""

    path: str
    size: int
    modified_ns: int


class CaseFingerprint(Record, frozen=True, kw_only=True):
    """One case. `image_hash` and `label_hash` are sha256 of voxel values and shape, whatever the file format."""

    id: str
    subject: str
    grid: Grid
    orientation: str
    ras_shape: tuple[int, int, int]
    ras_spacing_mm: tuple[float, float, float]
    nonzero_box: Box
    nonzero_fraction: float
    foreground_box: Box | None
    channels: tuple[ChannelStatistics, ...]
    labels: dict[str, LabelStatistics]
    image_hash: str
    label_hash: str
    files: tuple[FileStamp, ...]
    notes: tuple[str, ...]


class Fingerprint(Record, frozen=True, kw_only=True):
    """The data set: its cases and what they have in common. Spacings and shapes are (Z, Y, X) on RAS axes.

    dataset_hash: over labels, sides, channel names, subjects and every case's content hashes.
    ordered_axes: axes ("x", "y", "z") along which two labels always stand in the same order.
    geometric_sides: labels that always lie on one side of another: the side, by geometry.
    """

    schema: int = SCHEMA
    dataset: str
    dataset_hash: str
    channel_names: tuple[str, ...]
    labels: dict[str, int]
    sides: dict[str, Side]
    geometric_sides: dict[str, Side]
    ordered_axes: tuple[str, ...]
    median_spacing_mm: tuple[float, float, float]
    median_shape: tuple[int, int, int]
    orientations: dict[str, int]
    duplicates: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...]
    cases: tuple[CaseFingerprint, ...]

    @property
    def groups(self) -> dict[str, str]:
        """Case -> group that is kept on one side of a fold: cases of one subject, and subjects with an
        identical image.
        """
        leader = {case.id: case.subject for case in self.cases}
        for duplicates in self.duplicates:
            joined = {leader[case] for case in duplicates}
            first = min(joined)
            leader = {case: first if subject in joined else subject for case, subject in leader.items()}
        return leader
