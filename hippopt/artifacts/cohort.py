"""Cohort: how large the structures of the training scans are, as figures over all of them and of no single scan."""

from hippopt.artifacts.codec import SCHEMA, Record

LEAST_SCANS = 10  # with fewer, nothing is called unusual but a volume that is many times another
MANY_TIMES = 3.0  # the median of few scans, or a part of it: no one's anatomy, but a network that learned nothing
# Tukey's: a value this many interquartile ranges beyond a quartile is an outlier, or far out
FENCE, OUTER_FENCE = (
    1.5,
    3.0,
)
# quartiles of fewer scans are too rough for the inner fence: of ten, it calls 7 % of ordinary volumes unusual
# (docs/experiments.md)
FEW_SCANS = 20


class Spread(Record, frozen=True, kw_only=True):
    """Quartiles of one measure over `scans` training scans."""

    scans: int
    first_quartile: float
    median: float
    third_quartile: float

    @property
    def limits(self) -> tuple[float, float] | None:
        """(low, high) beyond which a value is an outlier; None where there are too few scans to tell."""
        if self.scans < LEAST_SCANS:
            return None
        reach = (FENCE if self.scans >= FEW_SCANS else OUTER_FENCE) * (self.third_quartile - self.first_quartile)
        return self.first_quartile - reach, self.third_quartile + reach

    def unusual(self, value: float) -> bool:
        """Whether a value lies beyond the limits, where there are such."""
        limits = self.limits
        return limits is not None and not limits[0] <= value <= limits[1]

    def unusual_volume(self, value: float) -> bool:
        """Whether a volume lies beyond the limits; of few scans, whether it is many times their median or a part."""
        if self.scans >= LEAST_SCANS:
            return self.unusual(value)
        return self.median > 0 and not self.median / MANY_TIMES <= value <= self.median * MANY_TIMES


class Cohort(Record, frozen=True, kw_only=True):
    """The training scans of a plan. Labels by name.

    volumes: mm3, over the scans in which the label is not empty. parts: the usual number of 26-connected parts (a
    median). asymmetry: by the left label of each pair, in percent: 200 (left - right) / (left + right).
    """

    schema: int = SCHEMA
    fingerprint_hash: str
    volumes: dict[str, Spread]
    parts: dict[str, int]
    asymmetry: dict[str, Spread]
