"""What a model that ships is: made from what, under which licence, and what it was measured to do."""

from hippopt.artifacts.codec import SCHEMA, Record


class Measured(Record, frozen=True, kw_only=True):
    """One figure in words. on: the scans; what: the measure, with its condition; value: the figure."""

    on: str
    what: str
    value: str


class ModelCard(Record, frozen=True, kw_only=True):
    """The JSON beside a model file that ships. sha256: of the file; base, base_sha256: whose network it uses.

    made_from, licence, attribution: of what its weights were trained on; command: that made it. scans: which ones it
    is for; measured: figures on scans that it never saw.
    """

    schema: int = SCHEMA
    name: str
    sha256: str
    labels: dict[str, int]
    scans: str
    made_from: str
    licence: str
    attribution: str
    base: str
    base_sha256: str
    command: str = ""
    measured: tuple[Measured, ...] = ()
