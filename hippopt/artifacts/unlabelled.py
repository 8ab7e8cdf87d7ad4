"""The record beside the arrays of a scan that has no label, but masks of a run's networks."""

from hippopt.artifacts.codec import SCHEMA, Record


class UnlabelledEntry(Record, frozen=True, kw_only=True):
    """key: of the files and the plan's decisions that the arrays were made of; image_hash: of the scan's voxels."""

    schema: int = SCHEMA
    case: str
    key: str
    image_hash: str
