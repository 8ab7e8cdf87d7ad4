"""Labelled scans against Dice: several comparisons that were reported on
the same data set, and the base itself, in one table and one plot.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from hippopt.artifacts.codec import write_bytes
from hippopt.artifacts.dataset import Dataset
from hippopt.comparison.units import METRICS, Setting, scores_of_masks, write_outlines
from hippopt.console import Console, counted
from hippopt.errors import UsageError
from hippopt.networks.base_files import read_base
from hippopt.networks.device import choose_device
from hippopt.planned_dataset import PlannedDataset
from hippopt.planning.cases_apart import Contents
from hippopt.planning.comparison_grid import SCRATCH
from hippopt.reporting.learning_curve import curve_lines, curve_markdown, plot_curve
from hippopt.result_folders import ComparisonFolder
from hippopt.scoring.learning_curve import BASE_ROW, joined, learning_curve
from hippopt.scoring.tables import write_csv
from hippopt.stages.evaluate import LabelNames, evaluate
from hippopt.stages.segment_by_base import labels_meant, segment_by_base


def by_scans(prepared: Sequence[PlannedDataset]) -> dict[int, PlannedDataset]:
    """Data sets by their number of labelled scans, rising. Raises UsageError where two have as many."""
    found: dict[int, PlannedDataset] = {}
    for planned in sorted(prepared, key=lambda each: len(each.fingerprint.cases)):
        scans = len(planned.fingerprint.cases)
        if scans in found:
            raise UsageError(
                f"{found[scans].name} and {planned.name} both have {scans} labelled scans; compare data sets of"
                " different numbers"
            )
        found[scans] = planned
    return found


def write_curve(compared: Mapping[int, Setting], console: Console) -> bool:
    """Write the table and the plot of comparisons that are done, by their number of labelled scans.

    Args:
        compared: number of labelled scans -> a comparison of which something is there.
        console: told the table.

    Returns:
        Whether the row without labels is there, or none is asked for.

    Raises:
        HippoptError: its kinds, where the base cannot segment the scans or nothing can be written.
    """
    settings = list(compared.values())
    first = settings[0]
    assert first.request.test is not None
    test = first.planned.workspace.resolve(first.request.test)
    folder = first.planned.workspace.comparison(test, first.request.name)
    tables = {
        scans: pd.read_csv(setting.folder.cases, dtype={"case": str, "subject": str})
        for scans, setting in compared.items()
        if setting.folder.cases.exists()
    }
    asked = {row.name for row in first.request.grid.rows}  # others may lie there, of an earlier comparison
    tables = {scans: part for scans, table in tables.items() if len(part := table[table.row.isin(asked)])}
    if not tables:
        console.warn("no training succeeded, so there is nothing to draw over the number of labelled scans")
        return True
    notes = [*_notes(compared, test), *_lacking(tables, first)]
    based = next((setting for setting in settings if setting.base is not None), None)
    zero = (
        _of_base(based, first.contents[test], folder, console)
        if based is not None
        else "no method that starts from a base is compared"
    )
    if zero is None:
        notes.append("no row without labels yet: the base has not segmented the scans")
    elif isinstance(zero, str):
        notes.append(f"no row without labels: {zero}")
    else:
        tables[0] = zero
        notes.append(
            f"`{BASE_ROW}`: the base as it is, each label by the classes that mean it; its parts follow other borders"
            " than the labels', so look at all labels as one"
        )
    cases = joined(tables)
    table = learning_curve(cases, SCRATCH)
    write_csv(folder.curve_cases, cases)
    write_csv(folder.curve, table)
    write_bytes(folder.curve.with_suffix(".md"), curve_markdown(table, notes, SCRATCH).encode())
    plot_curve(table, folder.curve_plot)
    for line in curve_lines(table):
        console.say(line)
    console.say(
        f"labelled scans against Dice: {folder.curve.with_suffix('.md')} and .csv; plot: {folder.curve_plot}; a row per"
        f" case: {folder.curve_cases}"
    )
    return zero is not None


def _lacking(tables: Mapping[int, pd.DataFrame], setting: Setting) -> list[str]:
    """What a reader must know where some rows have fewer seeds than others, or none."""
    seeds = setting.request.grid.seeds
    fewer = []
    for row in setting.request.grid.rows:
        by_seeds: dict[tuple[int, ...], list[str]] = {}
        for scans, table in sorted(tables.items()):
            found = tuple(sorted(table[table.row == row.name].seed.unique()))
            if len(found) < len(seeds):
                by_seeds.setdefault(found, []).append(str(scans))
        for found, scans_of in by_seeds.items():
            which = f"{'seeds' if len(found) > 1 else 'seed'} {' '.join(map(str, found))}" if found else "none"
            fewer.append(f"{row.name} with {', '.join(scans_of)} labelled ({which})")
    asked = f"{counted(len(seeds), 'seed')} ({' '.join(map(str, seeds))})"
    return [f"each figure is of {asked}, but {'; '.join(fewer)}"] if fewer else [f"each figure is of {asked}"]


def _notes(compared: Mapping[int, Setting], test: str) -> list[str]:
    trained = ", ".join(f"{each.planned.name} ({scans}; {each.steps} steps)" for scans, each in compared.items())
    first = next(iter(compared.values()))
    return [
        f"trained on all cases of {trained}",
        (
            f"reported: {test}, {counted(len(first.contents[test].subjects), 'case')} of"
            f" {counted(len(set(first.contents[test].subjects.values())), 'subject')}"
        ),
        (
            "means over subjects (seeds, scans and sides of a subject averaged first), with 95 % bootstrap intervals"
            " over subjects; differences are paired by subject, with Wilcoxon's signed-rank p, adjusted by Holm over"
            " all rows with as many scans"
        ),
    ]


def _of_base(
    setting: Setting, contents: Contents, folder: ComparisonFolder, console: Console
) -> pd.DataFrame | str | None:
    """Scores of the base itself on the reported scans, made once; or why there are none; None: they are to come."""
    assert setting.base is not None
    path, card = setting.base
    dataset, plan = contents.dataset, setting.planned.plan
    meant = labels_meant(card, plan)
    if meant is None:
        return (
            f"base {card.name} has no class that means each of {', '.join(plan.class_names[1:])} in"
            f" {len(plan.channel_names)} channels"
        )
    masks = folder.masks(dataset.name, f"base-{card.sha256[:12]}")
    if not (masks / METRICS).exists():
        if setting.request.finished:
            return None
        device, _ = choose_device(setting.request.device)
        segment_by_base((read_base(path)[0], card), plan, dataset.cases, masks, device, console)
        _score(masks, dataset, contents, console)
    scores = scores_of_masks(masks, dataset).assign(row=BASE_ROW, seed=0)
    if _shared(meant):  # which of the labels a voxel has cannot be told from the base
        scores[["dice", "hd95_mm", "nsd_1mm"]] = float("nan")
    return scores


def _score(masks: Path, dataset: Dataset, contents: Contents, console: Console) -> None:
    table, _ = evaluate(
        masks, Path(dataset.cases[0].label).parent, LabelNames(dataset.foreground, contents.subjects), 1, console
    )
    write_csv(masks / METRICS, table)
    write_outlines(masks, dataset)


def _shared(meant: Sequence[Sequence[int]]) -> bool:
    taken = [index for sources in meant[1:] for index in sources]
    return len(taken) != len(set(taken))
