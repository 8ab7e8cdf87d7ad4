"""Compare ways to fine-tune: train every combination in a process of its own,
choose learning rates on cases that are not reported, and write one table.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pandas as pd

from hippopt.artifacts.codec import remove_leftovers_of_the_dead
from hippopt.artifacts.methods import check_package
from hippopt.artifacts.weights import BaseCard
from hippopt.comparison.cases import contents_of, make_cases
from hippopt.comparison.report import write_report
from hippopt.comparison.units import (
    METRICS,
    OUTLINES,
    Commands,
    ComparisonRequest,
    Setting,
    Unit,
    all_case_scores,
    case_scores,
    check_same,
    commands_left,
    score,
    unit_text,
)
from hippopt.console import Console, counted
from hippopt.errors import HippoptError, UsageError
from hippopt.jobs.child_processes import Job, run_jobs, threads_each
from hippopt.networks.base_files import chosen_base
from hippopt.planned_dataset import PlannedDataset
from hippopt.planning.cases_apart import check_apart, check_base_unseen, check_folds_apart, check_labels
from hippopt.planning.comparison_grid import Cases, Combination
from hippopt.scoring.comparison import at_edge, choose_rate, mean_dice
from hippopt.stages.adopt_base import adopt_base
from hippopt.stop_signals import StopSignals
from hippopt.training.lock import fold_lock

CHOICE_COLUMNS = ("row", "rate", "dice", "cases", "subjects", "chosen", "at_edge")


def run_comparison(
    planned: PlannedDataset, request: ComparisonRequest, commands: Commands, console: Console
) -> tuple[dict[str, str], Setting]:
    """Run what is not there yet, and write the table. Returns what failed, each with its reason, and what was compared.

    Raises HippoptError's kinds before anything is trained; Interrupted after a signal, with all that was done kept.
    """
    grid, failed = request.grid, dict[str, str]()
    reported, choosing = make_cases(
        planned.workspace, planned.plan, request.test, request.choose, request.folds, bool(grid.to_choose())
    )
    if request.choose and choosing is None:
        console.warn("--choose is not needed: no method has several learning rates")
    setting = _check(planned, request, reported, choosing, console)
    cores = threads_each(request.jobs)
    console.say(
        f"{counted(len(grid.rows), 'row')}, {counted(request.jobs, 'training')} side by side,"
        f" {counted(cores, 'thread')} each"
    )
    chosen: dict[str, float] = {}
    choices = pd.DataFrame(columns=list(CHOICE_COLUMNS))
    with StopSignals() as signals, nullcontext() if request.finished else fold_lock(setting.folder.lock):
        remove_leftovers_of_the_dead(setting.folder.path)
        if choosing is not None:
            candidates = [each for row in grid.to_choose() for each in grid.candidates(row)]
            console.say(f"choosing learning rates on {choosing.text}, seed {grid.seeds[0]}")
            failed |= _run(setting, setting.units(candidates, choosing), commands, signals, console)
            chosen, choices = _choose(setting, choosing, console)
        ready = [row for row in grid.rows if row.name in chosen or row not in grid.to_choose()]
        failed |= {row.name: "no learning rate could be chosen" for row in grid.rows if row not in ready}
        final = [each for row in ready for each in grid.reported(row, chosen.get(row.name))]
        console.say(f"reported: {reported.text}")
        failed |= _run(setting, setting.units(final, reported), commands, signals, console)
        write_report(setting, final, reported, choosing, choices, failed, console)
    return failed, setting


def _check(
    planned: PlannedDataset, request: ComparisonRequest, reported: Cases, choosing: Cases | None, console: Console
) -> Setting:
    """Everything that can be told beforehand."""
    grid, workspace, plan = request.grid, planned.workspace, planned.plan
    for row in grid.rows:
        check_package(row.method)
        for rate in grid.rates[row.name] or (None,):
            Combination(row, rate, grid.seeds[0]).plan(plan)
    others = [cases.dataset for cases in (reported, choosing) if cases is not None and cases.dataset is not None]
    contents = {name: contents_of(workspace, name) for name in others}
    if others:
        check_apart([contents_of(workspace, planned.name), *(contents[name] for name in others)])
        for name in others:
            check_labels(plan, contents[name].dataset)
    elif choosing is not None:
        check_folds_apart(plan, {case.id: case.subject for case in planned.fingerprint.cases}, reported, choosing)
    base = _base(planned, request, console)
    if base is not None and not request.allow_seen:
        check_base_unseen(base[1].seen_images, base[1].name, list(contents.values()))
    steps = request.steps or plan.schedule.steps_from(base is not None)
    setting = Setting(planned, request, steps, base, contents, workspace.comparison(planned.name, request.name))
    for row in grid.rows:
        every = [Combination(row, rate, seed) for rate in grid.rates[row.name] or (None,) for seed in grid.seeds]
        for cases in filter(None, (reported, choosing)):
            for unit in setting.units(every, cases):
                check_same(setting, unit)
    return setting


def _base(planned: PlannedDataset, request: ComparisonRequest, console: Console) -> tuple[Path, BaseCard] | None:
    needing = [row.name for row in request.grid.rows if row.needs_base]
    if not needing:
        return None
    asked = chosen_base(request.base, planned.plan)
    if asked is None:
        raise UsageError(
            f"{needing[0]}: starts from pre-trained weights: name them with --base FILE; scratch and no-transformer"
            " do not"
        )
    return adopt_base(asked, planned.plan, planned.workspace, console)


def _run(
    setting: Setting, units: Sequence[Unit], commands: Commands, signals: StopSignals, console: Console
) -> dict[str, str]:
    """Train and score what is not there yet. Returns the failures."""
    jobs = {
        unit: Job(unit_text(unit), commands_left(setting, unit, commands), setting.folder.log(unit.run, unit.fold))
        for unit in units
    }
    left = {job.name: unit for unit, job in jobs.items() if job.commands}
    if setting.request.finished:
        return dict.fromkeys(left, "not finished")
    failed: dict[str, str] = {}
    if len(left) < len(units):
        console.say(f"{len(units) - len(left)} of {len(units)} are there already and kept")
    for unit in left.values():
        if unit.dataset is not None:  # scores of masks that are about to change must not outlive them
            for scores in (METRICS, OUTLINES):
                (setting.masks(unit) / scores).unlink(missing_ok=True)
    bar, done = console.track(range(len(left)), "compare", len(left)), 0

    def on_done(job: Job, reason: str | None, seconds: float) -> None:
        nonlocal done
        unit = left[job.name]
        try:
            if reason is None:
                check_same(setting, unit)  # the plan may have been edited meanwhile
                score(setting, unit, console)
        except HippoptError as error:
            reason = str(error).splitlines()[0]
        done += 1
        next(bar, None)
        if reason is not None:
            failed[job.name] = reason
            console.warn(f"{done} of {len(left)}: {job.name} failed: {reason} (all it said: {job.log})")
        else:
            console.say(
                f"{done} of {len(left)}: {job.name}: Dice {mean_dice(case_scores(setting, unit)):.4f},"
                f" {seconds / 60:.1f} min"
            )

    try:
        run_jobs([jobs[unit] for unit in left.values()], setting.request.jobs, signals, on_done)
    finally:
        for _ in bar:
            pass
    return failed


def _choose(setting: Setting, choosing: Cases, console: Console) -> tuple[dict[str, float], pd.DataFrame]:
    """(rate of each row that has one, table of all candidates)."""
    chosen, rows = {}, []
    for row in setting.request.grid.to_choose():
        found = {each.rate: all_case_scores(setting, each, choosing) for each in setting.request.grid.candidates(row)}
        scores = {rate: table for rate, table in found.items() if rate is not None and table is not None}
        if not scores or (setting.request.finished and len(scores) < len(found)):
            continue
        chosen[row.name] = best = choose_rate(scores)
        rows += [
            (
                row.name,
                rate,
                mean_dice(table),
                table.case.nunique(),
                table.subject.nunique(),
                rate == best,
                rate == best and at_edge(best, list(scores)),
            )
            for rate, table in scores.items()
        ]
        edge = ": no rate beyond it was tried" if at_edge(best, list(scores)) else ""
        console.say(
            f"{row.name}: rate {best:g}{edge}"
            f" ({', '.join(f'{rate:g} Dice {mean_dice(table):.4f}' for rate, table in scores.items())})"
        )
    return chosen, pd.DataFrame(rows, columns=list(CHOICE_COLUMNS))
