"""What a comparison runs: rows, learning rates and seeds, the cases that
choose a rate and those that are reported, and whether these are apart.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import TypeVar

from hippopt.artifacts.codec import load_record
from hippopt.artifacts.dataset import Dataset, load_dataset
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.fold_names import FULL_DATA
from hippopt.artifacts.methods import METHODS, VARIANTS, Method
from hippopt.artifacts.plan import Plan
from hippopt.errors import DatasetError, UsageError, WeightsError
from hippopt.planning.run_plan import run_name
from hippopt.recipes.training_inputs import load_unchanged
from hippopt.sources.survey import survey_case
from hippopt.workspace import Workspace

SCRATCH, BARE, BARE_BASE = VARIANTS
ROWS = (*METHODS, *VARIANTS)
REFERENCES = ("decoder", "full")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Row:
    """One row of the table: a method, at a rank where it has one."""

    method_name: str
    rank: int | None

    @property
    def method(self) -> Method:
        return "full" if self.method_name in VARIANTS else self.method_name  # type: ignore[return-value]

    @property
    def needs_base(self) -> bool:
        return self.method_name not in (SCRATCH, BARE)

    @property
    def no_transformer(self) -> bool:
        return self.method_name in (BARE, BARE_BASE)

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
        variant = [self.row.method_name] if self.row.method_name in VARIANTS else []
        rate = [] if self.rate is None else [f"lr{rate_text(self.rate)}"]
        return "-".join([*variant, comparison, *rate, f"s{self.seed}"])

    def run(self, comparison: str, plan: Plan) -> str:
        """Its folder under results/DATASET."""
        return run_name(self.row.method, self.row.rank or plan.adapter.rank, self.suffix(comparison))


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
    ranked = [name for name in methods if name in METHODS and METHODS[name].ranked]  # type: ignore[index]
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


def make_cases(
    workspace: Workspace, plan: Plan, test: str | None, choose: Sequence[str], folds: Sequence[str], chosen: bool
) -> tuple[Cases, Cases | None]:
    """(cases that are reported, cases that choose). chosen: whether a rate is to be chosen. Raises UsageError."""
    if (test is None) == (not folds):
        raise UsageError(
            "name either --test DATASET, to train on all cases and report on another data set, or --folds, to report on"
            " theirs"
        )
    if chosen and not choose:
        raise UsageError(
            "several learning rates: name the cases that choose with --choose (a data set beside --test, folds beside"
            " --folds)"
        )
    if test is not None:
        if len(choose) > 1:
            raise UsageError(f"--choose {' '.join(choose)}: one data set, as --test is given")
        return Cases(workspace.resolve(test), (FULL_DATA,)), (
            Cases(workspace.resolve(choose[0]), (FULL_DATA,)) if chosen else None
        )
    valid = [str(number) for number in range(len(plan.folds))]
    for option, given in (("--folds", folds), ("--choose", choose)):
        wrong = [fold for fold in given if fold not in valid]
        if wrong:
            raise UsageError(f"{option} {wrong[0]}: the plan has fold {', '.join(valid) or 'none'}")
    both = sorted(set(folds) & set(choose))
    if both:
        raise UsageError(f"fold {' '.join(both)} in --folds and --choose: cases that choose a rate are not reported")
    return Cases(None, tuple(dict.fromkeys(folds))), Cases(None, tuple(dict.fromkeys(choose))) if chosen else None


@dataclass(frozen=True)
class Contents:
    """What is in a data set: case id -> content hash of its image, case id -> subject."""

    dataset: Dataset
    images: Mapping[str, str]
    subjects: Mapping[str, str]


def contents_of(workspace: Workspace, name: str) -> Contents:
    """From its fingerprint, where it is planned, else by reading it. Raises DatasetError, StaleArtifactError."""
    if workspace.fingerprint(name).exists():
        fingerprint = load_record(workspace.fingerprint(name), Fingerprint, f"hippopt_plan {name}")
        dataset = load_unchanged(workspace, name, fingerprint)
        images = {case.id: case.image_hash for case in fingerprint.cases}
    else:
        dataset = load_dataset(workspace.dataset_folder(name))
        with ThreadPoolExecutor() as pool:
            surveys = list(pool.map(lambda case: survey_case(case, dataset), dataset.cases))
        faults = [fault for survey in surveys for fault in survey.faults]
        if faults:
            raise DatasetError("\n".join(faults))
        images = {survey.case: survey.fingerprint.image_hash for survey in surveys if survey.fingerprint}
    return Contents(dataset, images, {case.id: case.subject for case in dataset.cases})


def check_apart(contents: Sequence[Contents]) -> None:
    """Raises DatasetError where two data sets share a scan or a
    subject: figures on one would flatter what saw the other.
    """
    for first, second in combinations(contents, 2):
        a, b = first.dataset.name, second.dataset.name
        if a == b:
            raise DatasetError(f"{a} is named twice: train, choose and test on data sets of different people")
        by_image = {image: case for case, image in first.images.items()}
        same = [(by_image[image], case) for case, image in second.images.items() if image in by_image]
        if same:
            raise DatasetError(
                f"{a} and {b} share {len(same)} scans ({same[0][0]} is {same[0][1]}, ...); compare on data sets without"
                " a common scan"
            )
        people = sorted(set(first.subjects.values()) & set(second.subjects.values()))
        if people:
            raise DatasetError(
                f"{a} and {b} share {len(people)} subjects ({people[0]}, ...); leave them out of one, or import it with"
                " other names of subjects where they are other people"
            )


def check_folds_apart(plan: Plan, subjects: Mapping[str, str], reported: Cases, choosing: Cases) -> None:
    """Raises DatasetError where a subject stands in validation folds of both, as in a plan edited so."""
    found = [
        {subjects[case] for fold in cases.folds for case in plan.folds[int(fold)].val} for cases in (reported, choosing)
    ]
    shared = sorted(found[0] & found[1])
    if shared:
        raise DatasetError(
            f"subject {shared[0]} is in validation folds of --folds and of --choose; choose others, or plan the folds"
            " anew"
        )


def check_labels(plan: Plan, other: Dataset) -> None:
    """Raises DatasetError where masks of the plan's networks could not be held against the data set's labels."""
    if other.labels != plan.labels or len(other.channel_names) != len(plan.channel_names):
        raise DatasetError(
            f"{other.name}: labels {other.labels} of {len(other.channel_names)} channels, but {plan.dataset} has"
            f" {plan.labels} of {len(plan.channel_names)}; import it with the same labels (hippopt_import --labels)"
        )


def check_base_unseen(seen: Sequence[str] | None, name: str, contents: Sequence[Contents]) -> None:
    """Raises WeightsError where the base was trained on scans that choose or are reported."""
    for each in contents:
        known = [case for case, image in each.images.items() if image in set(seen or ())]
        if known:
            raise WeightsError(
                f"base {name} was trained on {len(known)} scans of {each.dataset.name} ({known[0]}, ...), so its"
                " figures would flatter; use another base or data set, or add --allow-seen"
            )
