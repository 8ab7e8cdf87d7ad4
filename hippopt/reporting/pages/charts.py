"""Lines and clouds as numbers for an inline SVG: learning curves, and differences over means."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hippopt.reporting.pages.plots import Dot, nice_ticks

WIDTH, HEIGHT = 520.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 24.0, 12.0, 34.0


@dataclass(frozen=True)
class Line:
    """One series. path: SVG; last: where its last point lies; colour: number of its colour."""

    name: str
    path: str
    last: tuple[float, float]
    colour: int


@dataclass(frozen=True)
class Chart:
    """Axes with what is drawn in them. levels: (y, text, whether it is a limit) of horizontal lines."""

    title: str
    across: str
    ticks_across: tuple[tuple[float, str], ...]
    ticks_up: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...] = ()
    dots: tuple[Dot, ...] = ()
    levels: tuple[tuple[float, str, bool], ...] = ()


@dataclass(frozen=True)
class VolumeAgreement:
    """Volumes of one label, or of several together. pairs: case ->
    (predicted, reference) mm³; the rest as in scoring/agreement.py.
    """

    label: str
    pairs: Mapping[str, tuple[float, float]]
    bias: float
    low: float
    high: float
    icc: float


class _Scale:
    def __init__(self, across: Sequence[float], up: Sequence[float]) -> None:
        self.x, self.y = nice_ticks(min(across), max(across)), nice_ticks(min(up), max(up))
        self.x = self.x if len(self.x) > 1 else [self.x[0] - 1, self.x[0], self.x[0] + 1]
        self.y = self.y if len(self.y) > 1 else [self.y[0] - 1, self.y[0], self.y[0] + 1]

    def at(self, x: float, y: float) -> tuple[float, float]:
        right, down = (x - self.x[0]) / (self.x[-1] - self.x[0]), (y - self.y[0]) / (self.y[-1] - self.y[0])
        return round(LEFT + right * (WIDTH - LEFT - RIGHT), 1), round(
            HEIGHT - BOTTOM - down * (HEIGHT - TOP - BOTTOM), 1
        )

    def ticks(self) -> tuple[tuple[tuple[float, str], ...], tuple[tuple[float, str], ...]]:
        across = tuple((self.at(tick, self.y[0])[0], f"{tick:g}") for tick in self.x)
        return across, tuple((self.at(self.x[0], tick)[1], f"{tick:g}") for tick in self.y)


def line_chart(title: str, across: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> Chart | None:
    """Curves over steps, one per fold; points that are not finite are left out. None where nothing is left."""
    known = {name: [point for point in points if math.isfinite(point[1])] for name, points in series.items()}
    every = [point for points in known.values() for point in points]
    if not every:
        return None
    scale = _Scale([x for x, _ in every], [y for _, y in every])
    lines = []
    for number, (name, points) in enumerate(known.items(), start=1):
        placed = [scale.at(x, y) for x, y in points]
        if placed:
            lines.append(Line(name, "M" + "L".join(f"{x} {y}" for x, y in placed), placed[-1], (number - 1) % 6 + 1))
    return Chart(title, across, *scale.ticks(), lines=tuple(lines))


def bland_altman(found: VolumeAgreement) -> Chart | None:
    """Differences (predicted - reference, mm³) over the mean of both; None without pairs."""
    points = {case: ((first + second) / 2, first - second) for case, (first, second) in found.pairs.items()}
    if not points:
        return None
    limits = [(found.low, "limit", True), (found.bias, "bias", False), (found.high, "limit", True)]
    known = [level for level in limits if math.isfinite(level[0])]
    scale = _Scale(
        [mean for mean, _ in points.values()],
        [0.0, *(gap for _, gap in points.values()), *(level for level, _, _ in known)],
    )
    dots = tuple(
        Dot(case, *scale.at(mean, gap), f"{case}: {gap:+.0f} mm³ of {mean:.0f}", gap < found.low or gap > found.high)
        for case, (mean, gap) in points.items()
    )
    levels = tuple((scale.at(scale.x[0], level)[1], f"{name} {level:+.0f}", limit) for level, name, limit in known)
    return Chart(found.label, "mean of predicted and reference, mm³", *scale.ticks(), dots=dots, levels=levels)
