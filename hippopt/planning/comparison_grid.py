"""What a comparison runs: rows, learning rates and seeds, and the cases that choose a rate or are reported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from hippopt.artifacts.methods import METHODS, VARIANTS, Method, Variant
from hippopt.artifacts.plan import KERNEL_RANK, Plan
from hippopt.errors import UsageError
from hippopt.planning.run_plan import adjusted_plan, run_name

SCRATCH = "scratch"
ROWS = (*METHODS, *VARIANTS)
REFERENCES = ("decoder", "full")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Row:
    """One row of the table: a method or a variant of one, at a rank where it has one."""

    method_name: str
    rank: int | None

    @property
    def variant(self) -> Variant:
        """Under which conditions; a method of its own name under none."""
        return VARIANTS.get(self.method_name) or Variant(self.method_name, "", "")  # type: ignore[arg-type]

    @property
    def method(self) -> Method:
        return self.variant.method

    @property
    def needs_base(self) -> bool:
        return self.variant.needs_base

    @property
    def name(self) -> str:
        return self.method_name if self.rank is None else f"{self.method_name} r{self.rank}"


@dataclass(frozen=True)
class Combination:
    """One run. rate: None for the plan's own."""

    row: Row
    rate: float | None
    seed: int

    @property
    def text(self) -> str:
        return (
            f"{self.row.name}, {'rate of the plan' if self.rate is None else f'rate {self.rate:g}'}, seed {self.seed}"
        )

    def suffix(self, comparison: str) -> str:
        """The --name of the run."""
        rate = "" if self.rate is None else f"lr{rate_text(self.rate)}"
        return "-".join(filter(None, (self.row.variant.suffix, comparison, rate, f"s{self.seed}")))

    def run(self, comparison: str, plan: Plan) -> str:
        """Its folder under results/DATASET."""
        rank = self.row.rank or (KERNEL_RANK if self.row.variant.kernels else plan.adapter.rank)
        return run_name(self.row.method, rank, self.suffix(comparison))

    def plan(self, plan: Plan) -> Plan:
        """The plan of the run. Raises PlanError."""
        row = self.row
        return adjusted_plan(plan, row.method, row.rank, self.rate, row.variant.no_transformer, row.variant.kernels)


def rate_text(rate: float) -> str:
    """The rate exactly, without a dot: .0025 is 25e-4."""
    _, digits, exponent = Decimal(repr(rate)).normalize().as_tuple()
    return f"{''.join(map(str, digits))}e{exponent}"


@dataclass(frozen=True)
class Grid:
    """rates: of each row, by its name; of a row with one or none, nothing is chosen."""

    rows: tuple[Row, ...]
    rates: Mapping[str, tuple[float, ...]]
    seeds: tuple[int, ...]

    def to_choose(self) -> list[Row]:
        """Rows whose rate is chosen."""
        return [row for row in self.rows if len(self.rates[row.name]) > 1]

    def candidates(self, row: Row) -> list[Combination]:
        """One seed, the first, at every rate."""
        return [Combination(row, rate, self.seeds[0]) for rate in self.rates[row.name]]

    def reported(self, row: Row, chosen: float | None) -> list[Combination]:
        """Every seed at the rate that was chosen, or at the only one."""
        rate = chosen if chosen is not None else next(iter(self.rates[row.name]), None)
        return [Combination(row, rate, seed) for seed in self.seeds]


def make_grid(methods: Sequence[str], ranks: Sequence[str], rates: Sequence[str], seeds: Sequence[int]) -> Grid:
    """ranks, rates: numbers for all methods, or METHOD=NUMBER for one. Raises UsageError."""
    unknown = [name for name in methods if name not in ROWS]
    if unknown:
        raise UsageError(f"--methods {unknown[0]}: choose of {', '.join(ROWS)}")
    ranked = [name for name in methods if METHODS[Row(name, None).method].ranked]
    by_method = _by_method("--ranks", "a whole number", ranks, ranked, int)
    rows = [
        Row(name, rank)
        for name in dict.fromkeys(methods)
        for rank in (by_method(name) if name in ranked else ()) or (None,)
    ]
    rates_of = _by_method("--learning-rates", "a number", rates, methods, float)
    by_row = {row.name: tuple(sorted(rates_of(row.method_name))) for row in rows}
    return Grid(tuple(rows), by_row, tuple(dict.fromkeys(seeds)))


def _by_method(
    option: str, what: str, texts: Sequence[str], methods: Sequence[str], parse: Callable[[str], Number]
) -> Callable[[str], tuple[Number, ...]]:
    """The numbers of a method, each once: its own, METHOD=NUMBER,
    where it has some, else those for all. Raises UsageError.
    """
    general: list[Number] = []
    own: dict[str, list[Number]] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        try:
            value = parse(number)
        except ValueError:
            value = parse("0")
        if not 0 < value < float("inf") or (equals and name not in methods):
            raise UsageError(
                f"{option} {text}: {what} above 0, or METHOD=NUMBER of a method that is compared and takes one"
            )
        (own.setdefault(name, []) if equals else general).append(value)
    return lambda name: tuple(dict.fromkeys(own.get(name, general)))


@dataclass(frozen=True)
class Cases:
    """Where scores come from: the scans of a data set that nothing was
    trained on, or folds, whose runs score their own validation cases.
    """

    dataset: str | None
    folds: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.dataset if self.dataset is not None else f"validation cases of fold {' '.join(self.folds)}"
