"""Whether cases that train, choose and are reported are apart, and whether their labels can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from hippopt.artifacts.dataset import Dataset
from hippopt.artifacts.plan import Plan
from hippopt.console import counted
from hippopt.errors import DatasetError, WeightsError
from hippopt.planning.comparison_grid import Cases


@dataclass(frozen=True)
class Contents:
    """What is in a data set: case id -> content hash of its image, case id -> subject."""

    dataset: Dataset
    images: Mapping[str, str]
    subjects: Mapping[str, str]


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
                f"{a} and {b} share {counted(len(same), 'scan')} ({same[0][0]} is {same[0][1]}, ...); compare on data"
                " sets without a common scan"
            )
        people = sorted(set(first.subjects.values()) & set(second.subjects.values()))
        if people:
            raise DatasetError(
                f"{a} and {b} share {counted(len(people), 'subject')} ({people[0]}, ...); leave them out of one, or"
                " import it with other names of subjects where they are other people"
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
                f"base {name} was trained on {counted(len(known), 'scan')} of {each.dataset.name} ({known[0]}, ...), so"
                " its figures would flatter; use another base or data set, or add --allow-seen"
            )
