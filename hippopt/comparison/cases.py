"""The cases of a comparison: which choose a rate and which are reported, and what is in their data sets."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hippopt.artifacts.codec import load_record
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.fold_names import FULL_DATA
from hippopt.artifacts.plan import Plan
from hippopt.errors import DatasetError, UsageError
from hippopt.planning.cases_apart import Contents
from hippopt.planning.comparison_grid import Cases
from hippopt.recipes.training_inputs import load_unchanged
from hippopt.sources.survey import survey_case
from hippopt.workspace import Workspace


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
