"""Dots of a measure along a line, one per scan, with the cohort's quartiles and fences: numbers for an inline SVG."""

from collections.abc import Mapping
from dataclasses import dataclass

from hippopt.reporting.pages.cohort_table import Measure

WIDTH, HEIGHT, SIDE = 520.0, 118.0, 16.0
MIDDLE, HALF = 56.0, 38.0  # of the band in which dots lie
DOT = 7.0  # a dot's place along the line
TICKS = 5


@dataclass(frozen=True)
class Dot:
    """One scan in a plot, in the plot's own units."""

    scan: str
    x: float
    y: float
    text: str
    apart: bool


@dataclass(frozen=True)
class Plot:
    """A strip of dots. lines: of the fences (x); box: (first quartile, median, third quartile) (x); ticks:
    (x, text).
    """

    measure: Measure
    dots: tuple[Dot, ...]
    fences: tuple[float, ...]
    box: tuple[float, float, float] | None
    ticks: tuple[tuple[float, str], ...]


def strip_plot(measure: Measure) -> Plot:
    """Lay out a measure: dots that would cover each other are piled up, a tall pile closer together."""
    values = list(measure.values.values())
    low, high = min(values), max(values)
    if measure.fences is not None and measure.judged:
        low, high = min(low, measure.fences.low), max(high, measure.fences.high)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    scale = (WIDTH - 2 * SIDE) / (high - low) if high > low else 0.0

    def at(value: float) -> float:
        return round(SIDE + (value - low) * scale, 1) if scale else WIDTH / 2

    heights = _piled({name: at(value) for name, value in measure.values.items()})
    apart = set(measure.apart)
    dots = tuple(
        Dot(name, at(value), heights[name], f"{name}: {value:.4g} {measure.unit}".rstrip(), name in apart)
        for name, value in measure.values.items()
    )
    fences = measure.fences if measure.judged else None
    box = (at(fences.first_quartile), at(fences.median), at(fences.third_quartile)) if fences else None
    return Plot(
        measure,
        dots,
        (at(fences.low), at(fences.high)) if fences else (),
        box,
        tuple((at(tick), f"{tick:g}") for tick in ticks),
    )


def nice_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Round numbers from at most `low` to at least `high`."""
    if high <= low:
        return [low]
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(count, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [round(float(tick), 10) for tick in ticks]


def _piled(places: Mapping[str, float]) -> dict[str, float]:
    piles: dict[int, list[str]] = {}
    for name, x in sorted(places.items(), key=lambda item: item[1]):
        piles.setdefault(int(x // DOT), []).append(name)
    heights = {}
    for names in piles.values():
        step = min(DOT, 2 * HALF / max(1, len(names)))
        for number, name in enumerate(names):
            offset = (number + 1) // 2 * step * (-1) ** number
            heights[name] = round(MIDDLE + offset, 1)
    return heights
